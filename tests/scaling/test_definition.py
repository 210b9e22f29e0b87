"""What a scaling file may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scanproof.errors import ScanproofError
from scanproof.scaling.definition import PROTOCOLS, SearchPlan
from scanproof.scaling.load import load_sweep

ROOT = Path(__file__).parents[2]
FILES = [
    path for path in sorted((ROOT / "studies").glob("*.yaml")) if re.search("^scaling: 1$", path.read_text(), re.M)
]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_files_of_the_repository_are_read(file: Path) -> None:
    sweep = load_sweep(file)
    assert {plan.task for plan in sweep.tasks} == {"denoising", "mri", "super_resolution"}


def test_there_are_files_to_read() -> None:
    assert {path.name for path in FILES} >= {"scaling_laws.yaml", "scaling_laws_quick.yaml"}


def test_the_published_protocol_is_the_default(tiny, write) -> None:
    del tiny["training"], tiny["tasks"][0]["training"]
    sweep = load_sweep(write(tiny))
    denoising, mri = (sweep.training_of(plan) for plan in sweep.tasks)
    assert (denoising.optimiser, denoising.loss, denoising.decay, denoising.stop) == ("adam", "mse", 0.5, 10)
    assert isinstance(denoising.rate, SearchPlan)
    assert (denoising.rate.start, denoising.rate.factor) == (1e-4, 2)
    assert (mri.optimiser, mri.rate, mri.loss, mri.batch_size, mri.clip) == ("rmsprop", 1e-3, "ssim", 1, 1)
    assert (mri.decay, mri.patience) == (0.1, 5)
    assert sweep.tasks[0].options == {"sigma": 25 / 255}


def test_a_task_says_more_than_the_study_and_the_study_more_than_the_default(tiny, write) -> None:
    tiny["training"] = {"batch_size": 3, "clip": None}
    tiny["tasks"][1]["training"] = {"batch_size": 5}
    sweep = load_sweep(write(tiny))
    denoising, mri = (sweep.training_of(plan) for plan in sweep.tasks)
    assert (denoising.batch_size, mri.batch_size) == (3, 5)
    assert mri.clip is None  # said, though it is None
    assert mri.decay == PROTOCOLS["mri"].decay


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scaling": 2}, "scaling: "),
        ({"widht": [2]}, "widht: unknown key, got 'widht' (did you mean 'widths'?"),
        ({"examples": [7]}, "examples: must be at most 6, the training slices that the data have, got 7"),
        ({"examples": [2, 2]}, "examples: entry must be listed once, got 2 twice"),
        ({"tasks": [{"task": "denoising"}] * 2}, "tasks: name must be listed once, got 'denoising' twice"),
        ({"tasks": [{"task": "denoising", "sigmas": 1}]}, "tasks[0].sigmas: unknown key"),
        ({"tasks": [{"task": "denoising", "sigma": 0}]}, "tasks[0].sigma: "),
        ({"shifts": [{"name": "ghost"}]}, "unknown artifact, got 'ghost' (did you mean 'ghosting'?"),
        ({"metrics": ["vif"]}, "metrics[0]: "),
    ],
)
def test_errors_name_file_and_key(tiny, write, changes: dict, said: str) -> None:
    path = write({**tiny, **changes})
    with pytest.raises(ScanproofError) as caught:
        load_sweep(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_an_image_must_survive_the_poolings(tiny, write) -> None:
    tiny["data"]["matrix"] = [16, 32]
    with pytest.raises(ScanproofError, match=r"tasks\[1\].task: mri needs images of at least 32 x 32 pixels"):
        load_sweep(write(tiny))


def test_a_study_of_another_form_is_told_its_command() -> None:
    with pytest.raises(ScanproofError, match=r"must begin with scaling: 1 \(run a study with `scanproof run`\)"):
        load_sweep(ROOT / "studies" / "demo.yaml")
