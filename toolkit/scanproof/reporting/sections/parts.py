"""Everything that the sections of a report show, gathered from the tables of a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from scanproof.evaluation.table import ADVERSARIAL, ALL_SHIFTS, ALL_SITES, CLEAN
from scanproof.reporting.curves import Curves, chain_order, extract_curves, records, row_chain, row_estimate, site_rows
from scanproof.reporting.ranking import Ranking, rank_chains
from scanproof.reporting.sections.calibration import Calibration, calibration_figure, calibrations
from scanproof.reporting.sections.comparison import Comparison, Standing, pairs, read_comparisons, standing
from scanproof.reporting.sections.findings import caution, p_text, paragraphs
from scanproof.reporting.sections.forest import forest_figure, paired_figure
from scanproof.reporting.sections.heatmap import HeatMap, heat_figure, heat_maps
from scanproof.reporting.sections.layers import Drift, drifts, layers_figure
from scanproof.reporting.sections.misread import Misread, misread_cases
from scanproof.reporting.sections.operating import Condition, CrossTable, called, cross_tables
from scanproof.reporting.sections.vector import Drawing, drawing
from scanproof.reporting.vocabulary import SUMMARY_METRICS, Chain, Estimate, image_label, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: what a comparison supports, in words of a table
STANDINGS: dict[Standing, str] = {
    "better": "better",
    "worse": "worse",
    "unclear": "cannot be told apart",
    "uncorrected": "not after correction",
}


class Pair(NamedTuple):
    """What is shown of one reconstruction and classifier, for all norms."""

    chain: Chain
    title: str
    paragraphs: list[str]
    heat_map: HeatMap | None
    forest: Drawing | None
    paired: Drawing | None
    comparisons: list[Comparison]
    calibrations: list[Calibration]
    reliability: Drawing | None
    drifts: list[Drift]
    layers: Drawing | None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the sections show.

    Args:
        pairs: reconstructions and classifiers, the one that tells most first.
        caution: what to keep in mind of comparisons; empty where there are none.
        summaries: metric names, and a row a chain of what sums it up over all shifts.
        crosses: two-by-two tables of the first of the ranking and of its sister with batch norm.
        misread: the cases that shift misleads, of the first of the ranking.
        level: coverage of the intervals.
    """

    pairs: Sequence[Pair]
    caution: str
    summaries: tuple[list[str], list[tuple[Chain, list[Estimate | None]]]]
    crosses: Sequence[CrossTable]
    misread: Sequence[Misread]
    level: float

    def standing(self, comparison: Comparison) -> str:
        """What a comparison supports, in words."""
        return STANDINGS[standing(comparison, level=self.level)]

    def shows(self, what: str) -> bool:
        """Whether any reconstruction and classifier has this part."""
        return any(getattr(pair, what) for pair in self.pairs)

    @property
    def compares(self) -> bool:
        """Whether normalizations are compared."""
        return bool(self.summaries[1]) or any(self.shows(what) for what in ("paragraphs", "heat_map", "forest"))


def gather(
    results: pd.DataFrame,
    predictions: pd.DataFrame,
    curves: Curves,
    ranking: Ranking,
    *,
    comparisons: pd.DataFrame | None = None,
    layers: pd.DataFrame | None = None,
    level: float = 0.95,
    sensitivity: float = 0.9,
) -> Parts:
    """Gather what the sections of a report show.

    Args:
        results: results table.
        predictions: per-case probabilities; may be empty.
        curves: the curves of the results.
        ranking: of the chains.
        comparisons: of normalizations, if any were made.
        layers: drift of the layers, if it was measured.
        level: coverage of the intervals.
        sensitivity: that operating points reach on clean validation cases.
    """
    best, first = ranking.chains[0].chain, telling_chain(ranking)
    found = read_comparisons(comparisons)
    maps = {one.pair: one for one in heat_maps(results, found, level=level)}
    readers = {ranked.chain._replace(norm=None) for ranked in ranking.chains if ranked.chain.classifier}
    order = pairs(found, first=first)
    order += sorted(readers - set(order), key=lambda pair: (pair != first._replace(norm=None), chain_order(pair)))
    crosses: list[CrossTable] = []
    misread: list[Misread] = []
    if best.classifier and len(predictions):
        calls = called(predictions, chain=best, sensitivity=sensitivity)
        misread = misread_cases(calls)
        for chain in dict.fromkeys((best, best._replace(norm="batch"))):
            own = calls if chain == best else called(predictions, chain=chain, sensitivity=sensitivity)
            crosses += cross_tables(own, chain=chain, worst=worst_condition(curves, chain), level=level)
    return Parts(
        pairs=[_pair(pair, maps.get(pair), found, predictions, layers, level) for pair in order],
        caution=caution(found, level=level),
        summaries=_summaries(results, ranking),
        crosses=crosses,
        misread=misread,
        level=level,
    )


