"""Small cells: no number leaves a site from which a count of fewer people than a threshold can be worked out.

What counts is people, not images: six slices with a finding may be of one patient. Withheld is

- a target (its counts, its metrics, and all means over targets) with too few subjects on either side of its labels;
- where the targets are classes, so that their counts add up to the number of cases, more of them, the smallest first,
  until those withheld hold enough subjects together: one alone would be what is left of the sum
  (complementary suppression);
- sensitivity and specificity where the cases behind the rate, or those that it leaves out, may be of too few subjects,
  and then balanced accuracy, too, whose other half is known;
- metrics of findings where too few subjects have one, or have none;
- everything measured at a site of too few subjects.

Zero is a small count. How many subjects are behind a share of cases is not known, so as few are taken as it may be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.image_metrics import FINDING_METRICS
from scanproof.evaluation.table import CHAIN, CONDITION
from scanproof.protocol.exchange.record import DataFacts, Endpoint, LabelCounts

#: least threshold: a count of one or two is always withheld
LEAST = 3
#: threshold where a protocol states none
USUAL = 5
#: rates at an operating point, and which side of the labels they are shares of
SIDES = {
    "sensitivity": "positive",
    "sensitivity_retuned": "positive",
    "specificity": "negative",
    "specificity_retuned": "negative",
}
#: means of two rates
BALANCED = {
    "balanced_accuracy": ("sensitivity", "specificity"),
    "balanced_accuracy_retuned": ("sensitivity_retuned", "specificity_retuned"),
}
_RATES = {*SIDES, *BALANCED}
#: what a rate of one case group has in common with the other rates of the same readings
_READING = [*CONDITION, *CHAIN]


class Side(NamedTuple):
    """The cases on one side of a target's labels: how many, of how many subjects, and the most of one subject."""

    cases: int
    subjects: int
    most: int

    def shows(self, rate: float, threshold: int) -> bool:
        """Whether the cases behind a share of this side, and those left out, are of enough subjects for certain."""
        few = min(rate, 1 - rate) * self.cases
        return math.floor(few / self.most + 1e-6) >= threshold if self.most else False


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Counts of a site's test cases, known at the site alone.

    Args:
        subjects: people.
        cases: images.
        targets: of each target, the side of the positive labels and that of the negative ones.
    """

    subjects: int
    cases: int
    targets: Mapping[str, tuple[Side, Side]]

    def side(self, target: str, metric: str) -> Side:
        """The side of the labels of which a rate is a share."""
        return self.targets[target][SIDES[metric] == "negative"]

    @property
    def classes(self) -> bool:
        """Whether the targets' positive cases add up to all cases."""
        return len(self.targets) > 1 and sum(one.cases for one, _ in self.targets.values()) == self.cases


def count_cells(results: pd.DataFrame, predictions: pd.DataFrame, *, known: DataFacts) -> Cells:
    """Count people and images behind a site's tables.

    Args:
        results: results table; of its rows about cases, subjects are counted where nothing is read.
        predictions: per-case probabilities; may be empty.
        known: what the validation says of its data.
    """
    tested = predictions[predictions["split"] == "test"] if len(predictions) else predictions
    cases = results[results["case"].notna()] if tested.empty else tested
    rows = cases[["subject", "case"]].drop_duplicates()
    targets = {}
    if not tested.empty:
        labels = tested[["target", "subject", "case", "label"]].drop_duplicates()
        for target, group in labels.groupby("target", sort=True):
            targets[str(target)] = (_side(group, 1), _side(group, 0))
    subjects, count = rows["subject"].nunique(), len(rows)
    if not count:  # a validation that was not run to its end has no cases
        subjects, count = known.subjects or 0, known.cases or 0
    for name, facts in known.labels.items():  # labels that no classifier was tested on: each case may be a person
        sides = [Side(n or 0, n or 0, 1) for n in (facts.positive, facts.negative)]
        targets.setdefault(name, (sides[0], sides[1]))
    return Cells(subjects=subjects, cases=count, targets=targets)


def _side(group: pd.DataFrame, label: int) -> Side:
    counts = group.loc[group["label"] == label, "subject"].value_counts()
    return Side(int(counts.sum()), len(counts), int(counts.max()) if len(counts) else 0)


def withheld_targets(cells: Cells, threshold: int) -> set[str]:
    """Targets of which nothing may be told: small ones, and those that would give them away."""
    hidden = {name for name, sides in cells.targets.items() if min(side.subjects for side in sides) < threshold}
    if not (hidden and cells.classes):
        return hidden
    others = sorted(set(cells.targets) - hidden, key=lambda name: (cells.targets[name][0].subjects, name))
    # a subject may have several classes: as few are taken as there may be
    while others and (len(hidden) < 2 or _together(cells, hidden) < threshold):
        hidden.add(others.pop(0))
    return hidden


def _together(cells: Cells, names: set[str]) -> int:
    return max(cells.targets[name][0].subjects for name in names)


def check_threshold(asked: int | None, stated: int) -> int:
    """The threshold to use: the protocol's, which may only be raised.

    Raises:
        ScanproofError: a lower one.

    Example:
        >>> check_threshold(None, 5), check_threshold(10, 5)
        (5, 10)
    """
    if asked is None:
        return max(stated, LEAST)
    if asked < max(stated, LEAST):
        raise ScanproofError(f"small-cell threshold must be at least {max(stated, LEAST)}", value=asked)
    return asked


