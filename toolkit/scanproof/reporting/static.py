"""Static figures for papers, slides and the README.

Figures are made as objects, without matplotlib's global state, so that they can be made in any thread and any notebook.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.table import ALL_SITES, CLEAN
from scanproof.reporting.curves import CurveKey, Curves, Facet, chain_order, extract_curves, facets, grid_columns
from scanproof.reporting.drawing import curve_grid, image_grid, rows_height, sheet
from scanproof.reporting.model import ImagePanel
from scanproof.reporting.ranking import rank_chains
from scanproof.reporting.style import INK
from scanproof.reporting.vocabulary import Chain, metric as wording, norm_label, plain, speed_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure, FigureBase

#: plots and image rows that one wide picture can hold
OVERVIEW_PLOTS, OVERVIEW_PANELS = 5, 2


def degradation_figure(results: pd.DataFrame, *, reconstruction: str, metric: str = "auroc") -> Figure:
    """Degradation curves of one reconstruction: a small plot per shift and site, a line per norm with its band.

    Where the study has several accelerations or classifiers, each combination is a line.

    Args:
        results: results table.
        reconstruction: its name in the results table.
        metric: name of the metric; image metrics have one line per acceleration.

    Returns:
        A figure that can be saved at any size; the y-axis is the same in all plots.

    Raises:
        ScanproofError: no such metric in the table, or no such reconstruction with that metric.

    Example:
        >>> from scanproof.evaluation.table import RESULT_COLUMNS, conform
        >>> row = {"study": "s", "site": "north", "reconstruction": "unet", "acceleration": 4.0, "metric": "ssim"}
        >>> values = [("none", 0, 0.9), ("noise", 3, 0.7)]
        >>> rows = [row | {"shift": shift, "severity": s, "value": v, "n": 9} for shift, s, v in values]
        >>> results = conform(pd.DataFrame(rows), RESULT_COLUMNS)
        >>> len(degradation_figure(results, reconstruction="unet", metric="ssim").axes)
        1
    """
    curves = extract_curves(results)
    own = {key: curve for key, curve in curves.items() if key.metric == metric}
    if not own:
        raise unknown_name("metric", metric, {key.metric for key in curves})
    chains = sorted({key.chain for key in own if key.chain.reconstruction == reconstruction}, key=chain_order)
    if not chains:
        raise unknown_name("reconstruction", reconstruction, {key.chain.reconstruction for key in own})
    places = facets(key for key in own if key.chain in chains)
    columns = grid_columns(places)
    figure = sheet(3.1 * max(columns, 2), 2.4 * math.ceil(len(places) / columns) + 0.8)
    curve_grid(figure, own, places, line_labels(chains), columns=columns)
    _title(figure, plain(reconstruction))
    return figure


def image_panel_figure(panels: Sequence[ImagePanel]) -> Figure:
    """Image examples: a row per panel, and the reference, the shifted image, its reconstruction and the error.

    A row's three images share one grey scale, all errors one colour scale in percent of the brightest tissue.

    Args:
        panels: at least one.

    Raises:
        ScanproofError: no panel was given.
    """
    if not panels:
        raise ScanproofError("panels must hold at least one image panel", value=0)
    figure = sheet(10.4, 2.2 * rows_height(panels) + 0.4)
    image_grid(figure, panels)
    return figure


def overview_figure(results: pd.DataFrame, panels: Sequence[ImagePanel] = ()) -> Figure:
    """One wide picture of a study, 1400 pixels across at its own resolution.

    Below, the curves of the best accelerated chain (of the best one, where none is accelerated) and of its sister
    chains with other norms, over all sites, for the five shifts that cost it most. A study without classifiers shows
    its reconstructions instead. Above, up to two image panels, those of that chain and of those shifts first.

    Args:
        results: results table.
        panels: image examples; may be empty.
    """
    curves = extract_curves(results)
    ranking = rank_chains(results, curves)
    chains = [ranked.chain for ranked in ranking.chains]
    # a fully sampled chain mostly leads; how the best accelerated one fares says more
    name, best = ranking.metric, next((chain for chain in chains if chain.acceleration > 1), chains[0])
    own = {key: curve for key, curve in curves.items() if key.metric == name and _sisters(key.chain, best)}
    sisters = sorted({key.chain for key in own}, key=chain_order)
    places = _telling(own, best)
    shown = _striking(panels, own, best)
    above, below = 3.0 * rows_height(shown), 3.3
    figure = sheet(14, above + below)
    bottom: FigureBase = figure
    if shown:
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(above, below)).flat
        image_grid(top, shown)
    curve_grid(bottom, own, places, line_labels(sisters), columns=len(places))
    speed = speed_label(best.acceleration)
    read_by = f": {plain(best.reconstruction)} at {speed} read by {plain(best.classifier or '')}"
    _title(bottom, f"{wording(name).label} as simulated shifts grow{read_by if best.classifier else f', at {speed}'}")
    return figure


def line_labels(chains: Sequence[Chain]) -> dict[str, Chain]:
    """Names of lines that say only what differs between them.

    Example:
        >>> list(line_labels([Chain("unet", 4.0, "resnet18", norm) for norm in ("batch", "group")]))
        ['batch norm', 'group norm']
    """
    words = [
        (
            plain(chain.reconstruction),
            speed_label(chain.acceleration),
            plain(chain.classifier or ""),
            norm_label(chain.norm) if chain.classifier else "",
        )
        for chain in chains
    ]
    differing = [i for i in range(4) if len({word[i] for word in words}) > 1]
    last = 3 if words and words[0][3] else 0
    return {", ".join(word[i] for i in differing or [last]): chain for word, chain in zip(words, chains, strict=True)}


def _sisters(chain: Chain, best: Chain) -> bool:
    """Whether a chain differs from the best one only in its norm, or for images only in its reconstruction."""
    if best.classifier is None:
        return chain.classifier is None and chain.acceleration == best.acceleration
    return chain[:3] == best[:3]


def _telling(curves: Curves, best: Chain) -> list[Facet]:
    """The few plots that show most: over all sites where known, the shifts that cost the best chain most."""
    found = facets(curves)
    found = [facet for facet in found if facet.site == ALL_SITES] or found
    chosen = sorted(found, key=lambda facet: _cost(curves, best, facet), reverse=True)[:OVERVIEW_PLOTS]
    return [facet for facet in found if facet in chosen]


def _striking(panels: Sequence[ImagePanel], curves: Curves, best: Chain) -> list[ImagePanel]:
    """The few image panels that show most."""

    def order(panel: ImagePanel) -> tuple[bool, bool, float]:
        costs = [_cost(curves, best, facet) for facet in facets(curves) if facet.shift == panel.shift]
        return panel.shift == CLEAN, panel.reconstruction != best.reconstruction, -max(costs, default=0.0)

    return sorted(panels, key=order)[:OVERVIEW_PANELS]


def _cost(curves: Curves, chain: Chain, facet: Facet) -> float:
    """How far the chain's curve falls below its start."""
    name = next(iter(curves)).metric
    sign = 1 if wording(name).higher_is_better else -1
    values = [sign * estimate.value for _, estimate in sorted(curves.get(CurveKey(name, chain, facet), {}).items())]
    return values[0] - min(values) if values else 0.0


def _title(figure: FigureBase, text: str) -> None:
    figure.suptitle(text, fontsize=11, color=INK, fontweight="bold", parse_math=False)
