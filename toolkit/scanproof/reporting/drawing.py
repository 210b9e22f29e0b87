"""How matplotlib draws curves and image panels, onto any figure or part of one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from scanproof.reporting.curves import Curve, CurveKey, Curves, Facet, axis_range
from scanproof.reporting.model import PANEL_IMAGES, ImagePanel
from scanproof.reporting.pictures import ERROR_COLOURS, case_facts, error_window, relative
from scanproof.reporting.style import BAND_OPACITY, GREY, INK, PALE, SeriesStyle, series_style
from scanproof.reporting.vocabulary import Chain, metric, plain, shift_name, site_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

#: what the columns of an image panel show
COLUMN_TITLES = dict(zip(PANEL_IMAGES, ("Reference", "With shift", "Reconstruction", "Error"), strict=True))
#: dashes of the line that a guessing reader would give
GUESSING = (0, (2, 3))


def sheet(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, 100 pixels an inch."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))


def rows_height(panels: Sequence[ImagePanel]) -> float:
    """Height of all rows of pictures in units of a picture's width; very tall pictures count as 1.6."""
    shapes = [panel.images["reference"].shape for panel in panels]
    return float(sum(min(height / width, 1.6) for height, width in shapes))


def curve_grid(
    figure: FigureBase, curves: Curves, places: Sequence[Facet], lines: Mapping[str, Chain], *, columns: int
) -> None:
    """Draw small plots that share their axes, and a legend below them.

    Args:
        figure: where to draw.
        curves: curves of one metric; they set the common y-range, drawn or not.
        places: the plots, row by row.
        lines: legend entry to chain.
        columns: plots in a row.
    """
    name = next(iter(curves)).metric
    wording = metric(name)
    limits, rows = axis_range(name, curves), math.ceil(len(places) / columns)
    last = max(1, *(severity for curve in curves.values() for severity in curve))
    plots = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for i, axes in enumerate(plots.flat):
        if i >= len(places):
            axes.set_visible(False)
            continue
        for number, chain in enumerate(lines.values()):
            _draw_line(axes, curves.get(CurveKey(name, chain, places[i]), {}), series_style(number))
        dress(axes, title=f"{shift_name(places[i].shift)}, {site_name(places[i].site)}")
        if wording.chance is not None:
            axes.axhline(wording.chance, color=GREY, linewidth=1.2, linestyle=GUESSING, zorder=0.9)
        axes.set(ylim=limits, xlim=(-0.3, last + 0.3), xticks=range(last + 1))
        if i % columns == 0:
            axes.set_ylabel(wording.title, fontsize=9, color=GREY, parse_math=False)
        if i + columns >= len(places):
            axes.set_xlabel("Severity (0 = no shift)", fontsize=9, color=GREY)
            axes.tick_params(labelbottom=True)
    _legend(figure, lines, chance=wording.chance is not None)


def image_grid(figure: FigureBase, panels: Sequence[ImagePanel]) -> None:
    """Draw a row of pictures per panel, with one colour bar for all errors.

    Args:
        figure: where to draw.
        panels: at least one.
    """
    top = error_window(panels)
    plots = figure.subplots(len(panels), len(PANEL_IMAGES), squeeze=False)
    for row, panel in zip(plots, panels, strict=True):
        for axes, name in zip(row, PANEL_IMAGES, strict=True):
            error = name == "error"
            picture = axes.imshow(
                100 * relative(panel, name),
                cmap=ERROR_COLOURS if error else "gray",
                vmin=0,
                vmax=100 * (top if error else 1),
                interpolation="nearest",
            )
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        facts = (*case_facts(panel), plain(panel.reconstruction))
        label = row[0].set_ylabel("\n".join(facts), rotation=0, ha="right", va="center", fontsize=9.5, color=INK)
        label.set_parse_math(False)
    for axes, name in zip(plots[0], PANEL_IMAGES, strict=True):
        axes.set_title(COLUMN_TITLES[name], fontsize=10, color=INK, loc="left")
    bar = figure.colorbar(picture, ax=plots[:, -1].tolist(), fraction=0.05, pad=0.03, aspect=18 * len(panels))
    bar.set_label("Error (% of the brightest tissue)", fontsize=9, color=GREY)
    bar.ax.tick_params(colors=GREY, labelsize=8.5)
    bar.outline.set_visible(False)


def _draw_line(axes: Axes, curve: Curve, style: SeriesStyle) -> None:
    severities = sorted(curve)
    banded = [(s, curve[s].lower, curve[s].upper) for s in severities if curve[s].has_interval]
    if len(banded) > 1:
        x, low, high = zip(*banded, strict=True)
        axes.fill_between(x, low, high, color=style.colour, alpha=BAND_OPACITY, linewidth=0)
    axes.plot(
        severities,
        [curve[severity].value for severity in severities],
        color=style.colour,
        linestyle=(0, style.pattern),
        marker=style.marker,
        linewidth=1.6,
        markersize=5,
    )


def dress(axes: Axes, *, title: str) -> None:
    """Title, frame and grid of one plot."""
    axes.set_title(title, fontsize=10, color=INK, loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelsize=8.5)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)


def _legend(figure: FigureBase, lines: Iterable[str], *, chance: bool) -> None:
    from matplotlib.lines import Line2D

    styles = [(label, series_style(number)) for number, label in enumerate(lines)]
    handles = [
        Line2D([], [], color=s.colour, linestyle=(0, s.pattern), marker=s.marker, linewidth=1.6, label=label)
        for label, s in styles
    ]
    if chance:
        handles.append(Line2D([], [], color=GREY, linestyle=GUESSING, linewidth=1.2, label="guessing"))
    columns = min(len(handles), 4)
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9.5, handlelength=3.4
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
