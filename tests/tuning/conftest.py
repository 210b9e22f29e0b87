"""A study as small as it can be, its cohort made once, and searches over tiny networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanproof.study.definition import Study
from scanproof.study.store import Store
from scanproof.tuning.console import trial_line
from scanproof.tuning.run import Effort, Tuned, tune
from scanproof.tuning.search import Request, Search, make_search, read_samples
from scanproof.tuning.storage import open_storage
from scanproof.tuning.trials import Record
from scanproof.tuning.worker import open_trials, read_records, work

STUDY = {
    "name": "small",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north", "south"],
        "subjects": {"train": 2, "val": 3, "test": 2},
        "slices": 2,
        "matrix": [32, 28],
    },
    "acquisition": {"accelerations": [2, 4]},
    "reconstruction": [{"name": "zero_filled"}],
}
#: networks and fits that take milliseconds, and the same everywhere
TINY = ("channels=4", "layers=3", "kernel=3", "iterations=20", "warmup=5", "check=5", "precision=float32")
SEARCHED = ("learning_rate", "norm", "input_size", "loss")


@dataclass(frozen=True)
class Lab:
    """Where searches of the tests run.

    Args:
        root: holds the cohort.
        study: the definition.
        file: its file.
    """

    root: Path
    study: Study
    file: Path

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    def request(self, **changes: Any) -> Request:
        usual = {"method": "conv_decoder", "fixed": TINY, "only": SEARCHED, "slices": 3}
        return Request(**{**usual, **changes})

    def search(self, **changes: Any) -> Search:
        return make_search(self.study, self.request(**changes), root=self.root)

    def run(self, search: Search, storage: str | Path, *, count: int, seed: int = 0) -> list[Record]:
        url = str(storage)
        with open_storage(url if "://" in url else None, default=Path(url)) as opened:
            trials = open_trials(search, opened, seed=seed)
            work(search, trials, read_samples(search, self.store), count=count)
            return read_records(trials, search)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    root = tmp_path_factory.mktemp("lab")
    file = root / "small.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    found = Lab(root, Study.model_validate(STUDY), file)
    found.search()
    return found


@pytest.fixture(scope="session")
def study_of() -> Callable[..., Study]:
    """The study with changes."""
    return lambda **changes: Study.model_validate({**STUDY, **changes})


@dataclass(frozen=True)
class Finished:
    """A search that was run to its end, with MLflow.

    Args:
        tuned: what it gave.
        uri: of its MLflow database.
        folder: holds everything but the cohort.
        said: what was told while it ran.
        again: runs it again, with changes to the effort.
    """

    tuned: Tuned
    uri: str
    folder: Path
    said: list[str]
    again: Callable[..., Tuned]


@pytest.fixture(scope="session")
def finished(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    uri = f"sqlite:///{folder}/mlflow.db"
    said: list[str] = []

    def run(**changes: Any) -> Tuned:
        return tune(
            lab.study,
            lab.request(),
            Effort(**{"trials": 14, "storage": str(folder / "trials.journal"), **changes}),
            root=lab.root,
            output=folder / "out",
            study_file="small.yaml",
            tracking_uri=uri,
            on_stage=said.append,
            on_trial=lambda search, record: said.append(trial_line(search, record)),
        )

    return Finished(run(), uri, folder, said, run)
