"""MLflow fails when finished results are logged: they are complete, and the next run logs them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from killing import inventory
from scanproof.study.definition import Study
from scanproof.study.plan import Task
from scanproof.study.run import Finished, Workspace, run_study
from scanproof.tracking import sqlite
from scanproof.tracking.kept import NotLoggedError
from scanproof.tracking.uri import default_tracking_uri

STUDY = {
    "name": "away",
    "seed": 3,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "matrix": [16, 16],
        "slices": 1,
        "subjects": {"train": 2, "val": 2, "test": 2},
    },
    "shifts": [{"name": "gamma_up", "severities": [2]}],
    "reconstruction": [{"name": "fully_sampled"}],
    "evaluation": {"image_metrics": ["nrmse"], "resamples": 100},
}
FILES = ("results.parquet", "predictions.parquet", "study.lock.yaml")


class Site:
    """A study, the folder in which it is run, and its database."""

    def __init__(self, root: Path) -> None:
        self.root, self.database = root, root / "mlflow.db"
        self.done: list[Task] = []

    def run(self, *, before_logging: Callable[[Path], object] = lambda path: None) -> Finished:
        self.done.clear()
        return run_study(
            Study.model_validate(STUDY),
            Workspace(root=self.root),
            workers=1,
            tracking_uri=default_tracking_uri(self.root),
            command="run",
            on_done=self.done.append,
            on_stage=lambda text: before_logging(self.database) if text == "logging to MLflow" else None,
        )

    def files(self) -> list[bytes]:
        folder = self.root / "studies" / "away"
        assert (folder / "report.html").is_file()
        return [(folder / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("whole"))
    site.run()
    return site


def refused(site: Site, before_logging: Callable[[Path], object]) -> str:
    with pytest.raises(NotLoggedError) as caught:
        site.run(before_logging=before_logging)
    text = str(caught.value)
    assert f"sqlite:///{site.database}: results were not logged, but are complete and kept in " in text
    assert str(site.root / "studies" / "away") in text
    assert "run the same again to log them, which computes nothing" in text
    assert "\n" not in text
    return text


def logged_later(site: Site, whole: Site) -> None:
    assert site.files() == whole.files()
    site.run()
    assert site.done == []
    assert inventory(site.database) == inventory(whole.database)


def test_locked_by_another_program(whole: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 2.0)
    site = Site(tmp_path)
    with closing(sqlite3.connect(site.database, isolation_level=None)) as other:
        text = refused(site, lambda path: other.execute("BEGIN EXCLUSIVE"))
        assert "must not be locked by another program" in text
    logged_later(site, whole)


def overwrite(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def overwrite_pages(path: Path) -> None:
    """All but the first page, so that it still looks like a database."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


@pytest.mark.parametrize("damage", [overwrite, overwrite_pages])
def test_damaged(whole: Site, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    site = Site(tmp_path)
    refused(site, damage)
    site.database.unlink()
    logged_later(site, whole)


def test_taken_away(whole: Site, tmp_path: Path) -> None:
    """A new one is made."""
    site = Site(tmp_path)
    site.run(before_logging=Path.unlink)
    assert inventory(site.database) == inventory(whole.database)
    logged_later(site, whole)