def section_figures(
    results: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    comparisons: pd.DataFrame | None = None,
    layers: pd.DataFrame | None = None,
    level: float = 0.95,
) -> dict[str, Figure]:
    """The figures of the sections as files: those of the chain that tells most.

    Args:
        results: results table.
        predictions: per-case probabilities; may be empty.
        comparisons: of normalizations, if any were made.
        layers: drift of the layers, if it was measured.
        level: coverage of the intervals.

    Returns:
        ``heatmap``, ``forest``, ``paired``, ``calibration`` and ``layers``, those of them that the study has.
    """
    first = telling_chain(rank_chains(results, extract_curves(results)))
    pair = first._replace(norm=None)
    found = read_comparisons(comparisons)
    maps = [one for one in heat_maps(results, found, level=level) if one.pair == pair]
    figures = {
        "heatmap": heat_figure(maps[0]) if maps else None,
        "forest": forest_figure(found, pair, level=level),
        "paired": paired_figure(found, pair, level=level),
        "calibration": calibration_figure(_calibrations(predictions, pair)),
        "layers": layers_figure(drifts(layers, like=pair)),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def telling_chain(ranking: Ranking) -> Chain:
    """The best accelerated chain, or the best where none is: a fully sampled one mostly leads and says less."""
    chains = [ranked.chain for ranked in ranking.chains]
    return next((chain for chain in chains if chain.acceleration > 1), chains[0])


def worst_condition(curves: Curves, chain: Chain, metric: str = "balanced_accuracy") -> Condition | None:
    """The shift and severity under which a chain does worst on the mean of the sites; ``None`` where none was tested.

    Args:
        curves: of a study.
        chain: with its norm.
        metric: by which.
    """
    own = {key.facet: curve for key, curve in curves.items() if (key.metric, key.chain) == (metric, chain)}
    over_all = {facet: curve for facet, curve in own.items() if facet.site == ALL_SITES} or own
    found = [
        (estimate.value, facet.shift, severity)
        for facet, curve in over_all.items()
        if facet.shift not in (CLEAN, ADVERSARIAL)
        for severity, estimate in curve.items()
        if severity > 0
    ]
    return Condition(*min(found)[1:]) if found else None


def _pair(
    pair: Chain,
    heat_map: HeatMap | None,
    comparisons: Sequence[Comparison],
    predictions: pd.DataFrame,
    layers: pd.DataFrame | None,
    level: float,
) -> Pair:
    title = f"{image_label(pair)} read by {plain(pair.classifier or '')}"
    calibrated, drifted = _calibrations(predictions, pair), drifts(layers, like=pair)

    def picture(make: Callable[[], Figure | None], words: str) -> Drawing | None:
        figure = make()
        return None if figure is None else drawing(figure, f"{words}: {title}. The numbers stand in a table below.")

    return Pair(
        pair,
        title,
        paragraphs(comparisons, pair, level=level),
        heat_map,
        picture(lambda: forest_figure(comparisons, pair, level=level), "Differences to batch norm by site"),
        picture(lambda: paired_figure(comparisons, pair, level=level), "Differences to batch norm by shift"),
        [
            one
            for one in comparisons
            if one.pair == pair and one.severity is None and (one.site == ALL_SITES or one.shift == ALL_SHIFTS)
        ],
        calibrated,
        picture(lambda: calibration_figure(calibrated), "Reliability diagrams"),
        drifted,
        picture(lambda: layers_figure(drifted), "Drift by layer"),
    )


def _calibrations(predictions: pd.DataFrame, pair: Chain) -> list[Calibration]:
    return calibrations(predictions, like=pair) if len(predictions) and pair.classifier else []


def _summaries(results: pd.DataFrame, ranking: Ranking) -> tuple[list[str], list[tuple[Chain, list[Estimate | None]]]]:
    """What sums chains up over all shifts, in the order of the ranking."""
    rows = site_rows(results)
    rows = rows[(rows["shift"] == ALL_SHIFTS) & rows["metric"].isin([*SUMMARY_METRICS])]
    rows = rows[rows["site"] == ALL_SITES] if (rows["site"] == ALL_SITES).any() else rows
    found: dict[Chain, dict[str, Estimate]] = {}
    for row in records(rows):
        found.setdefault(row_chain(row), {})[str(row["metric"])] = row_estimate(row)
    names = [name for name in SUMMARY_METRICS if any(name in values for values in found.values())]
    order = [ranked.chain for ranked in ranking.chains if ranked.chain in found]
    return names, [(chain, [found[chain].get(name) for name in names]) for chain in order]


def p_words(value: float | None) -> str:
    """A p-value in a table.

    Example:
        >>> p_words(0.0312), p_words(0.0), p_words(None)
        ('0.031', '< 0.001', '–')
    """
    return "–" if value is None else p_text(value).removeprefix("= ")
