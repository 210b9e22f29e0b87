"""Figures as vector pictures inside the page: sharp on paper, without script, the same on every run."""

from __future__ import annotations

import base64
import io
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from scanproof.reporting.style import GREY, INK, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: characters of a small plot's title in a line
WIDEST = 26


class Drawing(NamedTuple):
    """A picture as a ``data:`` address, what it shows in words, and its size in pixels of the page."""

    image: str
    words: str
    width: int
    height: int


def drawing(figure: Figure, words: str) -> Drawing:
    """A figure as SVG that a page can hold.

    Text stays text, which keeps the picture small; it is set in a font that the reader's system has.

    Args:
        figure: at 100 pixels an inch.
        words: what a reader who does not see it must know.

    Example:
        >>> from scanproof.reporting.drawing import sheet
        >>> found = drawing(sheet(2, 1), "An empty sheet.")
        >>> found.image[:26], found.width, found.height
        ('data:image/svg+xml;base64,', 200, 100)
    """
    import matplotlib

    file = io.BytesIO()
    # names inside the file come from its content, not from chance, and it tells no time
    with matplotlib.rc_context({"svg.hashsalt": "scanproof", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    width, height = (round(float(100 * side)) for side in figure.get_size_inches())
    return Drawing(
        "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii"), words, width, height
    )


def dress(axes: Axes, *, title: str, grid: str = "x") -> None:
    """The look of all small plots: few lines, small grey numbers, a bold title at the left."""
    axes.set_title(
        textwrap.fill(title, WIDEST, break_on_hyphens=False), fontsize=9.5, color=INK, loc="left", parse_math=False
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelsize=8)
    axes.grid(axis=grid, color=PALE, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
