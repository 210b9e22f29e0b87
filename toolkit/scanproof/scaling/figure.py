"""The picture of a sweep: what was measured, the three laws, and where they bend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import CLEAN
from scanproof.reporting.drawing import dress, sheet
from scanproof.reporting.style import BAND_OPACITY, COLOURS, GREY, INK, series_style
from scanproof.reporting.vocabulary import plain
from scanproof.scaling.analysis import Scaling
from scanproof.scaling.findings import task_name
from scanproof.scaling.fits.fit import FORMS
from scanproof.scaling.ladder import FloatArray
from scanproof.scaling.page import FORM_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

#: plots in a row
COLUMNS = 3
#: width and height of a plot in inches: three stand beside each other on a page
PLOT = (3.15, 2.8)
_POINTS = 200


def scaling_figure(found: Sequence[Scaling], *, columns: int = COLUMNS) -> Figure:
    """A small plot each analysis, both axes logarithmic.

    Points are test means with their intervals, open where the best width is the largest that was tried. Lines are the
    three laws; the chosen one is thick and has the band of its interval. The break of a broken law is drawn with its
    interval, grey where another form was chosen.

    Args:
        found: at least one.
        columns: plots in a row, at the most.

    Raises:
        ScanproofError: nothing to draw.
    """
    if not found:
        raise ScanproofError("figure must have at least one analysis", value=0)
    from matplotlib.lines import Line2D

    columns = min(columns, len(found))
    rows = math.ceil(len(found) / columns)
    figure = sheet(PLOT[0] * max(columns, 2), PLOT[1] * rows + 0.7)
    plots = figure.subplots(rows, columns, squeeze=False)
    for index, axes in enumerate(plots.flat):
        if index < len(found):
            _draw(axes, found[index])
        else:
            axes.set_visible(False)
    styles = {form: series_style(index) for index, form in enumerate(FORMS)}
    handles = [
        Line2D([], [], color=style.colour, linestyle=(0, style.pattern), label=FORM_NAMES[form])
        for form, style in styles.items()
    ]
    handles.append(Line2D([], [], color=INK, marker="o", linestyle="", label="measured, best width"))
    handles.append(
        Line2D([], [], color=INK, marker="o", linestyle="", markerfacecolor="white", label="best width at grid's end")
    )
    below(figure, handles)
    return figure


def _draw(axes: Axes, one: Scaling) -> None:
    sizes = one.ladder.sizes
    grid = np.geomspace(sizes[0], sizes[-1], _POINTS)
    for index, form in enumerate(FORMS):
        if form not in one.laws:
            continue
        law, style = one.laws[form], series_style(index)
        chosen = form == one.choice.form
        if chosen:
            _, lower, upper = (np.exp(part) for part in law.estimate(lambda fitted: fitted.logs(grid)))
            axes.fill_between(grid, lower, upper, color=style.colour, alpha=BAND_OPACITY, linewidth=0)
        width = 2.0 if chosen else 1.1
        curve = law.fit.values(grid)[0]
        axes.plot(grid, curve, color=style.colour, linestyle=(0, style.pattern), linewidth=width)
        if form == "broken":
            at = law.estimates()["break"]
            colour = COLOURS[index] if chosen else GREY
            low, high = (float(np.clip(part, sizes[0], sizes[-1])) for part in at[1:])
            axes.axvspan(low, high, color=colour, alpha=BAND_OPACITY / 2, linewidth=0)
            axes.axvline(float(at.value), color=colour, linewidth=1, linestyle=(0, (2, 3)))
    value, lower, upper = one.points
    edge = np.array([best.edge in ("largest", "only") for best in one.best])
    axes.errorbar(sizes, value, np.stack([value - lower, upper - value]), fmt="none", ecolor=INK, elinewidth=1)
    face = np.where(edge, "white", INK)
    axes.scatter(sizes, value, c=face, edgecolors=INK, s=22, zorder=3)
    logarithmic(axes, sizes=sizes, values=(float(lower.min()), float(upper.max())), label=one.axis.label)
    condition = "" if one.shift == CLEAN else f", {plain(one.shift)}"
    dress(axes, title=f"{task_name(one.task)}, {plain(one.data)}{condition}\n{one.finding.verdict}")


def logarithmic(axes: Axes, *, sizes: FloatArray, values: tuple[float, float], label: str) -> None:
    """Make both axes logarithmic, with plain numbers at some sizes and at up to five values that differ as shown.

    Args:
        axes: of numbers of examples and an axis of a sweep.
        sizes: numbers of examples.
        values: smallest and largest that is drawn.
        label: of the values.
    """
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    shown = sizes[:: math.ceil(len(sizes) / 6)]
    axes.set_xticks(shown, [f"{size:g}" for size in shown])
    heights = {f"{height:.3g}": float(f"{height:.3g}") for height in np.geomspace(*values, 5)}
    axes.set_yticks(list(heights.values()), list(heights))
    axes.set_xlabel("Training examples N", fontsize=9, color=GREY)
    axes.set_ylabel(label, fontsize=9, color=GREY, parse_math=False)


def below(figure: Figure, handles: Sequence[Line2D], *, most: int = 5) -> None:
    """A legend below all plots."""
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=min(len(handles), most, round(float(figure.get_size_inches()[0] / 1.9))),
        frameon=False,
        fontsize=9,
        handlelength=3,
    )
