"""A shared MLflow server with PostgreSQL behind it, both real and on this machine, gives what SQLite gives."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml
from mlflow import MlflowClient

from scanproof.study.load import load_study
from scanproof.study.run import Workspace, run_study
from scanproof.tracking.client import NO_TELEMETRY, connect, quiet
from scanproof.tracking.uri import ENVIRONMENT, default_tracking_uri
from tracking.ports import free_port

PROGRAMS = {name: shutil.which(name) for name in ("initdb", "postgres")}
PATIENCE = 180

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(not all(PROGRAMS.values()), reason="needs PostgreSQL's initdb and postgres on the PATH"),
]

STUDY = {
    "name": "shared",
    "description": "test",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "subjects": {"train": 8, "val": 8, "test": 8},
        "slices": 2,
        "matrix": [32, 32],
    },
    "acquisition": {"accelerations": [2]},
    "shifts": [{"name": "ghosting", "severities": [1, 3]}],
    "reconstruction": [{"name": "fully_sampled"}, {"name": "zero_filled"}],
    "classification": [
        {
            "name": "resnet18",
            "norms": ["batch", "group"],
            "options": {"width": 0.0625},
            "training": {"epochs": 1, "batch_size": 8},
        }
    ],
    "evaluation": {"resamples": 100},
}


@dataclass(frozen=True)
class Served:
    address: str
    database: str
    root: Path


def not_root() -> dict[str, object]:
    """PostgreSQL refuses to run as root; then it runs as the first of these users that there is."""
    if os.geteuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("needs a user other than root, as which PostgreSQL may run")


def wait_for(process: subprocess.Popen[bytes], ready: object, log: Path) -> None:
    assert callable(ready)
    end = time.monotonic() + PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            process.terminate()
            pytest.fail(f"{process.args} did not start: {log.read_text()[-2000:]}")
        time.sleep(0.2)


def accepts(database: str) -> bool:
    import psycopg2

    try:
        psycopg2.connect(database.replace("+psycopg2", "")).close()
    except psycopg2.OperationalError:
        return False
    return True


def answers(address: str) -> bool:
    """Whether the server has made its tables and finds them; it says that it is well before."""
    query = Request(  # noqa: S310 (an address of this machine)
        f"{address}/api/2.0/mlflow/experiments/search",
        data=b'{"max_results": 5}',
        headers={"Content-Type": "application/json"},
    )
    try:
        with urlopen(query, timeout=30) as reply:  # noqa: S310
            return b"Default" in reply.read()
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A cluster of its own in a new folder, listening on this machine alone."""
    pytest.importorskip("psycopg2", reason="needs psycopg2 (the extra 'postgresql')")
    user, port = not_root(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="scanproof-postgresql-"))
    try:
        if "user" in user:
            os.chown(folder, int(str(user["user"])), int(str(user["group"])))
        data = str(folder / "data")
        made = subprocess.run(
            [str(PROGRAMS["initdb"]), "-D", data, "-U", "scanproof", "-A", "trust", "-E", "UTF8", "--no-sync"],
            cwd=folder, capture_output=True, text=True, check=False, **user,
        )  # type: ignore[call-overload]  # fmt: skip
        assert made.returncode == 0, made.stderr
        log = folder / "log"
        with log.open("wb") as said, subprocess.Popen(
            [str(PROGRAMS["postgres"]), "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"],
            cwd=folder, stdout=said, stderr=said, **user,
        ) as process:  # type: ignore[call-overload]  # fmt: skip
            # without the driver's name SQLAlchemy 2.1 looks for psycopg 3
            address = f"postgresql+psycopg2://scanproof@127.0.0.1:{port}/postgres"
            try:
                wait_for(process, lambda: accepts(address), log)
                yield address
            finally:
                process.terminate()  # lets sessions end
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def served(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``mlflow server`` as an administrator would start it."""
    root, port = tmp_path_factory.mktemp("served"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--artifacts-destination", (root / "artifacts").as_uri()]
    log, address = root / "log", f"http://127.0.0.1:{port}"
    with (
        log.open("wb") as said,
        subprocess.Popen(
            command, cwd=root, stdout=said, stderr=said, env={**os.environ, **NO_TELEMETRY}, start_new_session=True
        ) as process,
    ):
        try:
            wait_for(process, lambda: answers(address), log)
            yield Served(address, database, root)
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the study is kept, so that it is computed once."""
    return tmp_path_factory.mktemp("root") / "mlruns"


def write(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**STUDY, "name": name}))
    return path


