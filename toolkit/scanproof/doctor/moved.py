"""MLflow names artifacts by their full path: after a root was moved or copied, runs name a place that is no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from scanproof.errors import ScanproofError
from scanproof.tracking import sqlite

#: where MLflow keeps such paths
_COLUMNS: Final = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "source",
}


def find_moved(uris: Iterable[str], folder: Path) -> tuple[str, str] | None:
    """The URI of a folder of artifacts that is no more, and that of the one that holds its runs now.

    Args:
        uris: of runs, each ``FOLDER/EXPERIMENT/RUN/artifacts``.
        folder: of artifacts beside the database.

    Returns:
        Both URIs; None where no run is found to have moved.

    Example:
        >>> find_moved(["http://server/artifacts/knees/1/artifacts"], Path("artifacts")) is None
        True
    """
    for uri in uris:
        if not uri.startswith("file:"):
            continue
        before, *rest = uri.rsplit("/", 3)
        gone = not Path(url2pathname(urlsplit(uri).path)).exists()
        if gone and len(rest) == 3 and folder.joinpath(*map(url2pathname, rest)).is_dir():
            return before, folder.absolute().as_uri()
    return None


def relocate(path: Path, before: str, now: str) -> None:
    """Let an SQLite database name artifacts where they are now, in one transaction.

    Args:
        path: the database.
        before: URI that the others begin with.
        now: what they begin with from now on.

    Raises:
        ScanproofError: the database stays locked.
    """
    try:
        with closing(sqlite3.connect(path, timeout=sqlite.LOCK_TIMEOUT, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for table, column in _COLUMNS.items():
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608 (names from above)
                    (now, len(before) + 1, len(before) + 1, f"{before}/"),
                )
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "is locked" in str(error):
            raise sqlite.locked(path) from error
        raise ScanproofError("tracking database must hold MLflow's tables", file=path, hint=str(error)) from error
