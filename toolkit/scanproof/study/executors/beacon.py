"""Files by which machines find out that they see the same folder: its name says nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanproof.errors import ScanproofError


@contextmanager
def beacon(folder: Path) -> Iterator[Path]:
    """A file that shows who looks for it that a folder is this one, for the time of a ``with`` block.

    Raises:
        ScanproofError: the folder cannot be written.
    """
    path = folder.absolute() / f"beacon-{uuid.uuid4().hex}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise ScanproofError(f"folder must be writable: {error.strerror or error}", file=folder) from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
