"""How well each chain of reconstruction and classifier reads shifted images, as paired bootstrap samples.

A chain is a reconstruction at an acceleration, read by a classifier with one kind of normalisation that was trained
from several seeds. Means over targets, sites, seeds or conditions and differences between chains are taken on samples,
replicate by replicate; all chains share the resamples of subjects and of training seeds, so differences between them
are paired in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation import classification_metrics as metrics
from scanproof.evaluation.bootstrap import Bootstrap, Crossed, FloatArray
from scanproof.evaluation.grid import Grid, site_grids, to_grid
from scanproof.evaluation.statistics.clusters import informative_subjects
from scanproof.evaluation.statistics.operating_points import cross_fitted_thresholds
from scanproof.evaluation.table import ADVERSARIAL, CHAIN, CLEAN, CONDITION, SIBLINGS
from scanproof.seeds import derive_seed

#: value of a column that names something; None where it is missing
Name = str | float | None
#: what one reading is made with: the names of a chain and its training seed
Reader = tuple[Name, ...]


@dataclass(frozen=True)
class Readings:
    """What one chain says of the cases of one site about one target.

    Args:
        labels: 0 or 1, int64 ``(n,)``.
        subjects: of each case, ``(n,)``.
        scores: probabilities, ``(seeds, conditions, n)``.
        limits: thresholds of the operating points fixed on clean validation cases, ``(seeds, 1)``; none where a
            training has none.
        retuned: thresholds re-tuned on shifted cases of other subjects, ``(seeds, conditions, n)``; none where fewer
            than two subjects have a positive case.
        weights: of the cases in each resample, ``(1 + resamples, n)``.
    """

    labels: npt.NDArray[np.int64]
    subjects: npt.NDArray[np.object_]
    scores: FloatArray
    limits: FloatArray | None
    retuned: FloatArray | None
    weights: FloatArray

    def rates(self, rate: Callable[..., FloatArray], *, retuned: bool) -> FloatArray:
        """A metric at one of the two operating points; NaN where there is no such point."""
        threshold = self.retuned if retuned else self.limits
        if threshold is None:
            return np.full((*self.scores.shape[:-1], len(self.weights)), np.nan)
        return rate(self.labels, self.scores, threshold=threshold, weights=self.weights)

    def score(self, function: Callable[..., FloatArray]) -> FloatArray:
        """A metric without an operating point."""
        return function(self.labels, self.scores, weights=self.weights)


#: metrics of a chain under one condition; ``_retuned`` ones at the threshold that a site would find that tunes it anew
#: on shifted images, the others at that of clean validation cases
CLASSIFICATION_METRICS: dict[str, Callable[[Readings], FloatArray]] = {
    "auroc": lambda r: r.score(metrics.auroc),
    "auprc": lambda r: r.score(metrics.auprc),
    "balanced_accuracy": lambda r: r.rates(metrics.balanced_accuracy, retuned=False),
    "sensitivity": lambda r: r.rates(metrics.sensitivity, retuned=False),
    "specificity": lambda r: r.rates(metrics.specificity, retuned=False),
    "balanced_accuracy_retuned": lambda r: r.rates(metrics.balanced_accuracy, retuned=True),
    "sensitivity_retuned": lambda r: r.rates(metrics.sensitivity, retuned=True),
    "specificity_retuned": lambda r: r.rates(metrics.specificity, retuned=True),
    "ece": lambda r: r.score(metrics.expected_calibration_error),
    "brier": lambda r: r.score(metrics.brier),
    "nll": lambda r: r.score(metrics.negative_log_likelihood),
}
#: those of which less is better
ERRORS = ("ece", "brier", "nll")


@dataclass(frozen=True)
class Chain:
    """One chain and all that it read.

    Args:
        names: value of each column of :data:`~scanproof.evaluation.table.CHAIN`.
        seeds: training seeds; a missing one stands for a model of unknown training.
        conditions: shift and severity, one row a condition.
        readings: target to those of each site, in the order of the sites' names.
        bootstrap: how intervals are made.
    """

    names: dict[str, Name]
    seeds: list[Name]
    conditions: pd.DataFrame
    readings: Mapping[str, Sequence[Readings]]
    bootstrap: Bootstrap

    @cached_property
    def freedom(self) -> npt.NDArray[np.int64]:
        """Degrees of freedom that subjects give to a number of each site and to the mean over sites, ``(sites + 1,)``.

        Those of the subjects who tell something: of the rarer label, of the target with the fewest.
        """
        targets = [
            [informative_subjects(site.labels, site.subjects) for site in sites] for sites in self.readings.values()
        ]
        least = np.min(targets, axis=0)
        return np.maximum([*(least - 1), least.sum() - len(least)], 1)

    def samples(self, metric: str, *, target: str | None = None) -> FloatArray:
        """A metric of :data:`CLASSIFICATION_METRICS` as samples.

        Args:
            metric: its name.
            target: of which target; the mean over targets without.

        Returns:
            Shape ``(sites + 1, seeds, conditions, 1 + resamples)``. The last site is the mean over sites, the first of
            the last axis the value itself.
        """
        function = CLASSIFICATION_METRICS[metric]
        chosen = list(self.readings) if target is None else [target]
        by_site = [
            np.mean([function(self.readings[name][site]) for name in chosen], axis=0)
            for site in range(len(self.readings[chosen[0]]))
        ]
        return np.asarray([*by_site, np.mean(by_site, axis=0)])

    def over_trainings(self, samples: FloatArray) -> Crossed:
        """Mean over training seeds, which are drawn anew as subjects are.

        Args:
            samples: ``(sites + 1, seeds, ..., 1 + resamples)``.

        Returns:
            Samples ``(sites + 1, ..., 1 + resamples)`` and degrees of freedom ``(sites + 1, ...)``.
        """
        found = [
            self.bootstrap.crossed(one, axis=0, subjects=int(degrees) + 1)
            for one, degrees in zip(samples, self.freedom, strict=True)
        ]
        return Crossed(np.stack([one.samples for one in found]), np.stack([one.freedom for one in found]))


def siblings(names: Mapping[str, Name]) -> tuple[Name, ...]:
    """What a chain of these names shares with those that differ from it in normalization alone."""
    return tuple(names[column] for column in SIBLINGS)


def is_clean(rows: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows are about images as the site acquires them."""
    return (rows["shift"] == CLEAN).to_numpy(bool)


