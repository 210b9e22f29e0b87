"""One look for every series, in the report and in the static figures.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which readers with any common colour vision tell
apart, without the yellow that vanishes on white. A dash pattern and a marker tell series apart without colour.
"""

from __future__ import annotations

from typing import NamedTuple

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
#: plotly's dash name, and the dash lengths in multiples of the line width
DASHES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("solid", ()),
    ("dash", (3, 2)),
    ("dot", (1, 1.2)),
    ("dashdot", (3, 1.2, 1, 1.2)),
    ("longdash", (6, 2)),
    ("longdashdot", (6, 1.5, 1, 1.5)),
)
#: plotly's symbol, matplotlib's marker, and an SVG path around the origin
MARKERS = (
    ("circle", "o", "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z"),
    ("square", "s", "M-3.5-3.5h7v7h-7Z"),
    ("diamond", "D", "M0-4.8 4.8 0 0 4.8-4.8 0Z"),
    ("triangle-up", "^", "M0-4.6 4.6 3.6H-4.6Z"),
    ("x", "X", "M-4-2.4-2.4-4 0-1.6 2.4-4 4-2.4 1.6 0 4 2.4 2.4 4 0 1.6-2.4 4-4 2.4-1.6 0Z"),
    ("triangle-down", "v", "M0 4.6 4.6-3.6H-4.6Z"),
    ("cross", "P", "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z"),
)
#: fonts that every system has one of; nothing is loaded
FONTS = "'Segoe UI', -apple-system, 'Helvetica Neue', Arial, sans-serif"
#: ink of titles
INK = "#1f2a31"
#: grey of axes and guides
GREY = "#5b6770"
#: grey of grid lines
PALE = "#e4e8eb"
#: line width in pixels
WIDTH = 2.0
#: opacity of interval bands
BAND_OPACITY = 0.13


class SeriesStyle(NamedTuple):
    """Colour, dash and marker of a series, as plotly, matplotlib and SVG name them."""

    colour: str
    dash: str
    pattern: tuple[float, ...]
    symbol: str
    marker: str
    path: str

    @property
    def band(self) -> str:
        """The series' colour, thin enough for overlapping bands, as CSS."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{BAND_OPACITY})"

    @property
    def css_dash(self) -> str:
        """Dash lengths in pixels, as plotly and SVG take them."""
        return ",".join(f"{WIDTH * length:g}" for length in self.pattern) or "none"


def series_style(index: int) -> SeriesStyle:
    """The look of the ``index``-th series; the first 42 differ.

    Example:
        >>> series_style(0).dash, series_style(1).dash
        ('solid', 'dash')
        >>> len({series_style(i) for i in range(42)})
        42
    """
    dash, pattern = DASHES[index % len(DASHES)]
    symbol, marker, path = MARKERS[index % len(MARKERS)]
    return SeriesStyle(COLOURS[index % len(COLOURS)], dash, pattern, symbol, marker, path)
