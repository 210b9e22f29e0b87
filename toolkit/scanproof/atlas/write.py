"""Files of the atlas, in the format that their names ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError, unknown_name

if TYPE_CHECKING:
    from scanproof.atlas.gallery import Row
    from scanproof.atlas.table import SeverityTable

#: suffixes of files that can be written
TABLES = (".md", ".csv", ".json")
GALLERIES = (".html", ".png", ".pdf")


def check_output(path: Path, suffixes: Sequence[str]) -> Path:
    """The path, if a file can be written there.

    Args:
        path: of a file that need not exist.
        suffixes: :data:`TABLES` or :data:`GALLERIES`.

    Raises:
        ScanproofError: another suffix, the text lists the known ones; or no folder to write to.

    Example:
        >>> check_output(Path("table.md"), TABLES).name
        'table.md'
    """
    if path.suffix.lower() not in suffixes:
        raise unknown_name("kind of output file", path.suffix, suffixes, file=path)
    if not path.parent.is_dir():
        raise ScanproofError("folder of the output must exist", file=path)
    return path


def write_table(table: SeverityTable, path: Path) -> Path:
    """Write a severity table as Markdown, CSV or JSON.

    Raises:
        ScanproofError: see :func:`check_output`.
    """
    from scanproof.atlas.table import as_csv, as_json, as_markdown

    write = dict(zip(TABLES, (as_markdown, as_csv, as_json), strict=True))
    text = write[check_output(path, TABLES).suffix.lower()](table)
    path.write_text(text, encoding="utf-8")
    return path


def write_gallery(rows: Sequence[Row], path: Path, *, text: str, command: str) -> Path:
    """Write a gallery as an HTML page, a PNG sheet or a PDF document.

    Args:
        rows: at least one, those of one family next to each other.
        path: of the file.
        text: one sentence about the images.
        command: that made it.

    Raises:
        ScanproofError: see :func:`check_output`.
    """
    if check_output(path, GALLERIES).suffix.lower() == ".html":
        from scanproof.atlas.page import render_gallery

        path.write_text(render_gallery(rows, text=text, command=command), encoding="utf-8")
        return path
    from scanproof.atlas.figure import write_figure

    return write_figure(rows, path, title=f"What the shifts look like. {text}")
