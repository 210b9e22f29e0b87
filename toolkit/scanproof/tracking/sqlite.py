"""Tracking databases in one SQLite file: created once, by one of all processes, and checked before use."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from scanproof.errors import ScanproofError

#: seconds to wait for another program that is writing; a single write of MLflow takes well below one
LOCK_TIMEOUT = 10.0


def check_writable(path: Path, *, timeout: float = LOCK_TIMEOUT) -> None:
    """Find out whether an SQLite file, if it exists, can be written.

    MLflow itself would try to open a bad file ten times in 100 seconds.

    Args:
        path: the file.
        timeout: seconds to wait for a lock.

    Raises:
        ScanproofError: the file is no database, cannot be opened or written, or stays locked.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     check_writable(Path(file.name))
    """
    if not path.exists():
        _make_folder(path.parent)
        return
    try:
        with closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise ScanproofError(
                f"tracking database must not be locked by another program for more than {timeout:g} s",
                file=path,
                hint="wait for that program or close it",
            ) from error
        raise ScanproofError("tracking database must be a writable SQLite file", file=path, hint=str(error)) from error


def create(path: Path, fill: Callable[[Path], None]) -> None:
    """Create a database in one step, so that no other process ever sees half of its tables.

    The tables are made in a file of another name, which then gets its true name unless a database of that name has
    appeared meanwhile: that one is as good.

    Args:
        path: file of the database. Nothing happens if it exists.
        fill: makes the tables in the file it is given.

    Raises:
        ScanproofError: the folder cannot be made or written.
    """
    if path.exists():
        return
    _make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        fill(draft)
        # also without support for hard links (some network shares): then the first connection makes the tables in
        # place, and only the guarantee against two first connections at once is lost
        with suppress(OSError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        hint = f"{error.strerror or error}"
        raise ScanproofError("folder of the tracking database must be writable", file=folder, hint=hint) from error
