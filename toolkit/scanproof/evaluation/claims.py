"""Statements about two reconstructions, each judged by a paired interval: agree, disagree or undecided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.bootstrap import Bootstrap, FloatArray
from scanproof.evaluation.chains import is_clean, is_shifted
from scanproof.evaluation.grid import site_grids
from scanproof.evaluation.image_metrics import IMAGE_METRICS
from scanproof.evaluation.quality import QUALITY_ROW, weighted_means
from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, CLEAN, CONDITION

Measure = Literal["quality", "change"]
Expectation = Literal["better", "not_worse", "similar"]
Verdict = Literal["agree", "disagree", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement about two reconstructions that an interval can decide.

    Args:
        text: the statement, as a reader should meet it.
        compare: reconstruction that the statement is about; or several, trainings of one method from different seeds.
        against: reconstruction that it is compared with; as many, in the same order of seeds.
        metric: image metric by which.
        shift: condition under which: ``"none"``, a shift of the study, or ``"all"``: the mean over every condition of
            severity 1 or more, worst cases (``adversarial``) left out.
        severity: of the shift; without it, the mean over those that were tested.
        site: where; ``"all"`` is the mean of the sites.
        measure: ``"quality"`` under that condition, or its ``"change"`` from the clean condition to it.
        expect: ``"better"`` than the other, ``"not_worse"`` or ``"similar"`` up to the margin.
        margin: in the unit of the metric; 0 for ``"better"``.

    Raises:
        ScanproofError: an unknown metric, a change from clean to clean, or a margin that does not fit.

    Example:
        >>> Claim(text="a", compare="unet", against="unet", metric="ssim")
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: against must be another reconstruction, got 'unet'
    """

    text: str
    compare: str | tuple[str, ...]
    against: str | tuple[str, ...]
    metric: str
    shift: str = CLEAN
    severity: int | None = None
    site: str = ALL_SITES
    measure: Measure = "quality"
    expect: Expectation = "better"
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.metric not in IMAGE_METRICS:
            raise unknown_name("image metric", self.metric, IMAGE_METRICS, key="metric")
        for name, kind in (("measure", Measure), ("expect", Expectation)):
            if getattr(self, name) not in get_args(kind):
                raise unknown_name(name, getattr(self, name), get_args(kind), key=name)
        if same := set(self.compared) & set(self.opponents):
            raise ScanproofError("against must be another reconstruction", value=", ".join(sorted(same)))
        for key, names in (("compare", self.compared), ("against", self.opponents)):
            if not names or len(set(names)) < len(names):
                raise ScanproofError("must name each reconstruction once", key=key, value=", ".join(names))
        if len(self.compared) != len(self.opponents):
            rule = f"must name as many reconstructions as compare ({len(self.compared)})"
            raise ScanproofError(rule, key="against", value=", ".join(self.opponents))
        if self.measure == "change" and self.shift == CLEAN:
            raise ScanproofError("shift must not be none where measure is 'change'", value=self.shift)
        if self.severity is not None and self.shift in (CLEAN, ALL_SHIFTS):
            raise ScanproofError(f"severity must be left out where shift is {self.shift!r}", value=self.severity)
        if not 0 <= self.margin < float("inf"):
            raise ScanproofError("margin must be finite and not negative", value=self.margin)
        if (self.expect == "better") != (self.margin == 0):
            rule = "margin must be 0 where 'better' is expected, and positive for 'not_worse' and 'similar'"
            raise ScanproofError(rule, value=self.margin)

    @property
    def compared(self) -> tuple[str, ...]:
        """The reconstructions of ``compare``."""
        return (self.compare,) if isinstance(self.compare, str) else tuple(self.compare)

    @property
    def opponents(self) -> tuple[str, ...]:
        """The reconstructions of ``against``."""
        return (self.against,) if isinstance(self.against, str) else tuple(self.against)


