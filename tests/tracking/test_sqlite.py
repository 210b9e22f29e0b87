"""One SQLite file shared by real processes: some write, one holds a lock, one is killed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from scanproof.errors import ScanproofError
from scanproof.tracking import sqlite
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import make_tables, prepare
from scanproof.tracking.model import TrackedStudy
from scanproof.tracking.study_log import log_study
from scanproof.tracking.uri import default_tracking_uri, sqlite_path

# logs runs until it has enough of them; says what it is about to do and what is done
WRITER = """
import sys
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.metrics import Point
from scanproof.tracking.runs import log_points, open_run
uri, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
experiment_id = prepare(uri, experiment=name)
with connect(uri) as client:
    for number in range(count):
        with open_run(client, experiment_id, name=str(number), tags={"shared": "yes"}) as run_id:
            print("writing", flush=True)
            log_points(client, run_id, [Point(f"m{i}", number + i / 7, i) for i in range(300)])
"""
#: seconds that a lock is held: more than the 5 that Python's driver would wait
HELD = 6.0


def writer(uri: str, name: str, *, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, uri, name, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def runs_of(uri: str, name: str) -> list[tuple[str, int]]:
    with connect(uri) as client:
        found = client.get_experiment_by_name(name)
        return [(run.info.status, len(run.data.metrics)) for run in client.search_runs([found.experiment_id])]


def test_writers_wait_for_a_lock_and_survive_one_that_is_killed(uri: str) -> None:
    writers = {"killed": writer(uri, "killed", count=1000), "east": writer(uri, "east", count=4)}
    for process in writers.values():
        assert process.stdout.readline() == "writing\n"
    with closing(sqlite3.connect(sqlite_path(uri), isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(HELD)
        other.execute("ROLLBACK")
    assert writers["killed"].poll() is None
    writers["killed"].kill()
    said = {name: process.communicate(timeout=100)[0] for name, process in writers.items()}
    codes = {name: process.returncode for name, process in writers.items()}
    assert codes == {"killed": -signal.SIGKILL, "east": 0}, said
    assert runs_of(uri, "east") == [("FINISHED", 300)] * 4
    left = runs_of(uri, "killed")
    # whole batches of metrics or none
    assert {count for _, count in left} <= {0, 300}
    assert [state for state, _ in left].count("RUNNING") <= 1
    with closing(sqlite3.connect(sqlite_path(uri))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA journal_mode").fetchall() == [("delete",)]


def test_mlflow_waits_as_long_as_we_say(uri: str) -> None:
    with connect(uri) as client, client._tracking_client.store.ManagedSessionMaker() as session:
        from sqlalchemy import text

        assert session.execute(text("PRAGMA busy_timeout")).scalar() == sqlite.LOCK_TIMEOUT * 1000


def test_a_lock_that_stays_ends_with_a_hint_and_the_next_call_goes_on(
    uri: str, make_study: Callable[..., TrackedStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = make_study(sites=("north",), reconstructions=("unet",))
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 0.5)
    batches = 0

    with closing(sqlite3.connect(sqlite_path(uri), isolation_level=None)) as other:

        def lock(*_: object) -> None:
            nonlocal batches
            batches += 1
            if batches == 3:
                other.execute("BEGIN IMMEDIATE")

        from scanproof.tracking import study_log

        whole = study_log.log_points
        with monkeypatch.context() as patched:
            patched.setattr(study_log, "log_points", lambda *args: (lock(), whole(*args)))
            rule = r"mlflow\.db: tracking database must not be locked .* 0\.5 s \(wait for .*what is finished is kept"
            with pytest.raises(ScanproofError, match=rule):
                log_study(tracked, uri=uri)
        with pytest.raises(ScanproofError, match="must not be locked"):
            log_study(tracked, uri=uri)  # not even begun
        other.execute("ROLLBACK")
    logged = log_study(tracked, uri=uri)
    with connect(uri) as client:
        experiment = client.get_experiment_by_name(tracked.study)
        runs = client.search_runs([experiment.experiment_id])
        states = {run.info.status for run in runs}
        assert {client.get_run(run_id).info.status for run_id in logged.values()} == {"FINISHED"}
    assert states == {"FINISHED"}
    assert len(runs) == 1 + 1 + 2  # a training, and the site with its chains


@pytest.mark.parametrize("there", ["nothing", "empty file"])
def test_tables_are_made_without_hard_links(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    uri = default_tracking_uri(tmp_path)
    path = sqlite_path(uri)
    if there == "empty file":
        path.touch()
    sqlite.create(path, make_tables)
    # not their text, in which MLflow orders some constraints at random
    schema = (
        "SELECT m.type, m.name, c.name, c.type, c.pk, c.hidden FROM sqlite_master m "
        "LEFT JOIN pragma_table_xinfo(m.name) c WHERE m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid"
    )
    with closing(sqlite3.connect(path)) as found, closing(sqlite3.connect(empty_database)) as expected:
        assert found.execute(schema).fetchall() == expected.execute(schema).fetchall()
        assert len(found.execute(schema).fetchall()) > 300
        version = "SELECT version_num FROM alembic_version"
        assert found.execute(version).fetchall() == expected.execute(version).fetchall()
    assert list(tmp_path.iterdir()) == [path]
    prepare(uri, experiment="knees")
    before = path.read_bytes()
    sqlite._copy_tables(empty_database, path)  # another process that made tables at the same time
    assert path.read_bytes() == before
    with connect(uri) as client:
        assert {one.name for one in client.search_experiments()} == {"Default", "knees"}