def logged(uri: str, experiment: str) -> dict[str, tuple[str, dict[str, float], dict[str, str]]]:
    """Name and site of each run to its state, metrics and parameters."""
    with connect(uri) as client, quiet():
        found = client.get_experiment_by_name(experiment)
        assert found is not None
        runs = client.search_runs([found.experiment_id], max_results=1000)
    return {
        f"{run.info.run_name}, {run.data.tags.get('site')}": (run.info.status, run.data.metrics, run.data.params)
        for run in runs
    }


def curves(uri: str, experiment: str) -> dict[str, list[tuple[int, float]]]:
    """Every step of one metric of each run."""
    with connect(uri) as client, quiet():
        found = client.get_experiment_by_name(experiment)
        assert found is not None
        runs = client.search_runs([found.experiment_id], max_results=1000)
        return {
            f"{run.info.run_name}, {run.data.tags.get('site')}": sorted(
                (one.step, one.value) for one in client.get_metric_history(run.info.run_id, "ghosting/auroc")
            )
            for run in runs
        }


def test_study_on_the_server_is_the_study_in_sqlite(
    served: Served, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    study = load_study(write(tmp_path, "shared"))
    local = default_tracking_uri(root)
    for uri in (served.address, local):
        run_study(study, Workspace(root=root), workers=1, tracking_uri=uri, command="test")
    there, here = logged(served.address, "shared"), logged(local, "shared")
    assert there.keys() == here.keys()
    for name, (state, metrics, params) in here.items():
        assert (there[name][0], there[name][1]) == (state, metrics), name
        if not name.startswith("train"):  # one that is watched tells other things than one that is told of afterwards
            assert there[name][2] == params, name
    assert len(here) == 1 + 4 + 2  # the site with its four chains, and two trainings
    assert {state for state, _, _ in here.values()} == {"FINISHED"}
    assert curves(served.address, "shared") == curves(local, "shared")
    assert any(len(curve) == 3 for curve in curves(served.address, "shared").values())
    reports = list((served.root / "artifacts").rglob("report.html"))
    report = root / "studies" / "shared" / "report.html"  # that of the second run, which says another time
    assert [path.stat().st_size for path in reports] == [report.stat().st_size]


def test_runs_are_in_postgresql(served: Served) -> None:
    """The server keeps nothing to itself: another client of the database finds the same."""
    with quiet():
        client = MlflowClient(tracking_uri=served.database)
        names = {one.name for one in client.search_experiments()}
    assert "shared" in names
    assert not list(served.root.glob("*.db"))


def test_several_programs_log_at_once(served: Served, root: Path, tmp_path: Path) -> None:
    """Each finds the server in its environment, and the same experiment is made by all of them at the same time."""
    names = ("east", "west")
    paths = [write(tmp_path, name) for name in names]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "scanproof", "run", str(path), "--root", str(root), "-j", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, ENVIRONMENT: served.address},
        )
        for path in paths
    ]
    for process in processes:
        said, _ = process.communicate(timeout=540)
        assert process.returncode == 0, said
        assert served.address in said
    found = [logged(served.address, name) for name in names]
    assert [len(runs) for runs in found] == [7, 7]
    metrics = [{name: values for name, (_, values, _) in runs.items()} for runs in found]
    assert metrics[0] == metrics[1] == {n: v for n, (_, v, _) in logged(served.address, "shared").items()}