def judge_claims(results: pd.DataFrame, claims: Sequence[Claim], *, bootstrap: Bootstrap) -> pd.DataFrame:
    """Judge claims by a study's results.

    The difference is ``compare`` minus ``against``, turned so that positive is in favour of ``compare`` (errors count
    backwards), paired over cases; its percentile interval is that of whole subjects drawn anew
    (:class:`~scanproof.evaluation.bootstrap.Bootstrap`, the resamples of every other interval of the study). A claim
    is agreed with where the whole interval fulfils it, disagreed with where no part of the interval does, and
    undecided in between. Claims are judged one by one: with many of them, some intervals miss the truth.

    Where a claim names several trainings, the difference is the mean over their pairs, and pairs are drawn anew as
    subjects are. Few trainings tell little of how trainings differ: of three, the interval is too narrow rather than
    too wide.

    Args:
        results: results table with the image quality of every case.
        claims: to judge.
        bootstrap: of the study.

    Returns:
        One row a claim, in their order: the claim's fields, ``difference``, ``lower``, ``upper``, ``subjects``,
        ``cases`` and ``verdict``.

    Raises:
        ScanproofError: a claim about a reconstruction, condition, site or metric that the results do not hold.

    Example:
        >>> cases = pd.DataFrame([
        ...     {"site": "north", "subject": s, "case": s, "shift": "none", "severity": 0, "reconstruction": name,
        ...      "acceleration": 4.0, "metric": "ssim", "value": value}
        ...     for s, better in (("a", 0.9), ("b", 0.8)) for name, value in (("unet", better), ("cs_tv", 0.6))
        ... ])
        >>> claim = Claim(text="It is better.", compare="unet", against="cs_tv", metric="ssim")
        >>> judge_claims(cases, [claim], bootstrap=Bootstrap(seed=1))[["difference", "verdict"]].round(2)
           difference verdict
        0        0.25   agree
    """
    cases = results[results["case"].notna() & results["metric"].isin({claim.metric for claim in claims})]
    rows = [_judge(cases, claim, number, bootstrap) for number, claim in enumerate(claims)]
    names = [*Claim.__dataclass_fields__, "difference", "lower", "upper", "subjects", "cases", "verdict"]
    return pd.DataFrame(rows, columns=names).astype({"severity": "Int64"})


def paired_differences(results: pd.DataFrame, *, against: str, bootstrap: Bootstrap) -> pd.DataFrame:
    """Every reconstruction against one of them, under every condition and by every metric.

    Args:
        results: results table with the image quality of every case.
        against: reconstruction that the others are compared with.
        bootstrap: of the study.

    Returns:
        ``shift``, ``severity``, ``metric``, ``reconstruction``, ``acceleration``, ``difference`` (the reconstruction
        minus ``against``, turned so that positive is better), ``lower``, ``upper``, ``subjects`` and ``cases``; means
        of the sites.

    Raises:
        ScanproofError: ``against`` was not tested, or was at several accelerations.
    """
    cases = results[results["case"].notna()]
    _known(against, cases["reconstruction"], "against")
    frames = []
    for name, metric in IMAGE_METRICS.items():
        if (cases["metric"] == name).any():
            means = _means(cases[cases["metric"] == name], bootstrap)
            mine = (means.rows["reconstruction"] == against).to_numpy(bool)
            if means.rows.loc[mine, "acceleration"].nunique() > 1:
                raise ScanproofError("must have been tested at one acceleration", key="against", value=against)
            conditions = list(zip(means.rows["shift"], means.rows["severity"], strict=True))
            base = {conditions[row]: row for row in mine.nonzero()[0]}
            partner = [base[condition] for condition in conditions]
            sign = 1 if metric.higher_is_better else -1
            value, lower, upper = bootstrap.estimate(sign * (means.samples - means.samples[partner]))
            frame = means.rows.assign(difference=value, lower=lower, upper=upper)
            frames.append(frame.assign(subjects=means.subjects, cases=means.cases)[~mine])
    columns = [*CONDITION, "metric", "reconstruction", "acceleration", "difference", "lower", "upper"]
    return pd.concat(frames, ignore_index=True)[[*columns, "subjects", "cases"]]


class _Means(NamedTuple):
    """Means over the cases of each site, and of the sites.

    ``samples`` has a row for each of ``rows`` (columns :data:`QUALITY_ROW`), with the value itself first and then its
    replicates.
    """

    rows: pd.DataFrame
    samples: FloatArray
    subjects: int
    cases: int


