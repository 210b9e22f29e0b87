"""Plotly templates of lines, bands and axes, into which the page's script puts numbers.

They are written here, not in the script, so that plotly can check them and the script stays small.
"""

from __future__ import annotations

from typing import NamedTuple

from scanproof.reporting.style import FONTS, GREY, INK, PALE, WIDTH, SeriesStyle
from scanproof.reporting.vocabulary import metric

Json = dict[str, object]


class Series(NamedTuple):
    """A line of the plots: its name and look."""

    label: str
    style: SeriesStyle


def line_trace(series: Series) -> Json:
    """Plotly template of a line; ``x``, ``y`` and ``customdata`` (the interval in words) are filled in by the page."""
    style = series.style
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plotly_text(series.label),
        "line": {"color": style.colour, "width": WIDTH, "dash": style.css_dash if style.pattern else "solid"},
        "marker": {"symbol": style.symbol, "size": 7, "color": style.colour},
        "hovertemplate": "%{fullData.name}<br>severity %{x}: %{customdata}<extra></extra>",
    }


def band_trace(series: Series) -> Json:
    """Plotly template of an interval band; ``x`` and ``y`` (the outline) are filled in by the page."""
    return {
        "type": "scatter",
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": series.style.band,
        "hoverinfo": "skip",
    }


def plot_layout(name: str, limits: tuple[float, float], *, last_severity: int) -> Json:
    """Plotly layout of one small plot of a metric.

    Args:
        name: metric.
        limits: y-range, shared by all plots of the metric.
        last_severity: the highest severity of the study.
    """
    chance = metric(name).chance
    axis: Json = {"fixedrange": True, "gridcolor": PALE, "zeroline": False, "linecolor": GREY, "showline": True}
    small = {"size": 11, "color": GREY}
    return {
        "height": 230,
        "margin": {"l": 52, "r": 10, "t": 8, "b": 42},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONTS, "size": 11, "color": INK},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "namelength": -1},
        "dragmode": False,
        "xaxis": axis
        | {
            "title": {"text": "Severity (0 = no shift)", "font": small, "standoff": 6},
            "range": [-0.3, max(last_severity, 1) + 0.3],
            "dtick": 1,
            "tick0": 0,
            "showgrid": False,
        },
        "yaxis": axis
        | {
            "title": {"text": plotly_text(metric(name).title), "font": small, "standoff": 6},
            "range": list(limits),
            "nticks": 6,
        },
        "shapes": []
        if chance is None
        else [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": chance,
                "y1": chance,
                "layer": "below",
                "line": {"color": GREY, "width": 1.5, "dash": "3,4"},
            }
        ],
    }


def plotly_text(text: str) -> str:
    """Text that plotly shows as it is: plotly reads some HTML tags and entities in titles, names and hover boxes.

    Example:
        >>> plotly_text("<b>R&D</b>")
        '&lt;b&gt;R&amp;D&lt;/b&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
