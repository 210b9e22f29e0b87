"""Where searches keep their trials: journals and databases, and trials of processes that are gone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from scanproof.doctor.finding import Finding, State, some
from scanproof.reporting.vocabulary import counted
from scanproof.tracking.uri import sqlite_path
from scanproof.tuning.storage import open_storage, public
from scanproof.tuning.worker import lost_trials, recover


def check_searches(root: Path, storage: str | None = None, *, repair: bool = False) -> Iterator[Finding]:
    """Look at the journals under a root, and at a storage that is named.

    Args:
        root: folder of the default journals.
        storage: see :func:`~scanproof.tuning.storage.open_storage`.
        repair: queue trials of processes that are gone again, as the next search would.

    Raises:
        ScanproofError: a storage that cannot be used.
    """
    journals = sorted((root / "tuning").glob("*.journal"))
    places = [*map(str, journals), *([] if storage is None else [storage])]
    if not places:
        yield Finding("searches", State.OK, "none yet")
    for place in places:
        path = sqlite_path(place) if "://" in place else Path(place)
        fault = "" if path is None else _fault(path, journal="://" not in place)
        if fault:
            advice = "restore a copy, or move the file away and search anew"
            yield Finding("searches", State.PROBLEM, f"{public(place)} {fault}", advice)
        elif path is not None and not path.exists():
            yield Finding("searches", State.OK, f"nothing at {public(place)} yet")
        elif path is not None and "://" not in place and _is_torn(path) and not repair:
            text = f"the last line of {place} is unfinished"
            yield Finding("searches", State.WARNING, text, "--repair or the next search cuts it off")
        else:
            yield _trials(place, repair=repair)


def _trials(place: str, *, repair: bool) -> Finding:
    import optuna

    with open_storage(place, default=Path("unused.journal")) as storage:
        names = optuna.get_all_study_names(storage=storage)
        studies = [optuna.load_study(study_name=name, storage=storage) for name in names]
        count = sum(len(study.get_trials(deepcopy=False)) for study in studies)
        lost = [f"{study.study_name} {number}" for study in studies for number in lost_trials(study)]
        text = f"{public(place)}: {counted(count, 'trial')} of {len(studies)} searches"
        if lost and repair:
            given = sum(len(recover(study)) for study in studies)
            return Finding("searches", State.OK, f"{text}; queued {given} again, whose process is gone")
    if lost:
        text += f", {len(lost)} of processes that are gone ({some(lost)})"
        return Finding("searches", State.WARNING, text, "--repair or the next search queues them again")
    return Finding("searches", State.OK, text)


def _fault(path: Path, *, journal: bool) -> str:
    """What is wrong with a file; empty if it is whole or not there."""
    if not path.exists():
        return ""
    if journal:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n") and not _is_entry(line):
                    return f"has a line that is none of Optuna's: {number}"
        return ""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    except sqlite3.Error as error:
        faults = [str(error)]
    return "" if faults == ["ok"] else f"is damaged: {some(faults)}"


def _is_entry(line: bytes) -> bool:
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False


def _is_torn(path: Path) -> bool:
    """Whether a process that was killed has left half a line."""
    content = path.read_bytes()[-1:]
    return content not in (b"", b"\n")
