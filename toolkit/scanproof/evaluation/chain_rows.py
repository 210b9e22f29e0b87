"""Rows of the results table about chains: their curves, their summaries and their distance to the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.evaluation.bootstrap import Bootstrap, FloatArray
from scanproof.evaluation.chains import ChainSamples, Name, chain_samples, operating_points, reading_grids
from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES


def chain_rows(predictions: pd.DataFrame, bootstrap: Bootstrap, *, sensitivity: float) -> pd.DataFrame:
    """Everything that the results table says about classification.

    Rows of every site and of "all", the unweighted mean of the sites:

    - ``auroc``, ``balanced_accuracy``, ``sensitivity``, ``specificity`` and ``ece`` under each condition, for each
      training seed and, with the seed missing, their mean over the seeds. The operating point of a chain and seed is
      the highest threshold that reaches the sensitivity on its own clean validation cases, all sites pooled.
    - over all conditions (shift "all", severity and seed missing): ``auroc_clean``; ``auroc_shifted``, the mean over
      all shifts and severities of at least 1 but ``adversarial``, which no scanner does; ``auroc_drop``, clean minus
      shifted; ``auroc_worst``, the lowest of the shifted ones with the interval of that condition. Since the worst is
      chosen on the same cases, it is lower than new cases of that condition would be expected to score.
    - at site "all": ``auroc_gap_to_best``, ``auroc_shifted`` minus that of the best chain, paired; none for the best
      chain (of equals the first by name). The best is chosen on the same cases, so intervals take no account of that
      choice or of the number of chains.

    Args:
        predictions: the per-case probability table, not empty.
        bootstrap: how intervals are made.
        sensitivity: that the operating points reach on clean validation cases, in (0, 1].

    Returns:
        Columns of the results table, without the study.

    Raises:
        ScanproofError: as :func:`~scanproof.evaluation.chains.reading_grids` and
            :func:`~scanproof.evaluation.chains.operating_points`.
    """
    grids = reading_grids(predictions)
    thresholds = operating_points(predictions, sensitivity=sensitivity)
    counts = [len(grid.cases) for grid in grids.values()]
    sites = pd.DataFrame({"site": [*grids, ALL_SITES], "n": [*counts, sum(counts)]})
    frames: list[pd.DataFrame] = []
    shifted: list[tuple[dict[str, Name], FloatArray]] = []
    for chain in chain_samples(grids, thresholds, bootstrap):
        parts = [*_curves(chain, sites, bootstrap), *_summaries(chain, sites, bootstrap)]
        frames += [part.assign(**chain.chain) for part in parts]
        if chain.shifted.size:
            shifted.append((chain.chain, chain.shifted[-1].mean(axis=0)))
    return pd.concat([*frames, *_gaps(shifted, sites, bootstrap)], ignore_index=True)


def _curves(chain: ChainSamples, sites: pd.DataFrame, bootstrap: Bootstrap) -> Iterator[pd.DataFrame]:
    """Each metric under each condition, for each seed and their mean."""
    seeds = pd.Series([*chain.seeds, None], dtype="Int64")
    for metric, samples in chain.samples.items():
        site, seed, condition = (axis.ravel() for axis in np.indices(samples.shape[:-1]))
        frame = pd.concat([_take(sites, site), _take(chain.conditions, condition)], axis=1)
        estimate = bootstrap.estimate(samples.reshape(len(site), -1))
        frame = frame.assign(seed=seeds.take(seed).array, metric=metric, **estimate._asdict())
        # a model of unknown training has no seed to be named by: the mean over its one reading says it all
        yield frame[frame["seed"].notna() | (seed == len(chain.seeds))]


def _summaries(chain: ChainSamples, sites: pd.DataFrame, bootstrap: Bootstrap) -> Iterator[pd.DataFrame]:
    """The chain over all conditions, at each site."""
    found = {"auroc_clean": chain.clean}
    if chain.shifted.size:
        mean = chain.shifted.mean(axis=1)
        worst = chain.shifted[..., 0].argmin(axis=1)
        lowest = chain.shifted[np.arange(len(worst)), worst]
        found |= {"auroc_shifted": mean, "auroc_drop": chain.clean - mean, "auroc_worst": lowest}
    for metric, samples in found.items():
        yield sites.assign(shift=ALL_SHIFTS, metric=metric, **bootstrap.estimate(samples)._asdict())


def _gaps(
    shifted: Sequence[tuple[dict[str, Name], FloatArray]], sites: pd.DataFrame, bootstrap: Bootstrap
) -> Iterator[pd.DataFrame]:
    """Each chain but the best against the best, over all sites."""
    if not shifted:
        return
    best = max(range(len(shifted)), key=lambda index: float(shifted[index][1][0]))
    for index, (chain, samples) in enumerate(shifted):
        if index != best:
            estimate = bootstrap.estimate((samples - shifted[best][1])[None])
            gap = sites.tail(1).assign(shift=ALL_SHIFTS, metric="auroc_gap_to_best", **estimate._asdict())
            yield gap.assign(**chain)


def _take(table: pd.DataFrame, positions: npt.NDArray[np.intp]) -> pd.DataFrame:
    return table.iloc[positions].reset_index(drop=True)
