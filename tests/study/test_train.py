"""Training a study's reconstructions ahead of its run: the real command under the real torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from scanproof.errors import ScanproofError
from scanproof.study.executor import missing_tasks
from scanproof.study.load import load_study
from scanproof.study.run import Workspace, plan_study, run_study
from scanproof.study.torchrun import joined
from scanproof.study.train import Trained, train_study, trainings
from scanproof.tracking.client import connect
from scanproof.tracking.uri import default_tracking_uri

TINY = {
    "name": "tiny",
    "seed": 7,
    "data": {"kind": "demo", "sites": ["north"], "subjects": {"train": 4, "val": 2, "test": 2}, "slices": 2}
    | {"matrix": [48, 40]},
    "acquisition": {"accelerations": [2]},
    "reconstruction": [
        {"name": "zero_filled"},
        {"name": "unet", "options": {"features": [4, 4, 4, 4, 4, 4], "epochs": 2, "batch_size": 3}},
        {"name": "gleam", "method": "proximal_gradient"}
        | {"options": {"features": 4, "unrolls": 2, "training": "greedy", "epochs": 2, "batch_size": 3}},
        {"name": "tested_again", "method": "unet_ttt", "weights_from": "unet", "options": {"adaptation_steps": 0}},
    ],
    "evaluation": {"resamples": 100},
}


def scanproof(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*torchrun, "scanproof", *command], cwd=cwd, capture_output=True, text=True, timeout=300, env=environment
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have trained the study."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    process = scanproof("train", "tiny.yaml", cwd=folder)
    assert process.returncode == 0, process.stdout + process.stderr
    (folder / "stdout").write_text(process.stdout)
    (folder / "stderr").write_text(process.stderr)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> tuple[Workspace, list[Trained]]:
    """The same in one process."""
    workspace = Workspace(root=folder / "alone")
    return workspace, train_study(load_study(folder / "tiny.yaml"), workspace, tracking_uri=None)


def test_one_process_tells_what_two_have_trained(folder: Path) -> None:
    lines = (folder / "stdout").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["unet, R = 2", "gleam, R = 2"]
    assert all("of 2, validation loss 0." in line for line in lines)
    told = (folder / "stderr").read_text()
    assert told.count("3 tasks to run: 1 cohort, 2 fit reconstruction") == 1
    assert told.count("training unet, R = 2 in 2 processes") == 1
    assert not list((folder / "mlruns" / "store" / "unfinished").glob("*"))


def test_two_processes_store_what_one_does(folder: Path, alone: tuple[Workspace, list[Trained]]) -> None:
    workspace, (unet, gleam) = alone
    assert [one.before for one in (unet, gleam)] == [False, False]
    for one, limit in ((unet, 2e-3), (gleam, 0)):
        payload, other = (place.store.get(one.key) for place in (workspace, Workspace(root=folder / "mlruns")))
        for name, weights in payload.arrays.items():
            np.testing.assert_allclose(other.arrays[name], weights, rtol=0, atol=limit)
        np.testing.assert_allclose(other.tables["history"], payload.tables["history"], rtol=limit)


def test_a_run_finds_what_was_trained(folder: Path) -> None:
    study, workspace = load_study(folder / "tiny.yaml"), Workspace(root=folder / "mlruns")
    planned: list[str] = []
    run_study(
        study,
        workspace,
        workers=1,
        tracking_uri=None,
        command="test",
        on_start=lambda tasks: planned.extend(task.kind for task in tasks),
    )
    assert set(planned) == {"reconstruct", "evaluate"}
    again = train_study(study, workspace, tracking_uri=None)
    assert [one.before for one in again] == [True, True]
    assert str(again[0]).endswith("(trained before)")


def test_trainings_are_tracked_once(folder: Path) -> None:
    study, root = load_study(folder / "tiny.yaml"), folder / "mlruns"
    uri = default_tracking_uri(root)
    train_study(study, Workspace(root=root), tracking_uri=uri)
    with connect(uri) as client:
        [experiment] = [one for one in client.search_experiments() if one.name == "tiny"]
        runs = client.search_runs([experiment.experiment_id])
        assert {run.info.run_name for run in runs} == {"train unet, R = 2", "train proximal_gradient (greedy), R = 2"}
        for run in runs:
            assert run.info.status == "FINISHED"
            assert len(run.data.tags["model_sha256"]) == 64
            assert [entry.step for entry in client.get_metric_history(run.info.run_id, "val_loss")] == [1, 2]


def test_only_what_is_named_is_trained(folder: Path, tmp_path: Path) -> None:
    study, workspace = load_study(folder / "tiny.yaml"), Workspace(root=tmp_path)
    plan = plan_study(study, workspace)
    assert list(trainings(study, plan)) == ["unet, R = 2", "gleam, R = 2"]
    assert list(trainings(study, plan, ["tested_again"])) == ["tested_again, R = 2"]
    done: list[str] = []
    [trained] = train_study(
        study, workspace, names=["gleam"], tracking_uri=None, on_done=lambda task: done.append(task.kind)
    )
    assert (trained.name, done) == ("gleam, R = 2", ["cohort", "fit_reconstruction"])
    assert len([task for task in missing_tasks(plan.tasks, workspace.store) if "fit" in task.kind]) == 1


def test_an_input_that_is_damaged_is_made_again(folder: Path, alone: tuple[Workspace, list[Trained]]) -> None:
    study, (workspace, trained) = load_study(folder / "tiny.yaml"), alone
    plan = plan_study(study, workspace)
    cohort = plan.cohorts["north"].key
    next((workspace.root / "store" / cohort[:2] / cohort).glob("*.safetensors")).write_bytes(b"")
    workspace.store.remove(trained[1].key)
    assert [one.before for one in train_study(study, workspace, tracking_uri=None)] == [True, False]


def test_what_cannot_be_trained_is_named(folder: Path, tmp_path: Path) -> None:
    study, workspace = load_study(folder / "tiny.yaml"), Workspace(root=tmp_path)
    for names, message in [
        (["unett"], "reconstruction: unknown reconstruction, got 'unett' .*did you mean 'unet'"),
        (["zero_filled"], "reconstruction: must name a reconstruction that is trained, got 'zero_filled'"),
    ]:
        with pytest.raises(ScanproofError, match=message):
            train_study(study, workspace, names=names, tracking_uri=None)
    untrained = study.model_copy(update={"reconstruction": study.reconstruction[:1]})
    with pytest.raises(ScanproofError, match="study must have a reconstruction that is trained"):
        train_study(untrained, workspace, tracking_uri=None)


def test_wrong_devices_and_lost_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for device, message in [
        ("cuda", r"device: CUDA device 0 must be there; PyTorch sees 0, got 'cuda' \(train on the CPU: --device cpu\)"),
        ("gpu", "device: unknown device, got 'gpu'"),
    ]:
        with pytest.raises(ScanproofError, match=message), joined(device):
            pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ScanproofError, match="processes of torchrun must find each other"), joined("cpu"):
        pass
