"""Pictures of every width of a sweep, and of errors under artifacts, against the number of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.reporting.drawing import dress, sheet
from scanproof.reporting.style import BAND_OPACITY, INK, series_style
from scanproof.reporting.vocabulary import plain
from scanproof.scaling.analysis import Scaling, sweeps
from scanproof.scaling.axes import Axis
from scanproof.scaling.envelope import best_widths
from scanproof.scaling.figure import PLOT, below, logarithmic
from scanproof.scaling.findings import task_name
from scanproof.scaling.robustness import Robustness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


def width_means(rows: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    """Means over trainings and clean test cases: examples down, widths across; NaN where a network is missing."""
    chosen = (rows["split"] == "test") & (rows["shift"] == CLEAN) & (rows["metric"] == axis.metric)
    means = rows[chosen].groupby(["examples", "width"])["value"].mean().unstack("width").astype(float)
    return 1 - means if axis.complement else means


def width_figure(table: pd.DataFrame, axis: Axis) -> Figure:
    """A small plot each sweep: a line each width, and rings around the width that validation cases chose.

    Args:
        table: of one or several sweeps.
        axis: of the means.

    Raises:
        ScanproofError: no sweep has the metric of the axis.
    """
    parts = [(task, data, rows) for task, data, rows in sweeps(table) if axis.metric in set(rows["metric"])]
    if not parts:
        raise ScanproofError("figure must have at least one sweep", key="axis", value=axis.name)
    figure, plots = _plots(len(parts), rows=1)
    widths = sorted({int(width) for width in table["width"]})
    for axes, (task, data, rows) in zip(plots[0], parts, strict=False):
        means = width_means(rows, axis)
        for width in (one for one in widths if one in means):
            style = series_style(widths.index(width))
            line = (0, style.pattern)
            axes.plot(means.index, means[width], color=style.colour, linestyle=line, marker=style.marker, markersize=4)
        best = best_widths(rows, axis)
        rings = [float(means[one.width].loc[one.examples]) for one in best]
        axes.scatter([one.examples for one in best], rings, s=90, facecolors="none", edgecolors=INK, zorder=3)
        values = means.to_numpy()
        logarithmic(
            axes,
            sizes=means.index.to_numpy(np.float64),
            values=(float(np.nanmin(values)), float(np.nanmax(values))),
            label=axis.label,
        )
        dress(axes, title=f"{task_name(task)}, {plain(data)}")
    handles = [_handle(index, f"width {width}") for index, width in enumerate(widths)]
    below(figure, [*handles, _ring()], most=6)
    return figure


def robustness_figure(found: Sequence[Robustness], clean: Sequence[Scaling]) -> Figure:
    """A column each sweep: above the errors under each artifact and without, below those over the clean error.

    Bands are intervals. The mean over artifacts is left out where there are several.

    Args:
        found: of one axis.
        clean: analyses of the same axis without artifacts.

    Raises:
        ScanproofError: nothing to draw.
    """
    found = [one for one in found if one.shift != ALL_SHIFTS]
    if not found:
        raise ScanproofError("figure must have at least one artifact", value=0)
    places = list(dict.fromkeys((one.task, one.data) for one in found))
    shifts = sorted({one.shift for one in found})
    figure, plots = _plots(len(places), rows=2)
    for column, (task, data) in enumerate(places):
        own = [one for one in found if (one.task, one.data) == (task, data)]
        upper, lower = plots[0][column], plots[1][column]
        lines = [(1 + shifts.index(one.shift), one.sizes, one.points) for one in own]
        for one in clean:
            if (one.task, one.data, one.axis) == (task, data, own[0].axis):
                lines.append((0, one.ladder.sizes, one.points))
        _lines(upper, lines, label=own[0].axis.label)
        dress(upper, title=f"{task_name(task)}, {plain(data)}")
        _lines(
            lower,
            [(1 + shifts.index(one.shift), one.sizes, one.ratio) for one in own],
            label="Error over the clean error",
        )
        dress(lower, title="")
    names = ["no artifact", *(plain(shift) for shift in shifts)]
    below(figure, [_handle(index, name) for index, name in enumerate(names)])
    return figure


def _plots(count: int, *, rows: int) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    """Rows of small plots; those beyond the count stay empty."""
    columns = max(count, 2)
    figure = sheet(PLOT[0] * columns, PLOT[1] * rows + 0.7)
    plots = figure.subplots(rows, columns, squeeze=False)
    for axes in plots[:, count:].flat:
        axes.set_visible(False)
    return figure, plots.tolist()


def _lines(axes: Axes, lines: Sequence[tuple[int, np.ndarray, tuple[np.ndarray, ...]]], *, label: str) -> None:
    """Estimates with bands, each in the look of its number."""
    for index, sizes, (value, low, high) in lines:
        style = series_style(index)
        axes.fill_between(sizes, low, high, color=style.colour, alpha=BAND_OPACITY, linewidth=0)
        pattern = (0, style.pattern)
        axes.plot(sizes, value, color=style.colour, linestyle=pattern, marker=style.marker, markersize=4)
    every = [part for *_, estimate in lines for part in estimate]
    limits = (min(float(part.min()) for part in every), max(float(part.max()) for part in every))
    logarithmic(axes, sizes=lines[0][1], values=limits, label=label)


def _handle(index: int, label: str) -> Line2D:
    from matplotlib.lines import Line2D

    style = series_style(index)
    return Line2D([], [], color=style.colour, linestyle=(0, style.pattern), marker=style.marker, label=label)


def _ring() -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        color=INK,
        linestyle="",
        marker="o",
        markersize=9,
        markerfacecolor="none",
        label="best on validation cases",
    )
