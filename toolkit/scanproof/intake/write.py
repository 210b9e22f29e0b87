"""Files that a check writes: whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from scanproof.errors import ScanproofError
from scanproof.study.store import write_atomically


def check_target(path: Path) -> Path:
    """The path, if a file can be written there; said before anything slow begins.

    Raises:
        ScanproofError: no folder to write to, or a folder in its place.

    Example:
        >>> check_target(Path("check.html")).name
        'check.html'
    """
    if not path.parent.is_dir():
        raise ScanproofError("folder of the output must exist", file=path)
    if path.is_dir():
        raise ScanproofError("output must be a file", file=path)
    return path


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        ScanproofError: the file cannot be written.
    """
    write_atomically(path, text.encode())
