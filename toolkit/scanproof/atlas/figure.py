"""The gallery as a figure, for documents."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.atlas.gallery import Picture, Row
from scanproof.reporting.style import GREY, INK
from scanproof.reporting.vocabulary import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: sizes in pixels: a picture, the gap between two, the column of names, a line of text and the outer margin
PICTURE, GAP, NAMES, LINE, MARGIN = 132, 8, 190, 13, 14
#: dots an inch; font sizes below are in points
DPI = 100
#: rows on a page of a PDF
ROWS = 6
#: grey values of the PNG file: more than an eye tells apart in a picture of this size
GREYS = 96


def gallery_figure(rows: Sequence[Row], *, title: str) -> Figure:
    """One tall sheet: a row a shift, a column a severity.

    Args:
        rows: at least one.
        title: stands above.
    """
    from matplotlib.figure import Figure

    heights = [_row_height(row) for row in rows]
    families = sum(_starts_family(rows, i) for i in range(len(rows)))
    width = 2 * MARGIN + NAMES + len(rows[0].pictures) * (PICTURE + GAP)
    height = 2 * MARGIN + 4 * LINE + sum(heights) + families * 2 * LINE
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    _text(axes, MARGIN, MARGIN, title, size=8, colour=INK)
    top: float = MARGIN + 2 * LINE
    for picture in rows[0].pictures:
        words = f"Severity {picture.severity}" if picture.severity else "Clean"
        _text(axes, _left(picture.severity), top, words, size=8, colour=INK, bold=True)
    top += 1.5 * LINE
    for i, row in enumerate(rows):
        if _starts_family(rows, i):
            _text(axes, MARGIN, top, row.family, size=9.5, colour=INK, bold=True)
            top += 2 * LINE
        _draw_row(axes, row, top)
        top += heights[i]
    # pictures set their own limits
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
    return figure


def write_figure(rows: Sequence[Row], path: Path, *, title: str) -> Path:
    """Write a PNG (one sheet, grey values) or a PDF (several pages)."""
    if path.suffix.lower() == ".pdf":
        from matplotlib.backends.backend_pdf import PdfPages

        # without its date, the same gallery is the same file
        with PdfPages(path, metadata={"CreationDate": None}) as pages:
            for first in range(0, len(rows), ROWS):
                pages.savefig(gallery_figure(rows[first : first + ROWS], title=title))
        return path
    from PIL import Image

    file = io.BytesIO()
    gallery_figure(rows, title=title).savefig(file, format="png", dpi=DPI)
    grey = Image.open(file).convert("L")
    coarse = grey.point([round(round(i * (GREYS - 1) / 255) * 255 / (GREYS - 1)) for i in range(256)])
    coarse.save(path, optimize=True)
    return path


def _draw_row(axes: Axes, row: Row, top: float) -> None:
    _text(axes, MARGIN, top, plain(row.shift), size=8.5, colour=INK, bold=True)
    words = textwrap.wrap(row.cause, 31)
    _text(axes, MARGIN, top + 1.4 * LINE, "\n".join(words), size=7, colour=GREY)
    height = _picture_height(row)
    for picture in row.pictures:
        left = _left(picture.severity)
        axes.imshow(
            picture.image,
            cmap="gray",
            vmin=0,
            vmax=1,
            extent=(left, left + PICTURE, top + height, top),
            interpolation="bilinear",
        )
        _text(axes, left, top + height + 3, "\n".join(_caption(picture)), size=6.6, colour=GREY)


def _caption(picture: Picture) -> list[str]:
    """What was set, then what it did."""
    if not picture.severity:
        return []
    return [
        *(f"{plain(name)} {value:g}" for name, value in picture.parameters.items()),
        f"NRMSE {picture.nrmse:.2f}  SSIM {picture.ssim:.2f}",
    ]


def _left(severity: int) -> float:
    return MARGIN + NAMES + severity * (PICTURE + GAP)


def _picture_height(row: Row) -> float:
    rows, columns = row.pictures[0].image.shape
    return float(PICTURE * rows * row.pixel[0] / (columns * row.pixel[1]))


def _row_height(row: Row) -> float:
    return _picture_height(row) + (max(len(_caption(picture)) for picture in row.pictures) + 0.9) * LINE


def _starts_family(rows: Sequence[Row], i: int) -> bool:
    return i == 0 or rows[i - 1].family != rows[i].family


def _text(axes: Axes, x: float, y: float, text: str, *, size: float, colour: str, bold: bool = False) -> None:
    axes.text(
        x, y, text, fontsize=size, color=colour, fontweight="bold" if bold else "normal", va="top", parse_math=False
    )
