"""The fewest subjects and cases that decide a protocol: how they were found, and whether a site has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import pandas as pd
from pydantic import Field
from scipy import stats

from scanproof.data.labels import PREFIX, label_columns
from scanproof.errors import ScanproofError
from scanproof.evaluation.chains import is_shifted
from scanproof.evaluation.statistics.power import Goal, plan_size
from scanproof.evaluation.table import ALL_SHIFTS
from scanproof.protocol.endpoint import Endpoint
from scanproof.reporting.vocabulary import counted
from scanproof.study.fields import Model
from scanproof.study.power import expected_from

Count = Annotated[int, Field(ge=2)]


class Minimum(Model):
    """What a site must bring. Subjects with a finding have at least one case with it; likewise without."""

    subjects: Count
    cases: Count
    positives: Count | None = Field(None, description="subjects with the finding, for each label")
    negatives: Count | None = Field(None, description="subjects without it, for each label")
    how: str = Field(description="how the numbers were found")


class MinimumPlan(Model):
    """What a plan says of the minimum: numbers, or how exactly the primary endpoint is to be known."""

    half_width: float | None = Field(
        None, gt=0, description="half of the interval of the primary endpoint; subjects follow from the finished study"
    )
    margin: float | None = Field(
        None, gt=0, lt=0.5, description="of AUROC that a comparison is to show, when both are equal; likewise"
    )
    power: float = Field(0.8, ge=0.5, lt=1, description="probability with which the margin is shown")
    subjects: Count | None = None
    cases: Count | None = None
    positives: Count | None = None
    negatives: Count | None = None


class Counts(Model):
    """What a site has: subjects, cases, and for each label the subjects with and without it."""

    subjects: int
    cases: int
    labels: dict[str, dict[str, int]] = Field(default_factory=dict)


def count(cases: pd.DataFrame) -> Counts:
    """Count a case table: ``subject`` and the columns of labels, whose missing values count for neither.

    Example:
        >>> found = count(pd.DataFrame({"subject": list("aab"), "label:lesion": pd.array([0, 1, None], "Int64")}))
        >>> found.subjects, found.cases, found.labels
        (2, 3, {'lesion': {'positive': 1, 'negative': 1}})
    """
    labels = {
        column.removeprefix(PREFIX): {
            name: int(cases.loc[cases[column].eq(value).fillna(False).astype(bool), "subject"].nunique())
            for name, value in (("positive", 1), ("negative", 0))
        }
        for column in label_columns(cases)
        if cases[column].notna().any()
    }
    return Counts(subjects=int(cases["subject"].nunique()), cases=len(cases), labels=labels)


def lacking(minimum: Minimum, found: Counts) -> list[str]:
    """What a site lacks, a sentence a rule; none where it has enough.

    Example:
        >>> minimum = Minimum(subjects=20, cases=20, positives=5, how="agreed")
        >>> lacking(minimum, Counts(subjects=12, cases=48, labels={"lesion": {"positive": 3, "negative": 12}}))
        ['12 subjects, of at least 20', '3 subjects with lesion, of at least 5']
    """
    rules = [(found.subjects, minimum.subjects, "subject"), (found.cases, minimum.cases, "case")]
    said = [f"{counted(there, noun)}, of at least {least}" for there, least, noun in rules if there < least]
    for label, there in found.labels.items():
        for name, least, words in (
            ("positive", minimum.positives, "with"),
            ("negative", minimum.negatives, "without"),
        ):
            if least is not None and there[name] < least:
                said.append(f"{counted(there[name], 'subject')} {words} {label}, of at least {least}")
    return said


def make_minimum(
    plan: MinimumPlan, primary: Endpoint, *, results: pd.DataFrame, predictions: pd.DataFrame, confidence: float
) -> Minimum:
    """The minimum that a plan asks for, computed from what the finished study found.

    By a metric of classification, subjects are those of :func:`~scanproof.evaluation.statistics.power.plan_size`,
    expectations those of :func:`~scanproof.study.power.expected_from`, without the spread of trainings: a protocol
    tests frozen networks. By an image metric they are those with which Student's interval of a mean over subjects has
    the half-width, when subjects differ as they did under the endpoint's condition. What the plan gives comes first.

    Args:
        plan: to follow.
        primary: endpoint that is to be decided.
        results: of the finished study.
        predictions: likewise; may be empty.
        confidence: of the study's intervals.

    Raises:
        ScanproofError: a plan without numbers and without an aim, or an aim that the metric does not know.
    """
    found: dict[str, int] = {}
    how = "agreed without a computation"
    if plan.half_width is not None or plan.margin is not None:
        of_images = primary.metric in set(results.loc[results["case"].notna(), "metric"])
        found, how = _of_images(plan, primary, results, confidence) if of_images else _of_readings(plan, predictions)
    given: Mapping[str, int | None] = {
        name: getattr(plan, name) for name in ("subjects", "cases", "positives", "negatives")
    }
    numbers = {**found, **{name: value for name, value in given.items() if value is not None}}
    if plan.subjects is not None and plan.cases is None:
        numbers["cases"] = plan.subjects  # each has one at least
    for name in ("subjects", "cases"):
        if name not in numbers:
            raise ScanproofError("must be given where neither half_width nor margin is", key=f"minimum.{name}")
    changed = [name for name, value in given.items() if value is not None and found.get(name, value) != value]
    if changed:
        asked = ", ".join(f"{found[name]} {name}" for name in changed)
        how = f"{how}, which asks for {asked}; more or fewer by agreement"
    return Minimum(**numbers, how=how)


def _of_readings(plan: MinimumPlan, predictions: pd.DataFrame) -> tuple[dict[str, int], str]:
    if predictions.empty:
        raise ScanproofError("primary endpoint must be one that the study measured", key="minimum")
    expected = expected_from(predictions)
    expected = expected.__class__(**{**vars(expected), "spread": 0.0})
    if plan.half_width is not None:
        goal = Goal(aim="half_width", size=plan.half_width)
    else:
        goal = Goal(aim="margin", size=float(plan.margin or 0), power=plan.power)
    size = plan_size(goal, expected)
    aim = f"AUROC ± {goal.size:g}" if goal.aim == "half_width" else f"no worse by {goal.size:g}, power {goal.power:g}"
    positives = max(2, math.floor(size.subjects * expected.prevalence))
    negatives = max(2, math.floor(size.subjects * (1 - expected.prevalence)))
    how = (
        f"scanproof power, for {aim} at {100 * expected.confidence:g} %, when AUROC is {expected.auroc:.3g}, "
        f"prevalence {expected.prevalence:.2g} and {expected.slices} cases a subject correlate by "
        f"{expected.intraclass:.2g}, as in the study that was frozen"
    )
    return {"subjects": size.subjects, "cases": size.subjects, "positives": positives, "negatives": negatives}, how


def _of_images(
    plan: MinimumPlan, primary: Endpoint, results: pd.DataFrame, confidence: float
) -> tuple[dict[str, int], str]:
    if plan.half_width is None:
        raise ScanproofError("must be half_width where the primary metric is one of images", key="minimum.margin")
    cases = results[results["case"].notna() & (results["metric"] == primary.metric)]
    names = [primary.reconstruction] if not primary.compares else list(primary.claim().compared)
    where = is_shifted(cases) if primary.shift == ALL_SHIFTS else (cases["shift"] == primary.shift).to_numpy(bool)
    if primary.severity is not None:
        where = where & (cases["severity"] == primary.severity).to_numpy(bool)
    chosen = cases[where & cases["reconstruction"].isin(names)]
    by_condition = chosen.groupby(["site", "reconstruction", "acceleration", "shift", "severity", "subject"])["value"]
    spread = float(by_condition.mean().groupby(level=[0, 1, 2, 3, 4]).std(ddof=1).max())
    subjects = subjects_for(plan.half_width, spread=spread, confidence=confidence)
    how = (
        f"Student's interval of a mean over subjects, ± {plan.half_width:g} at {100 * confidence:g} %, when "
        f"{primary.metric} differs between subjects with a standard deviation of {spread:.3g}, as in the study that "
        "was frozen"
    )
    return {"subjects": subjects, "cases": subjects}, how


def subjects_for(half_width: float, *, spread: float, confidence: float) -> int:
    """Fewest subjects with which Student's interval of a mean is no longer than asked.

    Args:
        half_width: of the interval, more than 0.
        spread: standard deviation between subjects.
        confidence: of the interval, in (0, 1).

    Example:
        >>> subjects_for(0.1, spread=0.2, confidence=0.95)
        18
    """
    # as many as a normal distribution asks for, which is too few, and then one by one
    subjects = max(2, math.floor((float(stats.norm.ppf((1 + confidence) / 2)) * spread / half_width) ** 2))
    while float(stats.t.ppf((1 + confidence) / 2, subjects - 1)) * spread / math.sqrt(subjects) > half_width:
        subjects += 1
    return subjects
