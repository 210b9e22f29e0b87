from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from scanproof.doctor import tracked
from scanproof.doctor.finding import Finding, guarded
from scanproof.doctor.tracked import check_sqlite, check_tracking
from scanproof.tracking.client import connect, quiet
from scanproof.tracking.experiment import prepare
from scanproof.tracking.runs import create_run
from scanproof.tracking.uri import default_tracking_uri

from .conftest import Lab, of

#: opens a run and waits to be killed
OPENS = """
import sys, time
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.runs import open_run
experiment_id = prepare(sys.argv[1], experiment="small")
with connect(sys.argv[1]) as client, open_run(client, experiment_id, name="left open", tags={}):
    print("open", flush=True)
    time.sleep(600)
"""


def check(lab: Lab, *, repair: bool = False) -> list[Finding]:
    return guarded("MLflow", lambda: check_tracking(lab.uri, repair=repair))


def test_all_is_well(lab: Lab) -> None:
    found = check(lab)
    assert {finding.state for finding in found} == {"ok"}
    assert [finding.topic for finding in found] == ["MLflow", "MLflow", "runs", "artifacts"]
    assert found[2].text == "none open"


def test_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    (finding,) = check_tracking(default_tracking_uri(tmp_path))
    assert (finding.state, list(tmp_path.iterdir())) == ("ok", [])


def test_run_of_a_killed_process_is_ended_and_that_of_a_living_one_is_not(lab: Lab) -> None:
    with subprocess.Popen([sys.executable, "-c", OPENS, lab.uri], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        assert of("runs", check(lab, repair=True)) == [("ok", "1 run open, of processes that work")]
        process.kill()
    assert process.returncode == -signal.SIGKILL
    state, text = of("runs", check(lab))[0]
    assert (state, text.partition(":")[0]) == ("warning", "1 run left open by processes that are gone")
    assert of("runs", check(lab, repair=True)) == [("ok", "ended 1 as killed, whose process is gone: left open")]
    with connect(lab.uri) as client:
        experiment = client.get_experiment_by_name("small")
        states = {run.info.run_name: run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert states.pop("left open") == "KILLED"
    assert set(states.values()) == {"FINISHED"}
    assert of("runs", check(lab)) == [("ok", "none open")]


def test_open_run_of_another_machine_is_left_alone(lab: Lab) -> None:
    experiment_id = prepare(lab.uri, experiment="small")
    with connect(lab.uri) as client:
        run = create_run(client, experiment_id, name="elsewhere", tags={"scanproof.process": '{"host": "elsewhere"}'})
    with closing(sqlite3.connect(lab.database)) as database:
        database.execute("UPDATE runs SET start_time = 0 WHERE run_uuid = ?", (run.info.run_id,))
        database.commit()
    ((state, text),) = of("runs", check(lab, repair=True))
    assert state == "info"
    assert "1 run open for more than a day, of other machines or programs: elsewhere" in text
    with connect(lab.uri) as client:
        assert client.get_run(run.info.run_id).info.status == "RUNNING"


def test_missing_artifact_is_named(lab: Lab) -> None:
    reports = list((lab.root / "artifacts").rglob("report.html"))
    tables = list((lab.root / "artifacts").rglob("results.json"))
    assert reports
    assert tables
    reports[0].unlink()
    tables[0].unlink()
    ((state, text),) = of("artifacts", check(lab, repair=True))
    assert state == "problem"
    assert text.startswith("2 of ")
    assert "report.html of north, results.json of north" in text


def test_damaged_database(lab: Lab) -> None:
    size = lab.database.stat().st_size
    with lab.database.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size // 2))
    content = lab.database.read_bytes()
    (finding,) = check(lab, repair=True)
    assert finding.state == "problem"
    assert f"{lab.database} is damaged: " in finding.text
    assert lab.database.read_bytes() == content


def test_empty_database_gets_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()
    assert [finding.state for finding in check(Lab(tmp_path))] == ["warning"]
    assert path.stat().st_size == 0
    assert check_sqlite(path, repair=True).text == f"made the tables of {path}, which was empty"
    assert check_sqlite(path).text == f"{path} is whole, its tables up to date"


def make_older(path: Path, *, steps: int) -> str:
    """A database as an older MLflow has left it; gives its version."""
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    revision, uri = tracked._versions()[steps], f"sqlite:///{path}"
    with quiet():
        engine = create_engine(uri)
        Base.metadata.create_all(engine)
        engine.dispose()
        command.upgrade(_get_alembic_config(uri), revision)
    return revision


def test_older_database_is_migrated_beside_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    older = make_older(path, steps=2)
    lab = Lab(tmp_path)
    content = path.read_bytes()
    (finding,) = check(lab)
    assert (finding.state, finding.text) == ("problem", f"{path} is of an older MLflow")
    assert path.read_bytes() == content
    assert {finding.state for finding in check(lab, repair=True)} == {"ok"}
    (copy,) = tmp_path.glob("mlflow.db.before-*")
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(older,)]
    assert {finding.state for finding in check(lab)} == {"ok"}


def test_migration_that_fails_leaves_the_database_as_it_was(lab: Lab) -> None:
    with closing(sqlite3.connect(lab.database)) as database:  # says that it is older than it is
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.commit()
    before = list(closing_dump(lab.database))
    found = check(lab, repair=True)
    assert found[-1].state == "problem"
    assert any("cannot be migrated, and is as it was" in finding.text for finding in found)
    assert list(closing_dump(lab.database)) == before


def closing_dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def test_database_of_a_newer_mlflow_or_of_something_else(lab: Lab, tmp_path: Path) -> None:
    with closing(sqlite3.connect(lab.database)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    (finding,) = check(lab, repair=True)
    assert finding.text == f"{lab.database} is of a newer MLflow (tables ffffffffffff)"
    other = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE notes (text)")
    (finding,) = check(Lab(tmp_path), repair=True)
    assert (finding.state, finding.text) == ("problem", f"{other} has other tables than MLflow's")
    assert closing_dump(other) == ["BEGIN TRANSACTION;", "CREATE TABLE notes (text);", "COMMIT;"]


def test_artifacts_of_a_root_that_was_moved(lab: Lab, tmp_path: Path) -> None:
    lab.root.rename(tmp_path / "moved")
    moved = Lab(tmp_path / "moved")
    before, now = ((root / "artifacts").as_uri() for root in (lab.root, moved.root))
    ((state, text),) = of("artifacts", check(moved))
    assert state == "problem"
    assert f"runs name {before}, which is no more; {now} holds them" in text
    found = of("artifacts", check(moved, repair=True))
    assert found[0] == ("ok", f"runs name {now} from now on, no longer {before}")
    assert found[1][1].endswith("that runs name are there")
    assert of("artifacts", check(moved)) == found[1:]


def test_file_that_is_no_database(tmp_path: Path) -> None:
    content = b"notes " * 1000
    (tmp_path / "mlflow.db").write_bytes(content)
    (finding,) = check(Lab(tmp_path), repair=True)
    assert (finding.state, (tmp_path / "mlflow.db").read_bytes()) == ("problem", content)
