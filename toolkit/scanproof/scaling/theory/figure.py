"""Simulated risks and closed forms against the number of examples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.reporting.drawing import sheet
from scanproof.reporting.style import BAND_OPACITY, COLOURS, GREY, INK, MARKERS, PALE
from scanproof.scaling.theory.simulation import ESTIMATORS, SETTING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "early_stopped": "gradient descent, stopped early",
    "pca": "principal components",
    "minimum_norm": "minimum norm (gradient descent, never stopped)",
}
#: risks above what no estimator at all would have (1) are cut off
_TOP = 3.0


def risk_figure(table: pd.DataFrame) -> Figure:
    """A small plot a setting: markers are medians of runs with bands from least to largest, lines are closed forms.

    Args:
        table: of :func:`scanproof.scaling.theory.simulation.risk_table`.
    """
    settings = list(table.groupby(list(SETTING), sort=False))
    columns = min(4, len(settings))
    rows = math.ceil(len(settings) / columns)
    figure = sheet(3.2 * columns, 2.7 * rows + 0.7)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for place, (_, own) in zip(axes, settings, strict=False):
        d, n, sigma = own[list(SETTING)].iloc[0]
        _panel(place, own, title=f"d = {d:g}, n = {n:g}, σ = {sigma:g}")
    axes[0].set_ylim(float(table["optimal"].min()) * 0.7, _TOP)
    for place in axes[len(settings) :]:
        place.set_axis_off()
    for place in axes[::columns]:
        place.set_ylabel("Risk")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, *, title: str) -> None:
    optimal = float(table["optimal"].iloc[0])
    axes.axhline(optimal, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), label="best linear estimator")
    for number, name in enumerate(ESTIMATORS):
        own = table[table["estimator"] == name].sort_values("examples")
        colour, marker = COLOURS[number], MARKERS[number][1]
        axes.fill_between(own["examples"], own["least"], own["largest"], color=colour, alpha=BAND_OPACITY, linewidth=0)
        over = 5 - number  # where estimators agree, early stopping shows
        filled = colour if name == "early_stopped" else "none"
        axes.plot(
            own["examples"], own["median"], marker, color=colour, markersize=4, markerfacecolor=filled, zorder=over,
            label=LABELS[name],
        )  # fmt: skip
        axes.plot(own["examples"], own["closed_form"], color=colour, linewidth=1.3, zorder=over)
    few = table.drop_duplicates("examples").sort_values("examples")
    axes.plot(few["examples"], few["few_examples"], color=INK, linewidth=1.1, linestyle="--", label="1 − N/d")
    axes.set(xscale="log", yscale="log", xlabel="Training examples N")
    axes.set_title(title, fontsize=9, color=INK)
    axes.grid(color=PALE, linewidth=0.6)
    axes.tick_params(labelsize=8)
