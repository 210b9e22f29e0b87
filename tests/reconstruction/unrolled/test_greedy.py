from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.network import UnrolledNetwork, magnitude_loss
from scanproof.reconstruction.unrolled.pipeline import share
from scanproof.reconstruction.unrolled.problem import Problem

from .conftest import collate, made


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-2)


def weights(network: UnrolledNetwork) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_one_module_learns_as_plain_backpropagation(kind: str):
    one, other = made(kind, unrolls=2), made(kind, unrolls=2)
    learner, optimiser = GreedyLearner(one, adam), adam(other.parameters())
    for batch in range(3):
        acquired, reference = collate(range(2 * batch, 2 * batch + 2))
        learner.step(acquired, reference)
        problem = Problem.of(*acquired)
        optimiser.zero_grad()
        magnitude_loss(other.estimate(*acquired) / problem.scale, reference, problem).backward()
        optimiser.step()
    torch.testing.assert_close(weights(one), weights(other), rtol=1e-4, atol=1e-5)


def test_modules_learn_as_written_out_by_hand(kind: str):
    network, twin = made(kind, unrolls=4, modules=2), made(kind, unrolls=4)
    learner = GreedyLearner(network, adam)
    halves = [twin.own[:2], twin.own[2:]]
    optimisers = [adam(half.parameters()) for half in halves]
    for batch in range(3):
        acquired, reference = collate(range(2 * batch, 2 * batch + 2))
        image, loss = learner.step(acquired, reference)
        problem = Problem.of(*acquired)
        given = problem.zero_filled
        for half, optimiser in zip(halves, optimisers, strict=True):
            found = given
            for unroll in half:
                found = unroll(found, problem)
            optimiser.zero_grad()
            error = (found.abs() - reference / problem.scale).abs().mean()
            error.backward()
            optimiser.step()
            given = found.detach()  # as it was before this module learned
        torch.testing.assert_close(image, given.abs() * problem.scale)
        torch.testing.assert_close(loss, error.detach())
    assert torch.equal(weights(network), weights(twin))


def test_nothing_flows_back_between_modules(kind: str):
    network = made(kind, unrolls=2, modules=2)
    acquired, reference = collate(range(2))
    before = weights(network)
    problem = Problem.of(*acquired)
    learner = GreedyLearner(network, adam)
    image, _ = learner.learn(0, problem.zero_filled, problem, reference)
    assert not image.requires_grad
    first = sum(p.numel() for p in network.stage_parameters(0))
    middle = weights(network)
    assert not torch.equal(middle[:first], before[:first])
    learner.learn(1, image, problem, reference)
    assert torch.equal(weights(network)[:first], middle[:first])
    assert not torch.equal(weights(network)[first:], before[first:])


def test_gradients_are_clipped():
    network = made("proximal", unrolls=2, modules=2)
    learner = GreedyLearner(network, lambda p: torch.optim.SGD(p, lr=1.0), clip=1e-3)
    before = weights(network)
    learner.step(*collate(range(2)))
    changed = (weights(network) - before).norm()
    assert 1e-4 < changed < 1.5e-3


def stored_bytes(network: UnrolledNetwork) -> int:
    """Most bytes that autograd stores at a time during one step."""
    held: dict[int, int] = {}
    most = 0

    class Held:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal most
            self.tensor = tensor
            self.key = tensor.untyped_storage().data_ptr()
            held[self.key] = tensor.untyped_storage().nbytes()
            most = max(most, sum(held.values()))

        def __del__(self) -> None:
            held.pop(self.key, None)

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda one: one.tensor):
        GreedyLearner(network, adam).step(*collate(range(2)))
    return most


def test_memory_of_greedy_learning_does_not_grow_with_unrolls(kind: str):
    few, many = (stored_bytes(made(kind, unrolls=n, modules=n // 2)) for n in (4, 12))
    assert many == pytest.approx(few, rel=0.05)
    assert stored_bytes(made(kind, unrolls=12)) > 4 * many
    assert stored_bytes(made(kind, unrolls=12, keep="inputs")) < stored_bytes(made(kind, unrolls=12)) / 2
    kept = [stored_bytes(made(kind, unrolls=n, keep="nothing", std=0.01)) for n in (4, 12)]
    assert kept[1] == pytest.approx(kept[0], rel=0.3)


WORKER = """
import sys, torch, torch.distributed as dist
sys.path.insert(0, sys.argv[4])
from unrolled.conftest import collate, made
from unrolled.test_greedy import adam
from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.pipeline import gather, learn_in_pipeline
torch.set_num_threads(1)
kind, modules, out, _, processes, rank = sys.argv[1:]
modules = int(modules)
dist.init_process_group("gloo", init_method=f"file://{out}/store", rank=int(rank), world_size=int(processes))
network = made(kind, unrolls=2 * modules, modules=modules)
learner = GreedyLearner(network, adam)
losses = learn_in_pipeline(learner, [collate(range(2 * b, 2 * b + 2)) for b in range(4)])
gather(learner)
torch.save({"weights": network.state_dict(), "losses": losses}, f"{out}/{rank}.pt")
dist.destroy_process_group()
"""


@pytest.mark.parametrize(("kind", "processes"), [("proximal", 2), ("modl", 3)], indirect=["kind"])
def test_processes_side_by_side_give_the_same_bits(kind: str, processes: int, tmp_path: Path):
    modules = 3
    network = made(kind, unrolls=2 * modules, modules=modules)
    learner = GreedyLearner(network, adam)
    losses = [float(learner.step(*collate(range(2 * b, 2 * b + 2)))[1]) for b in range(4)]
    folder = Path(__file__).parents[1]
    command = [sys.executable, "-c", WORKER, kind, str(modules), str(tmp_path), str(folder)]
    running = [subprocess.Popen([*command, str(processes), str(rank)]) for rank in range(processes)]
    try:
        assert [process.wait(timeout=300) for process in running] == [0] * processes
    finally:
        for process in running:
            process.kill()
    for rank in range(processes):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in network.state_dict().items():
            assert torch.equal(found["weights"][name], value), name
    assert found["losses"] == losses


def test_modules_are_shared_evenly():
    assert [len(share(7, ranks=3, rank=rank)) for rank in range(3)] == [3, 2, 2]
    assert [number for rank in range(3) for number in share(7, ranks=3, rank=rank)] == list(range(7))
    with pytest.raises(ScanproofError, match="needs at least one module a process, of 2"):
        share(2, ranks=3, rank=0)
