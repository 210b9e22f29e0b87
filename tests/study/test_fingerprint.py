"""Which results a change of the code makes invalid, tried on a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scanproof
from scanproof.study.fingerprint import ROOMS, code_fingerprint
from scanproof.study.plan import KINDS
from scanproof.study.tasks import FUNCTIONS

PRINT = """
import json
from scanproof.study.fingerprint import ROOMS, code_fingerprint, code_version
print(json.dumps({"version": code_version()} | {kind: code_fingerprint(kind) for kind in ROOMS}))
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
    assert set(KINDS) == set(FUNCTIONS) == set(ROOMS)
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
