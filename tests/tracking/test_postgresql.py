"""A shared MLflow server with PostgreSQL behind it, both real and on this machine, gives what SQLite gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from needs import NEEDS_POSTGRESQL
from programs import Program
from scanproof.services.cluster import Cluster
from scanproof.services.server import TrackingServer
from scanproof.study.load import load_study
from scanproof.study.run import Workspace, run_study
from scanproof.tracking.client import connect, quiet
from scanproof.tracking.uri import ENVIRONMENT, default_tracking_uri
from tracking.ports import free_port

pytestmark = NEEDS_POSTGRESQL

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


@pytest.fixture(scope="module")
def served(postgresql: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """``mlflow server`` on a database of its own."""
    postgresql.make_database("runs")
    server = TrackingServer(tmp_path_factory.mktemp("served"), postgresql.url("runs"), free_port())
    server.start(passfile=postgresql.passfile)
    yield server
    server.stop()


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
    served: TrackingServer, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    reports = list((served.folder / "artifacts").rglob("report.html"))
    report = root / "studies" / "shared" / "report.html"  # that of the second run, which says another time
    assert [path.stat().st_size for path in reports] == [report.stat().st_size]


def test_runs_are_in_postgresql(served: TrackingServer) -> None:
    """The server keeps nothing to itself: another client of the database finds the same."""
    with quiet():
        client = MlflowClient(tracking_uri=served.database)
        names = {one.name for one in client.search_experiments()}
    assert "shared" in names
    assert not list(served.folder.glob("*.db"))


def test_several_programs_log_at_once(served: TrackingServer, root: Path, tmp_path: Path) -> None:
    """Each finds the server in its environment, and the same experiment is made by all of them at the same time."""
    names = ("east", "west")
    paths = [write(tmp_path, name) for name in names]
    processes = [
        Program(
            *("-m", "scanproof", "run", path, "--root", root, "-j", 1), env={**os.environ, ENVIRONMENT: served.address}
        )
        for path in paths
    ]
    for process in processes:
        said, errors = process.communicate(timeout=540)
        assert process.returncode == 0, errors
        assert served.address in said + errors
    found = [logged(served.address, name) for name in names]
    assert [len(runs) for runs in found] == [7, 7]
    metrics = [{name: values for name, (_, values, _) in runs.items()} for runs in found]
    assert metrics[0] == metrics[1] == {n: v for n, (_, v, _) in logged(served.address, "shared").items()}
