"""Claims judged by paired intervals: agree, disagree or undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.bootstrap import Bootstrap, FloatArray
from scanproof.evaluation.chains import ERRORS, Chain, Name, is_clean, operating_points, read_chains, reading_grids
from scanproof.evaluation.claim import Claim, claimed, verdict
from scanproof.evaluation.degradation import Degradation
from scanproof.evaluation.grid import site_grids
from scanproof.evaluation.image_metrics import IMAGE_METRICS
from scanproof.evaluation.quality import QUALITY_ROW, weighted_means
from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, CHAIN, CONDITION


def judge_claims(
    results: pd.DataFrame,
    claims: Sequence[Claim],
    *,
    bootstrap: Bootstrap,
    predictions: pd.DataFrame | None = None,
    sensitivity: float = 0.9,
    given: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Judge claims by a study's results.

    The difference is ``compare`` minus ``against``, turned so that positive is in favour of ``compare`` (errors count
    backwards), paired over cases; its percentile interval is that of whole subjects drawn anew
    (:class:`~scanproof.evaluation.bootstrap.Bootstrap`, the resamples of every other interval of the study). A claim
    is agreed with where the whole interval fulfils it, disagreed with where no part of the interval does, and
    undecided in between. Claims are judged one by one: with many of them, some intervals miss the truth.

    Where a claim names several trainings, the difference is the mean over their pairs, and pairs are drawn anew as
    subjects are. Few trainings tell little of how trainings differ: of three, the interval is too narrow rather than
    too wide.

    Of normalizations, the difference is the mean over their training seeds, which are paired and drawn anew, too, over
    the classifiers and reconstructions that the claim leaves open, and over targets.

    Args:
        results: results table with the image quality of every case.
        claims: to judge.
        bootstrap: of the study.
        predictions: per-case probability table, for claims about normalizations.
        sensitivity: of the study's operating points.
        given: those that came with classifiers; see :func:`~scanproof.evaluation.chains.operating_points`.

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
    differences = claim_samples(
        results, claims, bootstrap=bootstrap, predictions=predictions, sensitivity=sensitivity, given=given
    )
    rows = [_row(claim, found, bootstrap) for claim, found in zip(claims, differences, strict=True)]
    names = [*Claim.__dataclass_fields__, "difference", "lower", "upper", "subjects", "cases", "verdict"]
    return pd.DataFrame(rows, columns=names).astype({"severity": "Int64"})


class Difference(NamedTuple):
    """What a claim is about, as paired bootstrap samples.

    Attributes:
        samples: the difference, positive in favour of what is compared, then its replicates, ``(1 + resamples,)``.
        freedom: degrees of freedom of their variance.
        subjects: behind it.
        cases: likewise.
    """

    samples: FloatArray
    freedom: float
    subjects: int
    cases: int


def claim_samples(
    results: pd.DataFrame,
    claims: Sequence[Claim],
    *,
    bootstrap: Bootstrap,
    predictions: pd.DataFrame | None = None,
    sensitivity: float = 0.9,
    given: pd.DataFrame | None = None,
) -> list[Difference]:
    """The differences that :func:`judge_claims` judges, before any interval is made of them.

    Args:
        results: as of :func:`judge_claims`; so are the others.
        claims: whose differences are asked for.
        bootstrap: of the study.
        predictions: per-case probability table, for claims about normalizations.
        sensitivity: of the study's operating points.
        given: those that came with classifiers.

    Raises:
        ScanproofError: a claim about a reconstruction, condition, site or metric that the results do not hold.
    """
    cases = results[results["case"].notna() & results["metric"].isin({claim.metric for claim in claims})]
    read = _Read(pd.DataFrame() if predictions is None else predictions, bootstrap, sensitivity, given)
    return [
        _of_norms(read, claim, number) if claim.of_norms else _of_images(cases, claim, number, bootstrap)
        for number, claim in enumerate(claims)
    ]


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
    _known(against, cases["reconstruction"], "against", what="reconstruction")
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
            gaps = sign * (means.samples - means.samples[partner])
            value, lower, upper = bootstrap.estimate(gaps, freedom=means.freedom)
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
    sites: int

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a mean of the sites."""
        return max(self.subjects - self.sites, 1)


def _means(cases: pd.DataFrame, bootstrap: Bootstrap) -> _Means:
    grids = site_grids(cases, by=QUALITY_ROW, value="value", name="results")
    people = {site: grid.cases["subject"].to_numpy(object) for site, grid in grids.items()}
    samples = [weighted_means(grid.values, bootstrap.weights(site, people[site])) for site, grid in grids.items()]
    return _Means(
        rows=next(iter(grids.values())).rows,
        samples=np.mean(samples, axis=0),
        subjects=sum(len(set(names)) for names in people.values()),
        cases=sum(map(len, people.values())),
        sites=len(people),
    )


def _of_images(cases: pd.DataFrame, claim: Claim, number: int, bootstrap: Bootstrap) -> Difference:
    _check(cases, claim, key=f"claims[{number}]")
    found = cases[cases["metric"] == claim.metric]
    means = _means(found if claim.site == ALL_SITES else found[found["site"] == claim.site], bootstrap)
    shifted, clean = claimed(means.rows, claim), is_clean(means.rows)

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
    return Difference(sign * found_difference, float(means.freedom), means.subjects, means.cases)


