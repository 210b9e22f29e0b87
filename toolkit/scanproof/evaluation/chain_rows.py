"""Rows of the results table about chains: their curves, their summaries and their distance to the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.evaluation.bootstrap import Bootstrap, Estimate, FloatArray
from scanproof.evaluation.chains import CLASSIFICATION_METRICS, Chain, Grids, siblings
from scanproof.evaluation.degradation import Degradation
from scanproof.evaluation.statistics import robustness
from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, REFERENCE_NORM

#: metrics and summaries with values beyond [0, 1]
UNBOUNDED = (
    "nll",
    "auroc_drop",
    "corruption_error",
    "relative_corruption_error",
    "mce",
    "relative_mce",
    "weighted_degradation",
)


def site_counts(grids: Grids) -> pd.DataFrame:
    """Sites and "all", their mean, with the number of test cases: columns ``site`` and ``n``."""
    sites = next(iter(grids.values()))
    counts = [len(grid.cases) for grid in sites.values()]
    return pd.DataFrame({"site": [*sites, ALL_SITES], "n": [*counts, sum(counts)]})


def curve_rows(chain: Chain, sites: pd.DataFrame, bootstrap: Bootstrap) -> tuple[pd.DataFrame, Degradation]:
    """Each metric of a chain under each condition, and how its AUROC degrades.

    Rows of every site and of "all", the unweighted mean of the sites: each metric of
    :data:`~scanproof.evaluation.chains.CLASSIFICATION_METRICS` for each training seed and, with the seed missing, their
    mean; of each target and, with the target missing, their mean (alone where there is one target). The operating point
    of a chain, seed and target is the highest threshold that reaches the sensitivity on its own clean validation cases,
    all sites pooled; ``_retuned`` metrics take one from other subjects' images under the same condition at the same
    site; there are none where fewer than two subjects of a site have a positive case.

    Args:
        chain: to describe.
        sites: of :func:`site_counts`.
        bootstrap: how intervals are made.
    """
    targets: list[str | None] = [None, *(chain.readings if len(chain.readings) > 1 else [])]
    auroc = chain.samples("auroc")
    frames = []
    for metric in CLASSIFICATION_METRICS:
        for target in targets:
            known = metric == "auroc" and target is None
            samples = auroc if known else chain.samples(metric, target=target)
            frames.append(_curves(chain, samples, sites, bootstrap, metric).assign(target=target))
    table = pd.concat([frame.assign(**chain.names) for frame in frames], ignore_index=True)
    return table, Degradation.of(chain, auroc)


def _curves(chain: Chain, samples: FloatArray, sites: pd.DataFrame, bootstrap: Bootstrap, metric: str) -> pd.DataFrame:
    mean = chain.over_trainings(samples)
    every = np.concatenate([samples, mean.samples[:, None]], axis=1)
    alone = np.broadcast_to(chain.freedom[:, None, None], samples.shape[:-1])
    freedom = np.concatenate([alone, mean.freedom[:, None]], axis=1)
    seeds = pd.Series([*chain.seeds, None], dtype="Int64")
    site, seed, condition = (axis.ravel() for axis in np.indices(every.shape[:-1]))
    frame = pd.concat([_take(sites, site), _take(chain.conditions, condition)], axis=1)
    estimate = within(bootstrap.estimate(every.reshape(len(site), -1), freedom=freedom.ravel()), metric)
    frame = frame.assign(metric=metric, seed=seeds.take(seed).array, **estimate._asdict())
    # a model of unknown training has no seed to be named by: the mean over its one reading says it all
    kept: pd.DataFrame = frame[frame["value"].notna() & (frame["seed"].notna() | (seed == len(chain.seeds)))]
    return kept


def summary_rows(found: Sequence[Degradation], sites: pd.DataFrame, bootstrap: Bootstrap) -> Iterator[pd.DataFrame]:
    """What the AUROC of each chain says over several severities; severity, seed and target missing.

    Of each shift, and of all of them with the shift "all" (worst cases, ``adversarial``, left out of both):

    - ``auroc_shifted``: the mean over severities of at least 1; of all shifts, the mean over all their severities.
    - ``corruption_error`` and ``relative_corruption_error``, over all shifts their means ``mce`` and ``relative_mce``:
      the error, 1 − AUROC, against that of the chain with batch normalization and else the same parts
      (:mod:`~scanproof.evaluation.statistics.robustness`); no row where there is none, or none that degrades.
    - ``weighted_degradation`` and ``severity_auc``, over all shifts their means.

    Over all shifts alone: ``auroc_clean``; ``auroc_drop``, clean minus shifted; ``auroc_worst``, the lowest under any
    one condition, and ``auroc_worst_shift``, the lowest mean under one shift, each with the interval of that condition.
    Since the worst is chosen on the same cases, it is lower than new cases of that condition may score.

    At site "all": ``auroc_worst_site``, the lowest ``auroc_shifted`` of a site, and ``auroc_gap_to_best``,
    ``auroc_shifted`` minus that of the best chain, paired; none for the best chain (of equals the first by name). The
    best is chosen on the same cases, so intervals take no account of that choice or of the number of chains.

    Args:
        found: one a chain.
        sites: of :func:`site_counts`.
        bootstrap: how intervals are made.
    """
    references = {siblings(one.names): one for one in found if one.names["norm"] == REFERENCE_NORM}
    for one in found:
        for shift, metric, samples in _summaries(one, references.get(siblings(one.names))):
            frame, freedom = (sites, one.freedom) if len(samples) == len(sites) else (sites.tail(1), one.freedom[-1:])
            estimate = within(bootstrap.estimate(samples, freedom=freedom), metric)
            rows = frame.assign(shift=shift, metric=metric, **estimate._asdict(), **one.names)
            yield rows[rows["value"].notna()]  # an undefined ratio has no row
    yield from _gaps(found, sites, bootstrap)


def _summaries(one: Degradation, reference: Degradation | None) -> Iterator[tuple[str, str, FloatArray]]:
    """Shift, metric and samples ``(sites + 1, 1 + resamples)``, or ``(1, ...)`` of the mean over sites alone."""
    yield ALL_SHIFTS, "auroc_clean", one.clean
    if not one.shifts:
        return
    parts: dict[str, list[FloatArray]] = {}
    for shift in one.shifts:
        for metric, samples in _of_shift(one, reference, shift).items():
            parts.setdefault(metric, []).append(samples)
            yield shift, metric, samples
    mean = one.shifted.mean(axis=1)
    yield ALL_SHIFTS, "auroc_shifted", mean
    yield ALL_SHIFTS, "auroc_drop", one.clean - mean
    yield ALL_SHIFTS, "auroc_worst", _lowest(one.shifted)
    yield ALL_SHIFTS, "auroc_worst_shift", _lowest(np.stack(parts["auroc_shifted"], axis=1))
    over_shifts = {"corruption_error": "mce", "relative_corruption_error": "relative_mce"}
    for metric in ("weighted_degradation", "severity_auc"):
        yield ALL_SHIFTS, metric, np.mean(parts[metric], axis=0)
    for metric, name in over_shifts.items():
        if metric in parts:
            yield ALL_SHIFTS, name, robustness.mean_corruption_error(np.stack(parts[metric], axis=1))
    yield ALL_SHIFTS, "auroc_worst_site", _lowest(mean[None, :-1])


def _of_shift(one: Degradation, reference: Degradation | None, shift: str) -> dict[str, FloatArray]:
    severities, scores = one.severities(shift), one.under(shift)
    errors = 1 - scores
    found = {
        "auroc_shifted": scores.mean(axis=1),
        "weighted_degradation": robustness.weighted_degradation(errors, clean=1 - one.clean, severities=severities),
        "severity_auc": robustness.curve_area(
            np.concatenate([one.clean[:, None], scores], axis=1), severities=[0, *severities]
        ),
    }
    if reference is not None:
        others = 1 - reference.under(shift)
        found["corruption_error"] = robustness.corruption_error(errors, others)
        found["relative_corruption_error"] = robustness.relative_corruption_error(
            errors, others, clean=1 - one.clean, reference_clean=1 - reference.clean
        )
    return found


def within(estimate: Estimate, metric: str) -> Estimate:
    """An interval within the values that a metric can have, where it was widened beyond them."""
    if metric in UNBOUNDED:
        return estimate
    return estimate._replace(lower=np.clip(estimate.lower, 0, 1), upper=np.clip(estimate.upper, 0, 1))


def _lowest(samples: FloatArray) -> FloatArray:
    """Of samples ``(sites, conditions, 1 + resamples)``, those of the condition with the lowest value."""
    return robustness.worst(samples, higher_is_better=True).samples


def _gaps(found: Sequence[Degradation], sites: pd.DataFrame, bootstrap: Bootstrap) -> Iterator[pd.DataFrame]:
    """Each chain but the best against the best, over all sites."""
    shifted = [one.shifted[-1].mean(axis=0) for one in found if one.shifts]
    if not shifted:
        return
    best = max(range(len(shifted)), key=lambda index: float(shifted[index][0]))
    for index, samples in enumerate(shifted):
        if index != best:
            freedom = np.minimum(found[index].freedom, found[best].freedom)[-1:]
            estimate = bootstrap.estimate((samples - shifted[best])[None], freedom=freedom)
            gap = sites.tail(1).assign(shift=ALL_SHIFTS, metric="auroc_gap_to_best", **estimate._asdict())
            yield gap.assign(**found[index].names)


def _take(table: pd.DataFrame, positions: npt.NDArray[np.intp]) -> pd.DataFrame:
    return table.iloc[positions].reset_index(drop=True)
