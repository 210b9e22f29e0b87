"""Which results a change of the code makes invalid, tried on a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import scanproof
from scanproof.errors import ScanproofError
from scanproof.study.executor import count_by_kind, request_for
from scanproof.study.fingerprint import code_fingerprint
from scanproof.study.kinds import KINDS, Kind, add_kinds, find_kind
from scanproof.study.plan import Task

PRINT = """
import json
from scanproof.study.fingerprint import code_fingerprint, code_version
from scanproof.study.kinds import KINDS
print(json.dumps({"version": code_version()} | {kind: code_fingerprint(kind) for kind in KINDS}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(Path(scanproof.__file__).parent, folder / "scanproof", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def fingerprints(copy: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    process = subprocess.run(
        [sys.executable, "-c", PRINT], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(process.stdout)


@pytest.fixture(scope="module")
def before(copy: Path) -> dict[str, str]:
    return fingerprints(copy)


def test_every_kind_of_task_has_a_function_and_a_fingerprint_of_its_own(before: dict[str, str]) -> None:
    for kind in KINDS.values():
        module, _, name = kind.function.partition(":")
        assert callable(getattr(import_module(module), name))
    assert {kind: code_fingerprint(kind) for kind in KINDS} == {kind: before[kind] for kind in KINDS}
    assert len(set(before.values())) == len(KINDS) + 1


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("study/tasks/readings.py", {"train_classifier", "predict"}),
        ("study/tasks/units.py", {"train_classifier", "predict", "evaluate"}),
        ("study/tasks/images.py", {"fit_reconstruction", "load_reconstruction", "reconstruct"}),
        ("study/tasks/results.py", {"evaluate", "judge"}),
        ("study/tasks/cohort.py", {"cohort"}),
        ("evaluation/comparisons.py", {"evaluate", "judge"}),
        ("evaluation/image_metrics.py", {"reconstruct", "evaluate", "judge"}),
        ("classification/adaptation.py", {"train_classifier", "predict"}),
        ("reporting/page.py", set()),
        ("study/plan.py", set()),
    ],
)
def test_a_change_asks_anew_for_what_runs_the_code(
    copy: Path, before: dict[str, str], file: str, changed: set[str]
) -> None:
    path = copy / "scanproof" / file
    source = path.read_text()
    path.write_text(source + "\n# changed\n")
    try:
        after = fingerprints(copy)
    finally:
        path.write_text(source)
    assert {kind for kind in KINDS if after[kind] != before[kind]} == changed
    assert after["version"] != before["version"]


def test_a_room_above_adds_kinds_of_its_own() -> None:
    """A task of an added kind has a key, and the request tells a worker where its function is."""
    kind = Kind(function="json:dumps", sources=("physics",), libraries=("numpy",), cost=2)
    add_kinds({"test_fingerprint": kind})
    add_kinds({"test_fingerprint": kind})
    task = Task("test_fingerprint", {"threads": 1})
    assert find_kind("test_fingerprint") == kind
    assert request_for(task)["function"] == "json:dumps"
    assert task.key != Task("judge", {"threads": 1}).key
    assert count_by_kind([task])["test_fingerprint"] == 1
    for name in ("test_fingerprint", "cohort"):
        with pytest.raises(ScanproofError, match=f"^{name}: kind of a task must have a name of its own"):
            add_kinds({name: Kind(function="json:loads", sources=(), libraries=(), cost=1)})
    with pytest.raises(ScanproofError, match=r"unknown kind of task, got 'judgee' \(did you mean 'judge'"):
        find_kind("judgee")
