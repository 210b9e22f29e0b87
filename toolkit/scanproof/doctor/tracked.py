"""The MLflow database or server: whether it is whole, up to date, and holds what its runs name."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.doctor.finding import Finding, State, some
from scanproof.doctor.moved import find_moved, relocate
from scanproof.owner import is_alive, this_process
from scanproof.reporting.vocabulary import counted
from scanproof.tracking import sqlite
from scanproof.tracking.client import connect, import_mlflow
from scanproof.tracking.experiment import make_tables
from scanproof.tracking.runs import KIND, PROCESS
from scanproof.tracking.uri import redact, sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: artifacts that every run of a site holds
ARTIFACTS = ("report.html", "study.lock.yaml")
_DAY = 86_400.0


def check_tracking(uri: str, *, repair: bool = False) -> Iterator[Finding]:
    """Look at a tracking database or server and at its runs.

    Args:
        uri: tracking URI.
        repair: make missing tables, migrate an SQLite database (a copy is kept), and end runs whose process is gone.

    Raises:
        ScanproofError: it cannot be reached or is not one of MLflow.
    """
    path = sqlite_path(uri)
    if path is not None:
        if not path.exists():
            yield Finding("MLflow", State.OK, f"no database at {path} yet; the first run makes it")
            return
        finding = check_sqlite(path, repair=repair)
        yield finding
        if finding.state is not State.OK:
            return  # MLflow itself would make tables, or migrate them without a copy
    with connect(uri) as client:
        runs = _runs(client)
        yield Finding("MLflow", State.OK, f"{redact(uri)} answers, {counted(len(runs), 'run')}")
        yield from _open_runs(client, runs, repair=repair)
        moved = None if path is None else find_moved((run.info.artifact_uri for run in runs), path.parent / "artifacts")
        if moved and path is not None and repair:
            relocate(path, *moved)
            yield Finding("artifacts", State.OK, f"runs name {moved[1]} from now on, no longer {moved[0]}")
            runs, moved = _runs(client), None
        if moved:
            text = f"runs name {moved[0]}, which is no more; {moved[1]} holds them"
            yield Finding("artifacts", State.PROBLEM, text, "--repair lets runs name it")
        else:
            yield from _artifacts(client, runs)
            yield from _models(client)


def check_sqlite(path: Path, *, repair: bool = False) -> Finding:
    """Whether an SQLite file is whole and has the tables of the installed MLflow.

    Args:
        path: the file, which exists.
        repair: give an empty one MLflow's tables, and migrate older ones beside a copy; otherwise nothing is changed.
    """
    version = None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
            tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
            if "alembic_version" in tables:
                version = next(connection.execute("SELECT version_num FROM alembic_version"), (None,))[0]
    except sqlite3.Error as error:
        faults, tables = [str(error)], set()
    if faults != ["ok"]:
        advice = "restore a copy, or move the file away: the next run makes a new one and logs finished results anew"
        return Finding("MLflow", State.PROBLEM, f"{path} is damaged: {some(faults)}", advice)
    if not tables and repair:
        sqlite.create(path, make_tables)
        return Finding("MLflow", State.OK, f"made the tables of {path}, which was empty")
    if not tables:
        return Finding("MLflow", State.WARNING, f"{path} is empty", "--repair or the next run makes its tables")
    latest, *older = _versions()
    if version == latest:
        return Finding("MLflow", State.OK, f"{path} is whole, its tables up to date")
    if version not in older:
        said = "has other tables than MLflow's" if version is None else f"is of a newer MLflow (tables {version})"
        advice = "name another with --tracking-uri" if version is None else "install that version of MLflow"
        return Finding("MLflow", State.PROBLEM, f"{path} {said}", advice)
    if repair:
        return _migrated(path)
    return Finding("MLflow", State.PROBLEM, f"{path} is of an older MLflow", "--repair migrates it beside a copy")


def _versions() -> list[str]:
    """Of the tables of all versions of MLflow, that of the installed one first; MLflow offers no public way."""
    import_mlflow()
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    config = _get_alembic_config("sqlite://")  # type: ignore[no-untyped-call]
    scripts = ScriptDirectory.from_config(config)
    return [script.revision for script in scripts.walk_revisions()]


def _migrated(path: Path) -> Finding:
    """Bring a database to the tables of the installed MLflow, beside a copy of what it was."""
    copy = path.with_name(f"{path.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
    _copy(path, copy)
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{path.as_posix()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (no shell reads the path)
    if done.returncode:
        _copy(copy, path)
        last = next(iter(done.stderr.strip().splitlines()[-1:]), "")[:200]
        return Finding("MLflow", State.PROBLEM, f"{path} cannot be migrated, and is as it was: {last}")
    return Finding("MLflow", State.OK, f"migrated {path} to the tables of the installed MLflow; as it was: {copy}")


def _copy(path: Path, to: Path) -> None:
    """Copy a database as one transaction, so that other programs may use it meanwhile."""
    with closing(sqlite3.connect(path, timeout=10)) as source, closing(sqlite3.connect(to, timeout=10)) as target:
        source.backup(target)


def _runs(client: MlflowClient) -> list[Run]:
    """All runs that are not deleted."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs: list[Run] = []
    token: str | None = None
    while experiments:
        page = client.search_runs(experiments, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            break
    return runs


def _open_runs(client: MlflowClient, runs: list[Run], *, repair: bool) -> Iterator[Finding]:
    """Runs whose process is gone; those of other machines cannot be told from runs that go on."""
    running = [run for run in runs if run.info.status == "RUNNING"]
    dead, unknown = [], []
    for run in running:
        owner = json.loads(run.data.tags.get(PROCESS, "null"))
        if owner is not None and owner["host"] == this_process()["host"]:
            dead += [] if is_alive(owner, seen=0.0) else [run]
        elif time.time() - run.info.start_time / 1000 > _DAY:
            unknown.append(run)
    names = some(run.info.run_name for run in dead)
    if dead and repair:
        for run in dead:
            client.set_terminated(run.info.run_id, "KILLED")
        yield Finding("runs", State.OK, f"ended {len(dead)} as killed, whose process is gone: {names}")
    elif dead:
        text = f"{counted(len(dead), 'run')} left open by processes that are gone: {names}"
        yield Finding("runs", State.WARNING, text, "--repair ends them as killed")
    if unknown:
        text = f"{counted(len(unknown), 'run')} open for more than a day, of other machines or programs: "
        yield Finding("runs", State.INFO, text + some(run.info.run_name for run in unknown), "end them in MLflow")
    alive = len(running) - len(dead) - len(unknown)
    if not dead and not unknown:
        yield Finding(
            "runs", State.OK, f"{counted(alive, 'run')} open, of processes that work" if alive else "none open"
        )


def _artifacts(client: MlflowClient, runs: list[Run]) -> Iterator[Finding]:
    """Files that finished runs of sites name and that are not there."""
    missing, count = [], 0
    for run in runs:
        if run.info.status != "FINISHED":
            continue
        named = {str(one["path"]) for one in json.loads(run.data.tags.get("mlflow.loggedArtifacts", "[]"))}
        if run.data.tags.get(KIND) in ("site", "all-sites"):
            named |= {*ARTIFACTS}
        if not named:
            continue
        count += len(named)
        there = {one.path for one in client.list_artifacts(run.info.run_id)}
        missing += [f"{name} of {run.info.run_name}" for name in sorted(named - there)]
    if missing:
        text = f"{len(missing)} of {count} missing: {some(missing)}"
        advice = "restore the folder of artifacts, or delete these runs in MLflow and run the study again"
        yield Finding("artifacts", State.PROBLEM, text, advice)
    elif count:
        yield Finding("artifacts", State.OK, f"all {count} that runs name are there")


def _models(client: MlflowClient) -> Iterator[Finding]:
    """Versions in the model registry whose files are not there."""
    from mlflow.artifacts import list_artifacts
    from mlflow.exceptions import MlflowException

    gone, count, token = [], 0, None
    while True:
        page = client.search_model_versions(page_token=token)
        for version in page:
            count += 1
            try:
                where = client.get_model_version_download_uri(version.name, str(version.version))
                there = bool(list_artifacts(artifact_uri=where, tracking_uri=client.tracking_uri))
            except (MlflowException, OSError):
                there = False
            gone += [] if there else [f"{version.name} {version.version}"]
        token = page.token
        if not token:
            break
    if gone:
        text = f"files of {counted(len(gone), 'registered model')} missing: {some(gone)}"
        yield Finding("models", State.PROBLEM, text, "scanproof register puts a trained network there again")
    elif count:
        yield Finding("models", State.OK, f"files of {counted(count, 'registered model')} are there")
