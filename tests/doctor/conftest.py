"""A real study, run once, whose store, results and MLflow runs the tests damage in copies."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from scanproof.doctor.finding import Finding
from scanproof.study.definition import Study
from scanproof.study.run import Workspace, run_study
from scanproof.study.store import Store
from scanproof.tracking.uri import ENVIRONMENT, default_tracking_uri

STUDY = {
    "name": "small",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "subjects": {"train": 2, "val": 2, "test": 2},
        "slices": 1,
        "matrix": [32, 32],
    },
    "acquisition": {"accelerations": [2]},
    "shifts": [{"name": "ghosting", "severities": [1]}],
    "reconstruction": [{"name": "zero_filled"}],
    "evaluation": {"resamples": 100},
}


@dataclass(frozen=True)
class Lab:
    """An installation.

    Args:
        root: where everything lies.
    """

    root: Path

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    @property
    def uri(self) -> str:
        return default_tracking_uri(self.root)

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def folder(self) -> Path:
        return self.root / "studies" / "small"

    def run(self) -> None:
        study = Study.model_validate(STUDY)
        run_study(study, Workspace(root=self.root), workers=1, tracking_uri=self.uri, command="test")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("finished"))
    lab.run()
    return lab


@pytest.fixture
def lab(finished: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A copy to be damaged, whose runs name its own artifacts."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    root = tmp_path / "mlruns"
    shutil.copytree(finished.root, root)
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location")):
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",  # noqa: S608
                (str(finished.root), str(root)),
            )
        database.commit()
    return Lab(root)


def of(topic: str, findings: list[Finding]) -> list[tuple[str, str]]:
    return [(str(finding.state), finding.line) for finding in findings if finding.topic == topic]
