"""How well each chain of reconstruction and classifier reads shifted images, as paired bootstrap samples.

A chain is a reconstruction at an acceleration, read by a classifier with one kind of normalisation that was trained
from several seeds. Means over sites, seeds or conditions and differences between chains are taken on samples,
replicate by replicate; all chains share the resamples of a site, so differences between them are paired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation import classification_metrics as metrics
from scanproof.evaluation.bootstrap import Bootstrap, FloatArray
from scanproof.evaluation.grid import Grid, site_grids, to_grid
from scanproof.evaluation.table import ADVERSARIAL, CHAIN, CLEAN, CONDITION

#: metrics of a chain under one condition
CLASSIFICATION_METRICS = ("auroc", "balanced_accuracy", "sensitivity", "specificity", "ece")

#: value of a column that names something; None where it is missing
Name = str | float | None
#: what one reading is made with: the names of a chain and its training seed
Reader = tuple[Name, ...]


@dataclass(frozen=True)
class ChainSamples:
    """Metrics of one chain.

    Attributes:
        chain: value of each column of :data:`~scanproof.evaluation.table.CHAIN`.
        seeds: training seeds; a missing one stands for a model of unknown training.
        conditions: shift and severity, one row a condition.
        samples: each metric as samples of shape ``(sites + 1, seeds + 1, conditions, 1 + resamples)``. The last site
            is the mean over sites, the last seed the mean over seeds, the first of the last axis the value itself.
    """

    chain: dict[str, Name]
    seeds: list[Name]
    conditions: pd.DataFrame
    samples: Mapping[str, FloatArray]

    @property
    def clean(self) -> FloatArray:
        """AUROC on clean images, mean over seeds, shape ``(sites + 1, 1 + resamples)``."""
        return self.samples["auroc"][:, -1, is_clean(self.conditions)][:, 0]

    @property
    def shifted(self) -> FloatArray:
        """AUROC under each shift of severity 1 or more, ``(sites + 1, shifted conditions, 1 + resamples)``."""
        return self.samples["auroc"][:, -1, is_shifted(self.conditions)]


def is_clean(rows: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows are about images as the site acquires them."""
    return (rows["shift"] == CLEAN).to_numpy(bool)


