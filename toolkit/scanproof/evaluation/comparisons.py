"""Normalizations against batch normalization, paired: differences, p-values and effect sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from scanproof.evaluation.bootstrap import Bootstrap, FloatArray
from scanproof.evaluation.chains import Chain, is_clean, siblings
from scanproof.evaluation.degradation import Degradation
from scanproof.evaluation.statistics.decisions import bootstrap_p_value, holm, standardised_difference
from scanproof.evaluation.statistics.permutation import auroc_contributions, sign_flip_test
from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, CLEAN, REFERENCE_NORM
from scanproof.seeds import derive_seed

COMPARISON_COLUMNS: dict[str, str] = {
    "study": "string",
    "site": "string",
    "shift": "string",  # "none", a shift, or "all": the mean over all of them
    "severity": "Int64",  # 0 where shift is "none"; missing in means over severities from 1 up
    "reconstruction": "string",
    "acceleration": "float64",
    "classifier": "string",
    "norm": "string",
    "reference": "string",  # the norm that it is compared with
    "metric": "string",
    "measure": "string",  # "quality" under the condition, or "change" from the clean condition to it
    "difference": "float64",  # positive is in favour of norm
    "lower": "float64",
    "upper": "float64",
    "p_value": "float64",  # of the bootstrap of subjects and trainings
    "p_permutation": "float64",  # of swapping the readings of subjects, given these trainings; at site "all"
    "p_holm": "float64",  # p_value corrected for the number of shifts; at site "all", of single shifts
    "effect_size": "float64",  # difference over its standard deviation between trainings
    "subjects": "Int64",
    "cases": "Int64",
    "seeds": "Int64",
}


#: random permutations of a test
PERMUTATIONS = 10_000


class _Contrast(NamedTuple):
    """Which conditions are set against each other: ``weights`` sum to one, or to zero for a change."""

    shift: str
    severity: int | None
    measure: str
    weights: FloatArray


def compare_norms(
    chains: Sequence[Chain], degradations: Sequence[Degradation], sites: Sequence[str], bootstrap: Bootstrap
) -> pd.DataFrame:
    """Every normalization against batch normalization of the same reconstruction and classifier, by AUROC.

    Differences are paired over cases and over training seeds, which give two normalizations the same initial weights
    and batches; both are drawn anew for the interval and for ``p_value``. ``p_permutation`` takes the trainings as they
    are and asks whether subjects would be read as well by either. Holm's correction
    (:func:`~scanproof.evaluation.statistics.decisions.holm`) is for the shifts of one pair of chains.

    Args:
        chains: to compare.
        degradations: of the chains, in their order.
        sites: names of the sites, in the order of the samples.
        bootstrap: how intervals are made.

    Returns:
        Columns of :data:`COMPARISON_COLUMNS` without the study; no rows where batch normalization was not tested.
    """
    pairs = list(zip(chains, degradations, strict=True))
    references = {siblings(chain.names): (chain, one) for chain, one in pairs if chain.names["norm"] == REFERENCE_NORM}
    frames = [
        _compare(chain, one, *references[siblings(chain.names)], sites=sites, bootstrap=bootstrap)
        for chain, one in pairs
        if chain.names["norm"] != REFERENCE_NORM and siblings(chain.names) in references
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*COMPARISON_COLUMNS][1:])


def _compare(
    chain: Chain,
    one: Degradation,
    other: Chain,
    reference: Degradation,
    *,
    sites: Sequence[str],
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    differences = one.trainings - reference.trainings  # (sites + 1, seeds, conditions, 1 + resamples)
    contributions = _contributions(chain, other)
    readings = next(iter(chain.readings.values()))
    counts = {
        "subjects": [len(set(site.subjects)) for site in readings],
        "cases": [len(site.labels) for site in readings],
    }
    rows = []
    for contrast in _contrasts(one):
        by_training = np.einsum("skcr,c->skr", differences, contrast.weights)
        samples, freedom = chain.over_trainings(by_training)
        estimate = bootstrap.estimate(samples, freedom=freedom)
        frame = pd.DataFrame(
            {
                "site": [*sites, ALL_SITES],
                "shift": contrast.shift,
                "severity": contrast.severity,
                "measure": contrast.measure,
                "difference": estimate.value,
                "lower": estimate.lower,
                "upper": estimate.upper,
                "p_value": bootstrap_p_value(samples, freedom=freedom),
                "effect_size": standardised_difference(by_training[..., 0]) if differences.shape[1] > 1 else np.nan,
                **{name: [*count, sum(count)] for name, count in counts.items()},
            }
        )
        terms = np.einsum("sc,c->s", contributions, contrast.weights)
        found = sign_flip_test(terms, permutations=PERMUTATIONS, seed=derive_seed(bootstrap.seed, "permutation"))
        frame.loc[frame["site"] == ALL_SITES, "p_permutation"] = found.p_value
        rows.append(frame)
    table = pd.concat(rows, ignore_index=True)
    table["p_holm"] = np.nan
    single = (table["site"] == ALL_SITES) & ~table["shift"].isin([CLEAN, ALL_SHIFTS])
    for measure in ("quality", "change"):
        family = single & (table["measure"] == measure)
        if family.any() and table.loc[family, "p_value"].notna().all():  # of few subjects, there are none
            table.loc[family, "p_holm"] = holm(table.loc[family, "p_value"].to_numpy(float))
    return table.assign(**chain.names, reference=REFERENCE_NORM, metric="auroc", seeds=differences.shape[1])


def _contrasts(one: Degradation) -> Iterator[_Contrast]:
    clean = is_clean(one.conditions).astype(np.float64)
    yield _Contrast(CLEAN, 0, "quality", clean)
    shifted = {shift: one.where(shift).astype(np.float64) for shift in one.shifts}
    if shifted:
        shifted[ALL_SHIFTS] = np.sum(list(shifted.values()), axis=0)
    for shift, where in shifted.items():
        mean = where / where.sum()
        yield _Contrast(shift, None, "quality", mean)
        yield _Contrast(shift, None, "change", mean - clean)


def _contributions(chain: Chain, other: Chain) -> FloatArray:
    """What each subject of all sites adds to the mean difference over sites and targets, ``(subjects, conditions)``."""
    sites = []
    count = len(next(iter(chain.readings.values())))
    for site in range(count):
        of_targets = [
            [
                auroc_contributions(mine[site].labels, scores, others, mine[site].subjects)
                for scores, others in zip(
                    np.moveaxis(mine[site].scores, 1, 0), np.moveaxis(its[site].scores, 1, 0), strict=True
                )
            ]
            for mine, its in ((chain.readings[target], other.readings[target]) for target in chain.readings)
        ]
        sites.append(np.mean(of_targets, axis=0).T / count)
    return np.concatenate(sites)