class _Read:
    """Chains and their samples, made when they are first asked for."""

    def __init__(
        self, predictions: pd.DataFrame, bootstrap: Bootstrap, sensitivity: float, given: pd.DataFrame | None
    ) -> None:
        self.predictions, self.bootstrap, self.sensitivity, self.given = predictions, bootstrap, sensitivity, given
        self._found: dict[str, list[Degradation]] = {}

    @cached_property
    def chains(self) -> list[Chain]:
        grids = reading_grids(self.predictions)
        thresholds = operating_points(self.predictions, sensitivity=self.sensitivity, given=self.given)
        return list(read_chains(grids, thresholds, self.bootstrap, sensitivity=self.sensitivity))

    def by(self, metric: str) -> list[Degradation]:
        """The chains by a metric."""
        if metric not in self._found:
            self._found[metric] = [Degradation.of(chain, chain.samples(metric)) for chain in self.chains]
        return self._found[metric]


def _of_norms(read: _Read, claim: Claim, number: int) -> Difference:
    test = read.predictions[read.predictions["split"] == "test"] if len(read.predictions) else read.predictions
    if test.empty:
        raise ScanproofError("needs classifiers in the study", key=f"claims[{number}].metric", value=claim.metric)
    _check_norms(test, claim, key=f"claims[{number}]")
    sites = sorted(test["site"].unique())
    place = -1 if claim.site == ALL_SITES else sites.index(claim.site)
    found = {_chain_names(one): one for one in read.by(claim.metric)}
    wanted = {"classifier": claim.classifier, "reconstruction": claim.reconstruction}
    pairs = [
        (one, found[_with_norm(names, claim.opponents[0])])
        for names, one in found.items()
        if one.names["norm"] == claim.compared[0]
        and all(asked in (None, one.names[column]) for column, asked in wanted.items())
        and _with_norm(names, claim.opponents[0]) in found
    ]
    if not pairs:
        rule = f"must have been tested together with {claim.opponents[0]} in a classifier and reconstruction"
        raise ScanproofError(rule, key=f"claims[{number}].compare", value=claim.compared[0])

    conditions = pairs[0][0].conditions
    shifted, clean = claimed(conditions, claim), is_clean(conditions)

    def difference(one: Degradation, other: Degradation) -> FloatArray:
        gaps = one.trainings[place] - other.trainings[place]  # (seeds, conditions, 1 + resamples)
        change = gaps[:, clean].mean(axis=1) if claim.measure == "change" else 0
        return np.asarray(gaps[:, shifted].mean(axis=1) - change, np.float64)

    crossed = [
        read.bootstrap.crossed(difference(*pair), axis=0, subjects=int(read.chains[0].freedom[place]) + 1)
        for pair in pairs
    ]
    sign = -1 if claim.metric in ERRORS else 1
    samples = sign * np.mean([one.samples for one in crossed], axis=0)
    freedom = min(float(one.freedom) for one in crossed)
    people = test if claim.site == ALL_SITES else test[test["site"] == claim.site]
    return Difference(
        samples,
        freedom,
        subjects=len(people[["site", "subject"]].drop_duplicates()),
        cases=len(people[["site", "subject", "case"]].drop_duplicates()),
    )


def _row(claim: Claim, found: Difference, bootstrap: Bootstrap) -> dict[str, object]:
    value, lower, upper = (float(one) for one in bootstrap.estimate(found.samples, freedom=found.freedom))
    return {
        **asdict(claim),
        "compare": ", ".join(claim.compared),
        "against": ", ".join(claim.opponents),
        "difference": value,
        "lower": lower,
        "upper": upper,
        "subjects": found.subjects,
        "cases": found.cases,
        "verdict": verdict(lower, upper, claim),
    }


def _chain_names(one: Degradation) -> tuple[Name, ...]:
    return tuple(one.names[column] for column in CHAIN)


def _with_norm(names: tuple[Name, ...], norm: str) -> tuple[Name, ...]:
    return (*names[:-1], norm)


def _check_norms(test: pd.DataFrame, claim: Claim, *, key: str) -> None:
    """What a claim about normalizations names must have been tested."""
    _check_conditions(test, claim, key=key)
    for name, asked in (("classifier", claim.classifier), ("reconstruction", claim.reconstruction)):
        if asked is not None:
            _known(asked, test[name], f"{key}.{name}")
    for name, norm in (("compare", claim.compared[0]), ("against", claim.opponents[0])):
        _known(norm, test["norm"], f"{key}.{name}", what="norm")


def _check(cases: pd.DataFrame, claim: Claim, *, key: str) -> None:
    """What a claim about reconstructions names must have been tested."""
    _known(claim.metric, cases["metric"], f"{key}.metric")
    _check_conditions(cases, claim, key=key)
    for name, methods in (("compare", claim.compared), ("against", claim.opponents)):
        for method in methods:
            _known(method, cases["reconstruction"], f"{key}.{name}", what="reconstruction")


def _check_conditions(cases: pd.DataFrame, claim: Claim, *, key: str) -> None:
    severities = cases.loc[cases["shift"] == claim.shift, "severity"]
    tested = {
        "site": (None if claim.site == ALL_SITES else claim.site, cases["site"]),
        "shift": (None if claim.shift == ALL_SHIFTS else claim.shift, cases["shift"]),
        "severity": (claim.severity, severities),
    }
    for name, (asked, there) in tested.items():
        if asked is not None:
            _known(asked, there, f"{key}.{name}")
    if claim.shift == ALL_SHIFTS and not claimed(cases, claim).any():
        raise ScanproofError("needs a shift in the study", key=f"{key}.shift", value=claim.shift)


def _known(asked: object, there: pd.Series, key: str, *, what: str | None = None) -> None:
    known = there.drop_duplicates().tolist()
    if asked not in known:
        raise unknown_name(what or key.rpartition(".")[2], str(asked), [str(one) for one in known], key=key)
