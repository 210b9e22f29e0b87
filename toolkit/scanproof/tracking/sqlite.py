"""Tracking databases in one SQLite file: created once, by one of all processes, and shared without waiting in vain.

SQLite lets one program write at a time and rolls back what a killed one has left. MLflow opens a transaction with its
first write, never while it reads, so that two programs cannot wait for each other; it keeps the usual rollback journal,
because a write-ahead log does not work on network shares. What is left to do here is to wait long enough.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from scanproof.errors import ScanproofError

#: seconds to wait for other programs that are writing; a single write of MLflow takes well below one
LOCK_TIMEOUT = 60.0
# how long MLflow itself waits, which it says in every session
_MLFLOWS_TIMEOUT = "PRAGMA busy_timeout = 20000;"


def wait_longer() -> None:
    """Let MLflow in this process wait :data:`LOCK_TIMEOUT` for locks, rather than 20 s."""
    from sqlalchemy import Engine, event

    if not event.contains(Engine, "before_cursor_execute", _with_our_timeout):
        event.listen(Engine, "before_cursor_execute", _with_our_timeout, retval=True)


def locked(path: Path, *, timeout: float | None = None) -> ScanproofError:
    """The error for a database that stays locked."""
    return ScanproofError(
        f"tracking database must not be locked by another program for more than {timeout or LOCK_TIMEOUT:g} s",
        file=path,
        hint="wait for that program or close it, then run again: what is finished is kept",
    )


def check_writable(path: Path, *, timeout: float | None = None) -> None:
    """Find out whether an SQLite file, if it exists, can be written.

    MLflow itself would try to open a bad file ten times in 100 seconds.

    Args:
        path: the file.
        timeout: seconds to wait for a lock; default :data:`LOCK_TIMEOUT`.

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
        with closing(sqlite3.connect(path, timeout=timeout or LOCK_TIMEOUT, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "is locked" in str(error):
            raise locked(path, timeout=timeout) from error
        raise ScanproofError("tracking database must be a writable SQLite file", file=path, hint=str(error)) from error


def create(path: Path, fill: Callable[[Path], None]) -> None:
    """Create a database in one step, so that no other process ever sees half of its tables.

    The tables are made in a file of another name, which then gets its true name unless a database of that name has
    appeared meanwhile: that one is as good. Where there are no hard links (some network shares), or where the file is
    there but empty, the tables are copied in one transaction.

    Args:
        path: file of the database. Nothing happens if it holds anything.
        fill: makes the tables in the file it is given.

    Raises:
        ScanproofError: the folder cannot be made or written, or the file is locked.
    """
    if _holds_something(path):
        return
    _make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        fill(draft)
        try:
            path.hardlink_to(draft)
        except OSError:
            if not _holds_something(path):
                _copy_tables(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _holds_something(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size > 0
    return False


def _copy_tables(source: Path, path: Path) -> None:
    """Fill a database that is empty; one that is not stays as it is, whoever filled it."""
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)) as connection:
            connection.execute("ATTACH DATABASE ? AS source", (str(source),))
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("SELECT COUNT(*) FROM main.sqlite_master").fetchone()[0]:
                return
            made = connection.execute("SELECT type, name, sql FROM source.sqlite_master WHERE sql IS NOT NULL")
            # tables first: what belongs to them, such as indices, asks for them
            for kind, name, sql in sorted(made.fetchall(), key=lambda row: row[0] != "table"):
                if name.startswith("sqlite_"):
                    continue
                connection.execute(sql)
                if kind == "table":
                    # the names are those of MLflow's own tables and columns; computed columns are not among them
                    columns = connection.execute("SELECT name FROM pragma_table_info(?, 'source')", (name,)).fetchall()
                    listed = ", ".join(f'"{column}"' for (column,) in columns)
                    connection.execute(f'INSERT INTO main."{name}" ({listed}) SELECT {listed} FROM source."{name}"')  # noqa: S608
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        if "is locked" in str(error):
            raise locked(path) from error
        raise ScanproofError("tracking database must be a writable SQLite file", file=path, hint=str(error)) from error


def _with_our_timeout(
    connection: object, cursor: object, statement: str, parameters: object, context: object, several: bool
) -> tuple[str, object]:
    if statement == _MLFLOWS_TIMEOUT:
        statement = f"PRAGMA busy_timeout = {int(LOCK_TIMEOUT * 1000)};"
    return statement, parameters


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        hint = f"{error.strerror or error}"
        raise ScanproofError("folder of the tracking database must be writable", file=folder, hint=hint) from error