def is_shifted(rows: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows are about images under a shift of severity 1 or more that a scanner may cause."""
    natural = ~rows["shift"].isin([CLEAN, ADVERSARIAL])
    return (natural & (rows["severity"] >= 1)).to_numpy(bool)


def reading_grids(predictions: pd.DataFrame) -> dict[str, Grid]:
    """Probabilities of the test cases of each site, rows by chain, seed and condition.

    Raises:
        ScanproofError: a case that stands twice or not at all in a condition, a changing label, sites, chains or
            seeds with different conditions, no clean condition, or a site whose cases all have one label.
    """
    test = predictions[predictions["split"] == "test"]
    if test.empty:
        raise ScanproofError("must hold rows of the test split", file="predictions", key="split")
    by = [*CHAIN, "seed", *CONDITION]
    grids = site_grids(test, by=by, value="probability", constants=["label"], name="predictions")
    for site, grid in grids.items():
        found = grid.cases["label"].unique()
        if len(found) < 2:
            hint = f"{len(grid.cases)} test cases; without the other label no AUROC is defined"
            rule = f"test cases of site {site!r} must have both labels, 0 and 1"
            raise ScanproofError(rule, file="predictions", key="label", value=int(found[0]), hint=hint)
    rows = next(iter(grids.values())).rows
    counts = Counter(_readers(rows))
    fewest = min(counts, key=counts.__getitem__)
    if counts[fewest] != len(rows[[*CONDITION]].drop_duplicates()):
        rule = "every chain and seed must have been tested under the same conditions, this one lacks some"
        raise ScanproofError(rule, file="predictions", value=_named(fewest))
    if not is_clean(rows).any():
        raise ScanproofError(f"test split must hold the clean condition, {CLEAN!r}", file="predictions", key="shift")
    return grids


def operating_points(predictions: pd.DataFrame, *, sensitivity: float) -> dict[Reader, float]:
    """The threshold of each chain and seed, fixed on its clean validation cases of all sites.

    Args:
        predictions: the per-case probability table.
        sensitivity: to reach at least, in (0, 1].

    Returns:
        (reconstruction, acceleration, classifier, norm, seed) to threshold, missing names as None.

    Raises:
        ScanproofError: no clean validation rows, no positive case among them, or a case that stands twice or not at
            all.

    Example:
        >>> val = pd.DataFrame({"site": "north", "subject": ["a", "b"], "case": ["a1", "b1"], "split": "val",
        ...     "label": [0, 1], "shift": "none", "severity": 0, "reconstruction": "unet", "acceleration": 4.0,
        ...     "classifier": "resnet18", "norm": "batch", "seed": 1, "probability": [0.25, 0.75]})
        >>> operating_points(val, sensitivity=0.9)
        {('unet', 4.0, 'resnet18', 'batch', 1): 0.75}
    """
    clean = predictions[(predictions["split"] == "val") & (predictions["shift"] == CLEAN)]
    if clean.empty:
        rule = f"must hold validation rows (split 'val') of the clean condition, shift {CLEAN!r}"
        raise ScanproofError(rule, file="predictions", hint="operating points are fixed on them")
    by = [*CHAIN, "seed"]
    case = ["site", "subject", "case"]
    grid = to_grid(clean, by=by, value="probability", constants=["label"], case=case, name="predictions: val")
    labels = grid.cases["label"].to_numpy(np.int64)
    return {
        reader: metrics.operating_threshold(labels, scores, sensitivity=sensitivity)
        for reader, scores in zip(_readers(grid.rows), grid.values, strict=True)
    }


def chain_samples(
    grids: Mapping[str, Grid], thresholds: Mapping[Reader, float], bootstrap: Bootstrap
) -> Iterator[ChainSamples]:
    """Metrics of one chain after the other, so that memory holds the samples of one.

    Args:
        grids: of :func:`reading_grids`.
        thresholds: of :func:`operating_points`.
        bootstrap: how intervals are made.

    Raises:
        ScanproofError: a chain and seed without a threshold.
    """
    rows = next(iter(grids.values())).rows
    weights = {site: bootstrap.weights(site, grid.cases["subject"].to_numpy(object)) for site, grid in grids.items()}
    conditions = rows[[*CONDITION]].drop_duplicates()  # in the order in which each reader has them
    for _, part in rows.groupby([*CHAIN], dropna=False, sort=True):
        readers = _readers(part)[:: len(conditions)]
        limits = np.array([_threshold(thresholds, reader) for reader in readers])[:, None]
        shape = (len(readers), len(conditions), -1)
        sites = [
            _site_samples(grid, grid.values[part.index].reshape(shape), limits, weights[site])
            for site, grid in grids.items()
        ]
        samples = {name: _with_mean(_with_mean([site[name] for site in sites]), axis=1) for name in sites[0]}
        chain = dict(zip(CHAIN, readers[0], strict=False))
        yield ChainSamples(chain, [reader[-1] for reader in readers], conditions, samples)


def _site_samples(grid: Grid, scores: FloatArray, limits: FloatArray, weights: FloatArray) -> dict[str, FloatArray]:
    labels = grid.cases["label"].to_numpy(np.int64)
    values = (
        metrics.auroc(labels, scores, weights=weights),
        metrics.balanced_accuracy(labels, scores, threshold=limits, weights=weights),
        metrics.sensitivity(labels, scores, threshold=limits, weights=weights),
        metrics.specificity(labels, scores, threshold=limits, weights=weights),
        metrics.expected_calibration_error(labels, scores, weights=weights),
    )
    return dict(zip(CLASSIFICATION_METRICS, values, strict=True))


def _with_mean(samples: FloatArray | list[FloatArray], axis: int = 0) -> FloatArray:
    stacked = np.asarray(samples)
    return np.concatenate([stacked, stacked.mean(axis=axis, keepdims=True)], axis=axis)


def _readers(rows: pd.DataFrame) -> list[Reader]:
    """Chain and seed of each row; None where a name is missing, for missing values do not equal each other."""
    columns = rows[[*CHAIN, "seed"]].astype(object)
    return [tuple(None if pd.isna(part) else part for part in row) for row in columns.itertuples(index=False)]


def _named(reader: Reader) -> dict[str, Name]:
    return {k: v for k, v in zip((*CHAIN, "seed"), reader, strict=True) if v is not None}


def _threshold(thresholds: Mapping[Reader, float], reader: Reader) -> float:
    if reader not in thresholds:
        rule = "every chain and seed needs clean validation rows to fix its operating point on"
        raise ScanproofError(rule, file="predictions", value=_named(reader))
    return thresholds[reader]
