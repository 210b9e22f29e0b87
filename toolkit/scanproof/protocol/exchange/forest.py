"""Forest plots: sites below each other, with what they say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.evaluation.statistics.meta_analysis import random_effects
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.protocol.exchange.compare import EndpointOfSites
from scanproof.reporting.drawing import sheet
from scanproof.reporting.sections.vector import dress
from scanproof.reporting.style import COLOURS, GREY, INK
from scanproof.reporting.vocabulary import metric, shift_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: panels in a row
COLUMNS = 4
#: characters of a site's name that a plot has room for
_NAME = 28


def endpoint_figure(one: EndpointOfSites) -> Figure:
    """One endpoint at every site: squares as large as their weight, the mean as a diamond, the prediction below it.

    Args:
        one: to draw.
    """
    table, pooled = one.table, one.pooled
    lines = len(table) + (2 if pooled else 0)
    figure = sheet(8.4, 1.1 + 0.34 * lines)
    axes = figure.subplots()
    places = {}
    for place, row in enumerate(table.to_dict("records")):
        y = lines - 1 - place
        places[y] = _short(str(row["site"]))
        if math.isnan(row["estimate"]):
            _say(axes, y, "withheld")
            continue
        weight = 0.0 if math.isnan(row["weight"]) else row["weight"]
        axes.plot([row["lower"], row["upper"]], [y, y], color=COLOURS[0], linewidth=1.6, solid_capstyle="butt")
        axes.plot(row["estimate"], y, marker="s", color=COLOURS[0], markersize=4 + 9 * math.sqrt(weight))
        share = f"   {100 * weight:.0f} %" if weight else "   –"
        _say(axes, y, f"{row['estimate']:.3f} ({row['lower']:.3f} to {row['upper']:.3f}){share}")
    if pooled:
        places[1] = "mean of sites"
        axes.fill(
            [pooled.lower, pooled.estimate, pooled.upper, pooled.estimate], [1, 1.28, 1, 0.72], color=INK, linewidth=0
        )
        _say(axes, 1, f"{pooled.estimate:.3f} ({pooled.lower:.3f} to {pooled.upper:.3f})")
        if pooled.prediction:
            places[0] = "one more site"
            axes.plot(pooled.prediction, [0, 0], color=GREY, linewidth=2.4, solid_capstyle="butt")
            _say(axes, 0, f"{pooled.prediction[0]:.3f} to {pooled.prediction[1]:.3f}")
    for bound in one.endpoint.bounds:
        axes.axvline(bound, color=COLOURS[1], linewidth=1.2, linestyle=(0, (4, 3)), zorder=0.9)
    axes.set(ylim=(-0.6, lines - 0.4), yticks=list(places))
    axes.set_yticklabels(list(places.values()))
    dress(axes, title="")
    axes.set_xlabel(metric(one.endpoint.metric).title, fontsize=8.5, color=GREY, parse_math=False)
    return figure


def interaction_figure(rows: pd.DataFrame, *, confidence: float = 0.95) -> Figure:
    """A panel an artifact: the difference of a norm to its reference at each site, and the mean of the sites.

    Args:
        rows: of :func:`~scanproof.protocol.exchange.compare.contrasts_of`, about one pair of chains and one measure.
        confidence: of the interval of the mean.
    """
    sites = sorted(rows["site"].unique())
    shifts = sorted(rows["shift"].unique(), key=lambda name: (name not in (CLEAN, ALL_SHIFTS), name == CLEAN, name))
    columns = min(COLUMNS, len(shifts))
    count = math.ceil(len(shifts) / columns)
    figure = sheet(1.6 + 1.75 * max(columns, 2), 0.8 + count * (0.8 + 0.26 * (len(sites) + 1)))
    plots = figure.subplots(count, columns, sharex=True, sharey=True, squeeze=False)
    for number, axes in enumerate(plots.flat):
        if number >= len(shifts):
            axes.set_visible(False)
            continue
        _panel(axes, rows[rows["shift"] == shifts[number]], sites, confidence=confidence)
        title = {ALL_SHIFTS: "all artifacts", CLEAN: "no artifact"}.get(shifts[number])
        dress(axes, title=title or shift_name(shifts[number]))
        if number + columns >= len(shifts):
            axes.tick_params(labelbottom=True)
    figure.supxlabel("Difference in AUROC; right of zero favours the norm named above", fontsize=8.5, color=GREY)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, sites: Sequence[str], *, confidence: float) -> None:
    order = {site: len(sites) - place for place, site in enumerate(sites)}
    for row in rows.to_dict("records"):
        y = order[row["site"]]
        axes.plot([row["lower"], row["upper"]], [y, y], color=COLOURS[0], linewidth=1.6, solid_capstyle="butt")
        axes.plot(row["difference"], y, marker="o", markersize=4.5, color=COLOURS[0])
    if len(rows) > 1:
        found = random_effects(rows["difference"], rows["standard_error"], confidence=confidence)
        axes.fill([found.lower, found.estimate, found.upper, found.estimate], [0, 0.3, 0, -0.3], color=INK, linewidth=0)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set(ylim=(-0.6, len(sites) + 0.6), yticks=[*order.values(), 0])
    axes.set_yticklabels([*(_short(site) for site in order), "mean of sites"])


def _say(axes: Axes, y: float, text: str) -> None:
    axes.annotate(
        text, (1.02, y), xycoords=("axes fraction", "data"), fontsize=8.5, color=INK, va="center", annotation_clip=False
    )


def _short(site: str) -> str:
    return site if len(site) <= _NAME else f"{site[: _NAME - 1]}…"
