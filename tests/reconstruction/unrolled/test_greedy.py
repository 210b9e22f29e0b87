from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.network import UnrolledNetwork, magnitude_loss
from scanproof.reconstruction.unrolled.pipeline import PipelinedLearner
from scanproof.reconstruction.unrolled.problem import Problem
from scanproof.training.processes import Processes
from together import together

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
from unrolled.conftest import collate, made
from unrolled.test_greedy import adam
from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.pipeline import PipelinedLearner
from scanproof.training.processes import Processes
network = made("KIND", unrolls=6, modules=3)
learner = PipelinedLearner(GreedyLearner(network, adam), Processes.now())
losses = [float(learner.step(*collate(range(2 * b, 2 * b + 2)))[1]) for b in range(4)]
losses = learner.complete(losses)
states = [optimiser.state_dict() for optimiser in learner.optimisers]
torch.save({"weights": network.state_dict(), "losses": losses, "states": states}, folder / f"{rank}.pt")
"""


@pytest.mark.parametrize(("kind", "processes"), [("proximal", 2), ("modl", 3)], indirect=["kind"])
def test_processes_side_by_side_give_the_same_bits(kind: str, processes: int, tmp_path: Path):
    network = made(kind, unrolls=6, modules=3)
    learner = GreedyLearner(network, adam)
    losses = [float(learner.step(*collate(range(2 * b, 2 * b + 2)))[1]) for b in range(4)]
    code = WORKER.replace("KIND", kind)
    for process in together(code, tmp_path, processes=processes, modules=Path(__file__).parents[1]):
        assert process.returncode == 0, process.stderr
    for rank in range(processes):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in network.state_dict().items():
            assert torch.equal(found["weights"][name], value), name
        assert found["losses"] == losses
        for state, optimiser in zip(found["states"], learner.optimisers, strict=True):
            for number, parts in optimiser.state_dict()["state"].items():
                assert all(torch.equal(state["state"][number][name], part) for name, part in parts.items())


def test_modules_are_shared_evenly():
    network = made("proximal", unrolls=7, modules=7)
    for count, expected in [(3, [3, 2, 2]), (7, [1] * 7), (9, [1] * 7 + [0] * 2)]:
        learner = PipelinedLearner(GreedyLearner(network, adam), Processes(rank=0, count=count))
        shares = [learner.modules_of(rank) for rank in range(count)]
        assert [len(share) for share in shares] == expected
        assert [number for share in shares for number in share] == list(range(7))
