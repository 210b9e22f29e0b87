from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from scanproof.errors import ScanproofError
from scanproof.tracking import client as tracking_client, sqlite
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import artifact_location, prepare
from scanproof.tracking.uri import default_tracking_uri

# what a worker of a study does, with every warning an error and every connection to the network reported
WORKER = """
import sys, warnings
from pathlib import Path
calls, (name, uri) = [], sys.argv[1:]
sys.addaudithook(lambda event, args: calls.append(args[1]) if event == "socket.connect" else None)
warnings.simplefilter("error")
if name == "worker 0":
    import mlflow  # as a user's own program may have done, which leaves telemetry on
    assert mlflow.telemetry.get_telemetry_client() is not None
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.metrics import Point
from scanproof.tracking.runs import log_points, open_run
experiment_id = prepare(uri, experiment="knees")
with connect(uri) as client:
    for _ in range(2):
        with open_run(client, experiment_id, name=name, tags={}) as run_id:
            for batch in range(3):
                log_points(client, run_id, [Point(f"m{i}", i / 7, batch) for i in range(150)])
import mlflow.telemetry
assert mlflow.telemetry.get_telemetry_client() is None
assert not calls, calls
"""


def test_first_runs_of_two_processes_at_once(tmp_path: Path) -> None:
    uri = default_tracking_uri(tmp_path / "new" / "mlruns")
    # as on a user's machine, where none of these switches MLflow's telemetry off
    free = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "PYTEST", "GITHUB", "CI", "DO_NOT"))}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, f"worker {i}", uri],
            env={**free, "MLFLOW_DISABLE_TELEMETRY": "false", "HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    said = [worker.communicate(timeout=100)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert said == ["", ""]  # no progress messages of MLflow either

    with connect(uri) as client:
        experiments = client.search_experiments(filter_string="name = 'knees'")
        assert len(experiments) == 1
        runs = client.search_runs([experiments[0].experiment_id])
        assert [run.info.status for run in runs] == ["FINISHED"] * 4
        for run in runs:
            assert len(run.data.metrics) == 150
            history = client.get_metric_history(run.info.run_id, "m149")
            assert {entry.step: entry.value for entry in history} == dict.fromkeys(range(3), 149 / 7)
    assert [path.name for path in (tmp_path / "new" / "mlruns").iterdir()] == ["mlflow.db"]


def test_artifacts_lie_beside_the_database(uri: str, tmp_path: Path) -> None:
    experiment_id = prepare(uri, experiment="Knee study: left/right")
    with connect(uri) as client:
        experiment = client.get_experiment(experiment_id)
    assert experiment.artifact_location == (tmp_path / "mlruns/artifacts/Knee-study-left-right").as_uri()
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_artifact_root_can_be_named(uri: str, tmp_path: Path) -> None:
    experiment_id = prepare(uri, experiment="knees", artifact_root=tmp_path / "far away")
    with connect(uri) as client:
        assert client.get_experiment(experiment_id).artifact_location == (tmp_path / "far away/knees").as_uri()


@pytest.mark.parametrize("uri", ["http://server", "databricks"])
def test_server_decides_about_artifacts(uri: str, tmp_path: Path) -> None:
    assert artifact_location(uri, "knees", tmp_path) is None


def test_deleted_experiment_comes_back(uri: str) -> None:
    experiment_id = prepare(uri, experiment="knees")
    with connect(uri) as client:
        client.delete_experiment(experiment_id)
    assert prepare(uri, experiment="knees") == experiment_id
    with connect(uri) as client:
        assert client.get_experiment(experiment_id).lifecycle_stage == "active"


def test_existing_database_is_not_replaced(uri: str) -> None:
    with connect(uri) as client:
        before = client.create_experiment("before")
    path = Path(uri.removeprefix("sqlite:///"))
    inode = path.stat().st_ino
    prepare(uri, experiment="knees")
    assert path.stat().st_ino == inode
    with connect(uri) as client:
        assert client.get_experiment(before).name == "before"


def test_database_of_a_process_that_was_faster_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"

    def fill(draft: Path) -> None:
        draft.write_text("mine")
        path.write_text("theirs")  # another process finishes while this one works

    sqlite.create(path, fill)
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", "  "])
def test_name_must_not_be_empty(uri: str, name: str) -> None:
    with pytest.raises(ScanproofError, match="name of an experiment must not be empty"):
        prepare(uri, experiment=name)


def test_locked_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ScanproofError, match=r"mlflow\.db: tracking database must not be locked .* 0\.2 s"):
            sqlite.check_writable(path, timeout=0.2)
        other.rollback()
        sqlite.check_writable(path, timeout=0.2)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("notes " * 1000)
    with pytest.raises(ScanproofError, match=r"must be a writable SQLite file .*not a database"):
        prepare(f"sqlite:///{path}", experiment="knees")
    assert path.read_text() == "notes " * 1000


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ScanproofError, match="folder of the tracking database must be writable"):
        prepare(default_tracking_uri(tmp_path / "file" / "mlruns"), experiment="knees")


def test_database_of_another_mlflow_version(uri: str) -> None:
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.commit()
    with pytest.raises(ScanproofError, match=r"must have the tables of the installed MLflow.*mlflow db upgrade sqlite"):
        prepare(uri, experiment="knees")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_server_that_is_not_there() -> None:
    with pytest.raises(ScanproofError, match=r"got 'http://me:\*\*\*@127.*Connection refused") as caught:
        prepare(f"http://me:secret@127.0.0.1:{_free_port()}", experiment="knees")
    assert "secret" not in str(caught.value)


def test_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tracking_client._FIRST_CONTACT, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(ScanproofError, match=r"tracking server must accept the runs.*timed out"):
            prepare(f"http://127.0.0.1:{deaf.getsockname()[1]}", experiment="knees")


def test_database_server_that_is_not_there() -> None:
    with pytest.raises(ScanproofError, match=r"must answer within 5 s, got 'postgresql://me:\*\*\*@127"):
        prepare(f"postgresql://me:secret@127.0.0.1:{_free_port()}/runs", experiment="knees")


def test_users_limits_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    tracking_client.import_mlflow()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"


def test_environment_is_put_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANPROOF_A", "before")

    def break_inside() -> None:
        with tracking_client.environment(SCANPROOF_A=None, SCANPROOF_B="x"):
            raise KeyError(os.environ.get("SCANPROOF_A"), os.environ.get("SCANPROOF_B"))

    with pytest.raises(KeyError) as caught:
        break_inside()
    assert caught.value.args == (None, "x")
    assert os.environ["SCANPROOF_A"] == "before"
    assert "SCANPROOF_B" not in os.environ


def test_refusals_inside_the_block_are_explained(uri: str) -> None:
    rule = r"tracking database must accept the runs.*No Experiment with id=9"
    with pytest.raises(ScanproofError, match=rule), connect(uri) as client:
        client.get_experiment("9")
