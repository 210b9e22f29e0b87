"""Whether runs that were logged are still there, asked without importing MLflow where a local file can tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from scanproof.errors import ScanproofError
from scanproof.tracking.uri import check_uri, sqlite_path


def are_there(uri: str, runs: Sequence[str]) -> bool:
    """Whether all these runs are finished and not deleted, and so is not their experiment.

    MLflow takes two seconds to import and to open a database; a local SQLite file is read directly. Where its tables
    are not as expected, the answer is no, and the caller asks MLflow.

    Args:
        uri: tracking URI.
        runs: their ids.

    Raises:
        ScanproofError: wrong URI.
    """
    path = sqlite_path(check_uri(uri))
    return _in_file(path, runs) if path is not None else _in_service(uri, runs)


def _in_file(path: Path, runs: Sequence[str]) -> bool:
    marks = ", ".join("?" * len(runs))
    question = (
        "SELECT count(*) FROM runs JOIN experiments USING (experiment_id) WHERE runs.status = 'FINISHED' "  # noqa: S608
        "AND runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active' "
        f"AND runs.run_uuid IN ({marks})"
    )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute(question, tuple(runs)).fetchone()[0] == len(set(runs)))
    except sqlite3.Error:
        return False


def _in_service(uri: str, runs: Sequence[str]) -> bool:
    from scanproof.tracking.client import connect

    try:
        with connect(uri) as client:
            return all(_is_finished(client.get_run(run).info) for run in runs)
    except ScanproofError:
        return False


def _is_finished(info: object) -> bool:
    return (getattr(info, "status", ""), getattr(info, "lifecycle_stage", "")) == ("FINISHED", "active")