def _means(cases: pd.DataFrame, bootstrap: Bootstrap) -> _Means:
    grids = site_grids(cases, by=QUALITY_ROW, value="value", name="results")
    people = {site: grid.cases["subject"].to_numpy(object) for site, grid in grids.items()}
    samples = [weighted_means(grid.values, bootstrap.weights(site, people[site])) for site, grid in grids.items()]
    return _Means(
        rows=next(iter(grids.values())).rows,
        samples=np.mean(samples, axis=0),
        subjects=sum(len(set(names)) for names in people.values()),
        cases=sum(map(len, people.values())),
    )


def _judge(cases: pd.DataFrame, claim: Claim, number: int, bootstrap: Bootstrap) -> dict[str, object]:
    _check(cases, claim, key=f"claims[{number}]")
    found = cases[cases["metric"] == claim.metric]
    means = _means(found if claim.site == ALL_SITES else found[found["site"] == claim.site], bootstrap)
    shifted, clean = _shifted(means.rows, claim), is_clean(means.rows)

    pairs = list(zip(claim.compared, claim.opponents, strict=True))
    weights = bootstrap.weights("pairs of a claim", list(map(str, range(len(pairs)))))  # (1 + resamples, pairs)

    def difference(where: npt.NDArray[np.bool_]) -> FloatArray:
        def mean(name: str) -> FloatArray:
            rows = where & (means.rows["reconstruction"] == name).to_numpy(bool)
            return np.asarray(means.samples[rows].mean(axis=0), np.float64)

        differences = np.stack([mean(one) - mean(other) for one, other in pairs], axis=1)
        return np.asarray((differences * weights).sum(axis=1) / len(pairs), np.float64)

    sign = 1 if IMAGE_METRICS[claim.metric].higher_is_better else -1
    found_difference = difference(shifted) - difference(clean) if claim.measure == "change" else difference(shifted)
    value, lower, upper = (float(one) for one in bootstrap.estimate(sign * found_difference))
    return {
        **asdict(claim),
        "compare": ", ".join(claim.compared),
        "against": ", ".join(claim.opponents),
        "difference": value,
        "lower": lower,
        "upper": upper,
        "subjects": means.subjects,
        "cases": means.cases,
        "verdict": _verdict(lower, upper, claim),
    }


def _check(cases: pd.DataFrame, claim: Claim, *, key: str) -> None:
    """What a claim names must have been tested."""
    severities = cases.loc[cases["shift"] == claim.shift, "severity"]
    tested = {
        "metric": (claim.metric, cases["metric"]),
        "site": (None if claim.site == ALL_SITES else claim.site, cases["site"]),
        "shift": (None if claim.shift == ALL_SHIFTS else claim.shift, cases["shift"]),
        "severity": (claim.severity, severities),
    }
    for name, (asked, there) in tested.items():
        if asked is not None:
            _known(asked, there, f"{key}.{name}")
    for name, methods in (("compare", claim.compared), ("against", claim.opponents)):
        for method in methods:
            _known(method, cases["reconstruction"], f"{key}.{name}")
    if claim.shift == ALL_SHIFTS and not _shifted(cases, claim).any():
        raise ScanproofError("needs a shift in the study", key=f"{key}.shift", value=claim.shift)


def _known(asked: object, there: pd.Series, key: str) -> None:
    known = there.drop_duplicates().tolist()
    if asked not in known:
        part = key.rpartition(".")[2]
        what = "reconstruction" if part in ("compare", "against") else part
        raise unknown_name(what, str(asked), [str(one) for one in known], key=key)


def _shifted(rows: pd.DataFrame, claim: Claim) -> npt.NDArray[np.bool_]:
    """Which rows are of the claim's condition."""
    if claim.shift == ALL_SHIFTS:
        return is_shifted(rows)
    where = rows["shift"] == claim.shift
    if claim.severity is not None:
        where &= rows["severity"] == claim.severity
    return where.to_numpy(bool)


def _verdict(lower: float, upper: float, claim: Claim) -> Verdict:
    """What an interval says of a claim; bounds that are missing decide nothing."""
    top = claim.margin if claim.expect == "similar" else math.inf
    if lower > -claim.margin and upper < top:
        return "agree"
    if upper < -claim.margin or lower > top:
        return "disagree"
    return "undecided"