def suppress_results(rows: pd.DataFrame, cells: Cells, threshold: int) -> pd.DataFrame:
    """Leave out the rows that would tell of too few people.

    Args:
        rows: of the results table, about the whole site.
        cells: of :func:`count_cells`.
        threshold: fewest subjects that may be told of.
    """
    if cells.subjects < threshold:
        return rows.iloc[:0]
    hidden = withheld_targets(cells, threshold)
    only = next(iter(cells.targets)) if len(cells.targets) == 1 else None
    read = rows["classifier"].notna()
    target = rows["target"].astype(object).where(rows["target"].notna(), only)
    keep = ~(read & (target.isin(hidden) | (target.isna() & bool(hidden))))
    finding = rows["metric"].isin(FINDING_METRICS)
    keep &= ~(finding & (bool(hidden) | _few_findings(rows, cells, threshold)))
    rows, target = rows[keep], target[keep]
    small = _small_rates(rows, target, cells, threshold)
    return rows[~_drawn_along(rows, target, small)]


def _few_findings(rows: pd.DataFrame, cells: Cells, threshold: int) -> pd.Series:
    """Rows whose cases may be of too few subjects, or leave out too few: as many images a subject as any has."""
    most = max([1, *(side.most for sides in cells.targets.values() for side in sides)])
    if not cells.targets:
        most = max(1, cells.cases - cells.subjects + 1)
    cases = rows["n"].fillna(0).astype(float)
    left = cells.cases - cases
    return (cases / most < threshold) | ((left > 0) & (left / most < threshold))


def _small_rates(rows: pd.DataFrame, target: pd.Series, cells: Cells, threshold: int) -> pd.Series:
    """Rates of one target that are of too few subjects."""
    found = [
        metric in SIDES and isinstance(name, str) and not cells.side(name, metric).shows(float(value), threshold)
        for metric, name, value in zip(rows["metric"], target, rows["value"], strict=True)
    ]
    return pd.Series(found, index=rows.index, dtype=bool)


def _drawn_along(rows: pd.DataFrame, target: pd.Series, small: pd.Series) -> pd.Series:
    """What is left out with small rates: balanced accuracies of the same readings, and means over targets."""
    if not small.any():
        return small
    keys = rows[_READING].astype(object).where(rows[_READING].notna(), None)
    readings = [tuple(key) for key in keys.itertuples(index=False)]
    lost = {(reading, metric) for reading, metric, gone in zip(readings, rows["metric"], small, strict=True) if gone}
    of_target = {
        (reading, name, metric)
        for reading, name, metric, gone in zip(readings, target, rows["metric"], small, strict=True)
        if gone
    }
    out = []
    for reading, name, metric, gone in zip(readings, target, rows["metric"], small, strict=True):
        parts = (metric, *BALANCED.get(metric, ()))
        if isinstance(name, str):
            out.append(gone or any((reading, name, part) in of_target for part in parts))
        else:
            out.append(any((reading, part) in lost for part in parts))
    return pd.Series(out, index=rows.index, dtype=bool)


def suppress_comparisons(rows: pd.DataFrame, cells: Cells, threshold: int) -> pd.DataFrame:
    """Differences of means over targets, or none where a target is withheld or the site is small."""
    return rows.iloc[:0] if cells.subjects < threshold or withheld_targets(cells, threshold) else rows


def suppress_facts(facts: DataFacts, cells: Cells, threshold: int) -> DataFacts:
    """The counts of a site without the small ones."""
    hidden = withheld_targets(cells, threshold)
    small = cells.subjects < threshold
    none = LabelCounts(positive=None, negative=None)
    return facts.model_copy(
        update={
            "subjects": None if small else facts.subjects,
            "cases": None if small else facts.cases,
            "labels": {name: none if small or name in hidden else found for name, found in facts.labels.items()},
        }
    )


def suppress_endpoint(
    endpoint: Endpoint, cells: Cells, threshold: int, *, results: pd.DataFrame, kept: pd.DataFrame
) -> Endpoint:
    """An endpoint without numbers that would tell of too few people; its verdict stays.

    A rate's endpoint keeps its numbers where the rate stands among those that were kept, or none was left out.

    Args:
        endpoint: as the site found it.
        cells: of :func:`count_cells`.
        threshold: fewest subjects that may be told of.
        results: aggregate rows.
        kept: of them, those that :func:`suppress_results` kept.
    """
    hidden = withheld_targets(cells, threshold)
    image = endpoint.metric in set(results.loc[results["classifier"].isna(), "metric"])
    risky = endpoint.metric in _RATES or endpoint.metric in FINDING_METRICS
    lost = risky and (results["metric"] == endpoint.metric).sum() != (kept["metric"] == endpoint.metric).sum()
    if risky and endpoint.estimate is not None and endpoint.metric in SIDES:
        lost = lost or not all(
            cells.side(name, endpoint.metric).shows(endpoint.estimate, threshold) for name in cells.targets
        )
    few = min(cells.subjects, cells.subjects if endpoint.subjects is None else endpoint.subjects) < threshold
    gone = few or (bool(hidden) and not image) or lost
    changes: dict[str, object] = {}
    if few:
        changes |= {"subjects": None, "cases": None}
    if gone:
        changes |= dict.fromkeys(("estimate", "lower", "upper", "standard_error"))
    if gone or hidden:  # the sentence may hold any of the numbers
        changes["decided_by"] = f"{endpoint.verdict}; numbers withheld, some count is of fewer than {threshold} people"
    return endpoint.model_copy(update=changes)
