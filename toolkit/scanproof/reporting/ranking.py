"""Which chain keeps most of its quality when conditions shift."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import ADVERSARIAL, ALL_SHIFTS, ALL_SITES
from scanproof.reporting.curves import (
    Curves,
    Facet,
    chain_order,
    real_sites,
    records,
    row_chain,
    row_estimate,
    site_rows,
)
from scanproof.reporting.vocabulary import IMAGE_METRICS, Chain, Estimate, metric


class RankedChain(NamedTuple):
    """A chain and what shift costs it.

    ``clean`` is the score without shift, ``shifted`` the mean over all shifts and severities from 1 up, ``loss`` how
    much worse shifted is than clean, ``gap`` the difference in ``shifted`` to the best chain (``None`` for the best
    chain itself and where none was computed).
    """

    chain: Chain
    clean: Estimate | None
    shifted: Estimate | None
    loss: Estimate | None
    gap: Estimate | None

    @property
    def score(self) -> Estimate:
        """What the chain is ranked by: the shifted score, or the clean one where nothing was shifted."""
        return self.shifted or self.clean or Estimate(float("nan"))


class Ranking(NamedTuple):
    """Chains from the sturdiest to the weakest, the metric they are ranked by and the site it was taken at."""

    metric: str
    site: str
    chains: tuple[RankedChain, ...]


class Loss(NamedTuple):
    """Where a chain loses most: the site and shift, the severity, and the score before and after."""

    facet: Facet
    severity: int
    clean: Estimate
    shifted: Estimate


def has_readings(results: pd.DataFrame) -> bool:
    """Whether any classifier was evaluated in the study."""
    return bool(results["classifier"].notna().any())


def rank_chains(results: pd.DataFrame, curves: Curves) -> Ranking:
    """Rank the chains of a study.

    With classifiers, the ranking follows ``auroc_shifted`` over all sites. Without, reconstructions are ranked by
    the plain mean of SSIM over sites, shifts and severities from 1 up (by the first image metric present where there
    is no SSIM), for which no interval is computed. Neither mean counts ``adversarial``, which no scanner does.

    Args:
        results: results table.
        curves: the curves of that table.

    Returns:
        The ranking, best first.

    Raises:
        ScanproofError: the table has no rows to rank by.
    """
    ranking = _rank_readers(results) if has_readings(results) else _rank_images(results, curves)
    if not ranking.chains:
        raise ScanproofError("results must hold a summary row for every chain", key=ranking.metric, value="none")
    return ranking


def worst_loss(curves: Curves, chain: Chain, name: str) -> Loss | None:
    """The site, shift and severity at which a chain falls furthest below its clean score at that site.

    Returns:
        ``None`` where no shift was tested or none made the chain worse.

    Example:
        >>> from scanproof.reporting.curves import CurveKey
        >>> chain = Chain("unet", 4.0)
        >>> key = CurveKey("ssim", chain, Facet("north", "noise"))
        >>> loss = worst_loss({key: {0: Estimate(0.9), 1: Estimate(0.8), 2: Estimate(0.6)}}, chain, "ssim")
        >>> loss.facet.shift, loss.severity
        ('noise', 2)
    """
    sign = 1 if metric(name).higher_is_better else -1
    losses = [
        Loss(key.facet, severity, curve[0], estimate)
        for key, curve in curves.items()
        if (key.metric, key.chain) == (name, chain) and key.facet.site != ALL_SITES and 0 in curve
        for severity, estimate in curve.items()
        if severity > 0 and key.facet.shift != ADVERSARIAL
    ]
    worst = max(losses, key=lambda loss: sign * (loss.clean.value - loss.shifted.value), default=None)
    if worst is None or sign * (worst.clean.value - worst.shifted.value) <= 0:
        return None
    return worst


def _rank_readers(results: pd.DataFrame) -> Ranking:
    rows = site_rows(results)
    rows = rows[rows["classifier"].notna() & (rows["shift"] == ALL_SHIFTS)]
    site = _summary_site(rows)
    found: defaultdict[Chain, dict[str, Estimate]] = defaultdict(dict)
    for row in records(rows[rows["site"] == site]):
        found[row_chain(row)][str(row["metric"])] = row_estimate(row)
    chains = [
        RankedChain(
            chain,
            clean=values.get("auroc_clean"),
            shifted=values.get("auroc_shifted"),
            loss=values.get("auroc_drop"),
            gap=values.get("auroc_gap_to_best"),
        )
        for chain, values in found.items()
        if values.keys() & {"auroc_clean", "auroc_shifted"}
    ]
    # among equals the chain without a gap is the one that the others were compared with
    chains.sort(key=lambda c: (-c.score.value, c.gap is not None, chain_order(c.chain)))
    return Ranking("auroc", _place(results), tuple(chains))


def _summary_site(rows: pd.DataFrame) -> str:
    sites = sorted(rows["site"].dropna().unique())
    if ALL_SITES in sites or not sites:
        return ALL_SITES
    if len(sites) > 1:
        raise ScanproofError(
            f"results of several sites must hold summary rows of site {ALL_SITES!r}", key="site", value=sites
        )
    return str(sites[0])


def _place(results: pd.DataFrame) -> str:
    """What the ranking is about: the mean over sites, or the only one there is."""
    sites = real_sites(results)
    return sites[0] if len(sites) == 1 else ALL_SITES


def _rank_images(results: pd.DataFrame, curves: Curves) -> Ranking:
    name = next((m for m in IMAGE_METRICS if any(key.metric == m for key in curves)), "ssim")
    sign = 1 if metric(name).higher_is_better else -1
    # dictionaries, because all shifts of a site share one clean value, which must count once
    clean: defaultdict[Chain, dict[str, float]] = defaultdict(dict)
    shifted: defaultdict[Chain, dict[tuple[Facet, int], float]] = defaultdict(dict)
    # of more sites than can be drawn, the table holds their mean alone
    only = {key.facet.site for key in curves} == {ALL_SITES}
    for key, curve in curves.items():
        if key.metric == name and (only or key.facet.site != ALL_SITES):
            for severity, estimate in curve.items():
                if not severity:
                    clean[key.chain][key.facet.site] = estimate.value
                elif key.facet.shift != ADVERSARIAL:
                    shifted[key.chain][key.facet, severity] = estimate.value
    chains = []
    for chain in clean.keys() | shifted.keys():
        before, after = _mean(list(clean[chain].values())), _mean(list(shifted[chain].values()))
        loss = Estimate(sign * (before.value - after.value)) if before and after else None
        chains.append(RankedChain(chain, before, after, loss, None))
    chains.sort(key=lambda c: (-sign * c.score.value, chain_order(c.chain)))
    return Ranking(name, _place(results), tuple(chains))


def _mean(values: Sequence[float]) -> Estimate | None:
    return Estimate(fmean(values)) if values else None
