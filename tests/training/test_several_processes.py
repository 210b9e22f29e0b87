"""Real processes, over gloo on this machine, train what one process trains."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.training.processes import Processes, check_fits
from together import together

from .cases import NETWORKS, differences, trained

HERE = Path(__file__).parent

TWO = """
import warnings
warnings.simplefilter("error", UserWarning)
from cases import NETWORKS, saved, trained
for name in NETWORKS:
    torch.save(saved(trained(name)), folder / f"{name}.{rank}.pt")

class Stop(BaseException):
    pass

def stop():
    raise Stop

def interrupt(network, learner):
    step = learner.step
    left = 5
    def shortened(inputs, target):
        nonlocal left
        left -= 1
        if left == 0:
            raise Stop
        return step(inputs, target)
    learner.step = shortened

file = folder / "checkpoint.pt"
try:
    trained("end_to_end", change=interrupt, checkpoint=file)
except Stop:
    dist.barrier()
    assert file.exists()
torch.save(saved(trained("end_to_end", checkpoint=file)), folder / f"resumed.{rank}.pt")
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for process in together(TWO, folder, processes=2, modules=HERE):
        assert process.returncode == 0, process.stderr
    return folder


def found(folder: Path, name: str, rank: int) -> dict[str, Any]:
    return torch.load(folder / f"{name}.{rank}.pt", weights_only=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_two_processes_train_what_one_does(two: Path, name: str) -> None:
    expected = trained(name)
    first, second = (found(two, name, rank) for rank in range(2))
    assert differences(first["weights"], second["weights"]) == 0
    assert first["history"] == second["history"]
    assert first["best_epoch"] == second["best_epoch"] == expected.best_epoch
    # an invertible network computes its images back up to a tolerance, which is of a whole share
    limit = {"greedy": 0, "invertible": 1e-4}.get(name, 1e-8)
    assert differences(first["weights"], expected.weights) <= limit
    for key, values in expected.history.items():
        np.testing.assert_allclose(first["history"][key], values, rtol=limit)


def test_two_processes_go_on_from_a_checkpoint(two: Path) -> None:
    for rank in range(2):
        whole, resumed = found(two, "end_to_end", rank), found(two, "resumed", rank)
        assert differences(whole["weights"], resumed["weights"]) == 0
        assert whole["history"] == resumed["history"]
    assert not (two / "checkpoint.pt").exists()


THREE = """
import json, os
from cases import saved, trained
from scanproof.errors import ScanproofError
torch.save(saved(trained("greedy")), folder / f"greedy.{rank}.pt")

def fail(*_, **__):
    raise ArithmeticError("no contraction")

def break_step(network, learner):
    if rank == 1:
        learner.measure = fail

def break_stage(network, learner):
    if rank == 0:
        network.stage = fail

def break_validation(network, learner):
    if rank == 1:
        network.forward = fail

def break_writing(network, learner):
    if rank == 0:
        os.mkdir(folder / "taken.pt")

said = {}
for name, method, change, options in [
    ("step", "end_to_end", break_step, {}),
    ("stage", "greedy", break_stage, {}),
    ("validation", "greedy", break_validation, {}),
    ("writing", "greedy", break_writing, {"checkpoint": folder / "taken.pt"}),
]:
    try:
        trained(method, change=change, **options)
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
(folder / f"said.{rank}.json").write_text(json.dumps(said))

def die(network, learner):
    if rank == 2:
        learner.step = lambda *_: os._exit(3)

trained("end_to_end", change=die)
"""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    folder = tmp_path_factory.mktemp("three")
    return folder, together(THREE, folder, processes=3, modules=HERE)


def test_more_processes_than_modules(three: tuple[Path, list[Any]]) -> None:
    expected = trained("greedy")
    for rank in range(3):
        assert differences(found(three[0], "greedy", rank)["weights"], expected.weights) == 0


@pytest.mark.parametrize(
    ("where", "culprit", "text"),
    [
        ("step", 1, "ArithmeticError: no contraction"),
        ("stage", 0, "ArithmeticError: no contraction"),
        ("validation", 1, "ArithmeticError: no contraction"),
        ("writing", 0, "ScanproofError: "),
    ],
)
def test_an_error_in_one_process_ends_all(three: tuple[Path, list[Any]], where: str, culprit: int, text: str) -> None:
    import json

    for rank in range(3):
        said = json.loads((three[0] / f"said.{rank}.json").read_text())[where]
        if rank == culprit:
            assert said.startswith(text)
        else:
            assert said.startswith(f"ScanproofError: all processes must go on; process {culprit} ended: ")


def test_a_process_that_dies_ends_all(three: tuple[Path, list[Any]]) -> None:
    first, second, third = three[1]
    assert third.returncode == 3
    for process in (first, second):
        assert process.returncode == 1
        assert "ScanproofError: processes that train together must all stay alive" in process.stderr


KILLED = """
import os, signal
from cases import saved, trained
left = 8

def kill(network, learner):
    step = learner.step
    def shortened(inputs, target):
        global left
        left -= 1
        if rank == 1 and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(inputs, target)
    learner.step = shortened

torch.save(saved(trained("greedy", change=kill, checkpoint=folder / "checkpoint.pt")), folder / f"greedy.{rank}.pt")
"""


def test_greedy_learning_that_is_killed_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    killed = together(KILLED, tmp_path, processes=2, modules=HERE)
    assert killed[1].returncode == -signal.SIGKILL
    assert killed[0].returncode == 1
    assert "must all stay alive" in killed[0].stderr
    done = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["rows"]
    assert len(done) == 2  # of three batches each
    expected = trained("greedy")
    # in two processes, and also in one
    for process in together(KILLED.replace("left = 8", "left = 99"), tmp_path, processes=2, modules=HERE):
        assert process.returncode == 0, process.stderr
    assert differences(found(tmp_path, "greedy", 1)["weights"], expected.weights) == 0
    assert found(tmp_path, "greedy", 0)["history"] == expected.history.to_dict("list")


def test_items_are_shared_evenly() -> None:
    for count in range(1, 5):
        for items in range(9):
            shares = [Processes(rank=rank, count=count).share(items) for rank in range(count)]
            assert [item for share in shares for item in share] == list(range(items))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_batch_normalization_is_refused() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))
    with pytest.raises(ScanproofError, match=r"1: network without batch normalization is needed .*got 'BatchNorm1d'"):
        check_fits(network)