def is_shifted(rows: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows are about images under a shift of severity 1 or more that a scanner may cause."""
    natural = ~rows["shift"].isin([CLEAN, ADVERSARIAL])
    return (natural & (rows["severity"] >= 1)).to_numpy(bool)


#: probabilities of the test cases of each site about each target, rows by chain, seed and condition
Grids = Mapping[str, Mapping[str, Grid]]


def reading_grids(predictions: pd.DataFrame) -> dict[str, dict[str, Grid]]:
    """Probabilities of the test cases, by target and site, rows by chain, seed and condition.

    Raises:
        ScanproofError: a case that stands twice or not at all in a condition, a changing label, sites, targets, chains
            or seeds with different conditions, no clean condition, or a site whose cases all have one label.
    """
    test = predictions[predictions["split"] == "test"]
    if test.empty:
        raise ScanproofError("must hold rows of the test split", file="predictions", key="split")
    by = [*CHAIN, "seed", *CONDITION]
    found: dict[str, dict[str, Grid]] = {}
    for target in sorted(test["target"].unique()):
        rows = test[test["target"] == target]
        found[target] = site_grids(rows, by=by, value="probability", constants=["label"], name="predictions")
        _check_labels(found[target], target)
    first = _rows(found)
    for target, grids in found.items():
        if list(grids) != list(next(iter(found.values()))) or not _rows({target: grids}).equals(first):
            rule = "every target must have been tested at the same sites under the same conditions, one is missing here"
            raise ScanproofError(rule, file="predictions", key="target", value=target)
    counts = Counter(_readers(first))
    fewest = min(counts, key=counts.__getitem__)
    if counts[fewest] != len(first[[*CONDITION]].drop_duplicates()):
        rule = "every chain and seed must have been tested under the same conditions, this one lacks some"
        raise ScanproofError(rule, file="predictions", value=_named(fewest))
    if not is_clean(first).any():
        raise ScanproofError(f"test split must hold the clean condition, {CLEAN!r}", file="predictions", key="shift")
    return found


def _check_labels(grids: Mapping[str, Grid], target: str) -> None:
    for site, grid in grids.items():
        labels = grid.cases["label"].unique()
        if len(labels) < 2:
            hint = f"{len(grid.cases)} test cases; without the other label no AUROC is defined"
            rule = f"test cases of site {site!r} must have both labels, 0 and 1, of {target!r}"
            raise ScanproofError(rule, file="predictions", key="label", value=int(labels[0]), hint=hint)


def operating_points(
    predictions: pd.DataFrame, *, sensitivity: float, given: pd.DataFrame | None = None
) -> dict[str, dict[Reader, float]]:
    """The threshold of each target, chain and seed, fixed on its clean validation cases of all sites.

    Args:
        predictions: the per-case probability table.
        sensitivity: to reach at least, in (0, 1].
        given: thresholds that came with classifiers, for want of validation cases: columns ``target``, those of
            :data:`~scanproof.evaluation.table.CHAIN`, ``seed`` and ``threshold``, missing where there is none.

    Returns:
        Target to (reconstruction, acceleration, classifier, norm, seed) to threshold, missing names as None.

    Raises:
        ScanproofError: no clean validation rows, no positive case among them, or a case that stands twice or not at
            all.

    Example:
        >>> val = pd.DataFrame({"site": "north", "subject": ["a", "b"], "case": ["a1", "b1"], "split": "val",
        ...     "target": "lesion", "label": [0, 1], "shift": "none", "severity": 0, "reconstruction": "unet",
        ...     "acceleration": 4.0, "classifier": "resnet18", "norm": "batch", "seed": 1, "probability": [0.25, 0.75]})
        >>> operating_points(val, sensitivity=0.9)
        {'lesion': {('unet', 4.0, 'resnet18', 'batch', 1): 0.75}}
    """
    clean = predictions[(predictions["split"] == "val") & (predictions["shift"] == CLEAN)]
    if clean.empty and given is None:
        rule = f"must hold validation rows (split 'val') of the clean condition, shift {CLEAN!r}"
        raise ScanproofError(rule, file="predictions", hint="operating points are fixed on them")
    by = [*CHAIN, "seed"]
    case = ["site", "subject", "case"]
    found: dict[str, dict[Reader, float]] = {}
    if given is not None:
        for target, rows in given.groupby("target", sort=True):
            found[str(target)] = dict(zip(_readers(rows), rows["threshold"].astype(float), strict=True))
    for target in sorted(clean["target"].unique()):
        rows = clean[clean["target"] == target]
        grid = to_grid(rows, by=by, value="probability", constants=["label"], case=case, name="predictions: val")
        labels = grid.cases["label"].to_numpy(np.int64)
        found[target] = found.get(target, {}) | {
            reader: metrics.operating_threshold(labels, scores, sensitivity=sensitivity)
            for reader, scores in zip(_readers(grid.rows), grid.values, strict=True)
        }
    return found


def read_chains(
    grids: Grids,
    thresholds: Mapping[str, Mapping[Reader, float]],
    bootstrap: Bootstrap,
    *,
    sensitivity: float,
) -> Iterator[Chain]:
    """One chain after the other.

    Args:
        grids: of :func:`reading_grids`.
        thresholds: of :func:`operating_points`.
        bootstrap: how intervals are made.
        sensitivity: that re-tuned thresholds reach.

    Raises:
        ScanproofError: a chain and seed without a threshold.
    """
    rows = _rows(grids)
    weights = {
        site: bootstrap.weights(site, grid.cases["subject"].to_numpy(object))
        for site, grid in next(iter(grids.values())).items()
    }
    conditions = rows[[*CONDITION]].drop_duplicates()  # in the order in which each reader has them
    for _, part in rows.groupby([*CHAIN], dropna=False, sort=True):
        readers = _readers(part)[:: len(conditions)]
        shape = (len(readers), len(conditions), -1)
        readings: dict[str, list[Readings]] = {}
        for target, sites in grids.items():
            fixed = np.array([_threshold(thresholds, target, reader) for reader in readers])[:, None]
            limits = None if np.isnan(fixed).any() else fixed
            readings[target] = []
            for site, grid in sites.items():
                labels, subjects = grid.cases["label"].to_numpy(np.int64), grid.cases["subject"].to_numpy(object)
                scores = grid.values[part.index].reshape(shape)
                seed = derive_seed(bootstrap.seed, "re-tuned threshold", site, target)
                retuned = None
                if len(set(subjects[labels == 1])) > 1:  # one for each half
                    retuned = cross_fitted_thresholds(labels, scores, subjects, sensitivity=sensitivity, seed=seed)
                readings[target].append(Readings(labels, subjects, scores, limits, retuned, weights[site]))
        yield Chain(
            names=dict(zip(CHAIN, readers[0], strict=False)),
            seeds=[reader[-1] for reader in readers],
            conditions=conditions,
            readings=readings,
            bootstrap=bootstrap,
        )


def _rows(grids: Grids) -> pd.DataFrame:
    return next(iter(next(iter(grids.values())).values())).rows


def _readers(rows: pd.DataFrame) -> list[Reader]:
    """Chain and seed of each row; None where a name is missing, for missing values do not equal each other."""
    columns = rows[[*CHAIN, "seed"]].astype(object)
    return [tuple(None if pd.isna(part) else part for part in row) for row in columns.itertuples(index=False)]


def _named(reader: Reader) -> dict[str, Name]:
    return {k: v for k, v in zip((*CHAIN, "seed"), reader, strict=True) if v is not None}


def _threshold(thresholds: Mapping[str, Mapping[Reader, float]], target: str, reader: Reader) -> float:
    if reader not in thresholds.get(target, {}):
        rule = f"every chain and seed needs clean validation rows of {target!r} to fix its operating point on"
        raise ScanproofError(rule, file="predictions", value=_named(reader))
    return thresholds[target][reader]
