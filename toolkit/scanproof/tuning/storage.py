"""Where trials are kept: a journal file, or a database."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError
from scanproof.tracking.uri import split_credentials

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.storages.journal import JournalFileOpenLock, JournalFileSymlinkLock

#: seconds that a database gets to answer
PATIENCE = 10
_ATTEMPTS = 5


@contextmanager
def open_storage(url: str | None, *, default: Path) -> Iterator[BaseStorage]:
    """A storage that any number of processes may use at the same time.

    Args:
        url: of a database, e.g. ``sqlite:///trials.db`` or ``postgresql://user:password@host/trials``; the path of a
            journal file, which ends in ``.journal``; None for the default.
        default: journal file.

    Raises:
        ScanproofError: a storage that cannot be opened. Its text holds no password.
    """
    import optuna

    # Optuna tells about every study and trial
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None or "://" not in url:
        yield _journal(default if url is None else _journal_path(url))
        return
    from optuna.storages import RDBStorage

    storage = _database(url)
    try:
        yield storage
    finally:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


def shared_journal(url: str | None, *, default: Path) -> Path | None:
    """The journal that the machines of a cluster must share; None for a database, which they all reach.

    Args:
        url: see :func:`open_storage`.
        default: likewise.

    Raises:
        ScanproofError: a file that several machines cannot write together, or whose path means another one elsewhere.

    Example:
        >>> shared_journal("postgresql://host/trials", default=Path("a.journal")) is None
        True
    """
    if url is None:
        return default
    if "://" not in url and not Path(url).is_absolute():
        raise ScanproofError("on a cluster, path of a journal must be absolute", key="--storage", value=url)
    if url.startswith("sqlite"):
        hint = "name a .journal on a shared file system, or a database server"
        raise ScanproofError("on a cluster, storage must not be SQLite", key="--storage", value=public(url), hint=hint)
    return None if "://" in url else Path(url)


def public(url: str) -> str:
    """A URL without user, password and options, for messages and records.

    Example:
        >>> public("postgresql://runs:secret@db.example:5432/trials?sslpassword=other")
        'postgresql://db.example:5432/trials'
        >>> public("sqlite:///trials.db")
        'sqlite:///trials.db'
    """
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{split_credentials(rest)[1].partition('?')[0]}"


def _journal_path(text: str) -> Path:
    if not text.endswith(".journal"):
        raise ScanproofError(
            "storage must be the URL of a database, or a path that ends in .journal",
            key="--storage",
            value=public(text),
            hint="e.g. sqlite:///trials.db",
        )
    return Path(text)


def _journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock

    path = path.absolute()
    # links need special rights on Windows; elsewhere they lock network shares, too
    lock: JournalFileOpenLock | JournalFileSymlinkLock
    lock = JournalFileOpenLock(str(path)) if os.name == "nt" else JournalFileSymlinkLock(str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _mend(path, lock)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except OSError as error:
        raise ScanproofError(f"storage must be writable: {error.strerror or error}", file=path) from error
    except (ValueError, KeyError, AssertionError, TypeError) as error:
        raise ScanproofError("storage must be a journal of Optuna", file=path, hint=str(error)) from error


def _mend(path: Path, lock: JournalFileOpenLock | JournalFileSymlinkLock) -> None:
    """Cut off a last line that a full disk or a power cut has left unfinished: no later one could be read."""
    content = path.read_bytes() if path.exists() else b""
    # Optuna would go on behind a first line that it cannot read, and find its own ones no more
    if b"\n" in content and "op_code" not in json.loads(content.partition(b"\n")[0]):
        raise ValueError("its first line is not one of Optuna's")
    if content[-1:] in (b"", b"\n"):
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        # another process may have been writing when it was looked at first
        if not content.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _database(url: str) -> BaseStorage:
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    scheme = url.partition("://")[0].partition("+")[0]
    arguments = {"sqlite": {"timeout": PATIENCE}, "postgresql": {"connect_timeout": PATIENCE}}.get(scheme, {})
    if scheme == "sqlite" and url.removeprefix("sqlite://") in ("", "/", "/:memory:"):
        raise ScanproofError(
            "storage must be a file, because trials in memory are lost", key="--storage", value=public(url)
        )
    for attempt in range(_ATTEMPTS):
        try:
            # a connection that a restart of the server has ended is opened anew
            return RDBStorage(url, engine_kwargs={"connect_args": arguments, "pool_pre_ping": True})
        except ImportError as error:
            raise _refusal(url, "its driver must be installed", error) from None
        except (SQLAlchemyError, StorageInternalError, RuntimeError, ValueError, OSError) as error:
            # two processes that make the tables at once: the second finds them a moment later
            if attempt + 1 < _ATTEMPTS and ("already exists" in str(error) or "UNIQUE constraint" in str(error)):
                time.sleep(0.1 * (attempt + 1))
                continue
            raise _refusal(url, "it must answer and accept trials", error) from None
    raise AssertionError("unreachable")


def _refusal(url: str, rule: str, error: Exception) -> ScanproofError:
    """The error without what a URL must not tell; a driver's text may repeat all of it."""
    cause = getattr(error, "orig", None) or error
    line = next(iter(str(cause).strip().splitlines()), "")
    hint = type(cause).__name__ if public(url) != url or not line else f"{type(cause).__name__}: {line[:200]}"
    return ScanproofError(f"storage cannot be used: {rule}", key="--storage", value=public(url), hint=hint)
