"""Greedy learning in several processes, each with its share of the modules.

A module needs of the others only the image of the one before. So the process of the first modules need not wait until
the last ones have learned: it goes on with the next batch. Images travel forward alone, each module sees the same
images in the same order as in one process, and the weights are the same to the bit (tested).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.network import Acquired
from scanproof.training.processes import Processes, told

T = TypeVar("T")


class PipelinedLearner:
    """Learns as a :class:`~scanproof.reconstruction.unrolled.greedy.GreedyLearner` does, in several processes.

    Every process is given every whole batch. Processes beyond the number of modules have nothing to learn. An error in
    one ends all of them at the end of the epoch.

    Args:
        learner: of this process, with the same weights in all of them.
        processes: who learns.

    Attributes:
        optimisers: one a module; those of other processes' modules are brought up to date by :meth:`complete`.
    """

    def __init__(self, learner: GreedyLearner, processes: Processes) -> None:
        self.learner, self.network, self.processes = learner, learner.network, processes
        self.optimisers: Sequence[torch.optim.Optimizer] = learner.optimisers
        self.working = min(processes.count, self.network.modules_count)
        self._sending: list[tuple[dist.Work | None, Tensor]] = []
        self._failed: Exception | None = None
        self._broken = False

    def modules_of(self, rank: int) -> range:
        """The consecutive modules of a process."""
        if rank >= self.working:
            return range(0)
        return Processes(rank=rank, count=self.working).share(self.network.modules_count)

    def step(self, acquired: Acquired, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Let this process's modules learn from a batch.

        Returns:
            The magnitude that the last of them gave before it learned, and its loss.
        """
        rank, mine = self.processes.rank, self.modules_of(self.processes.rank)
        problem = self.network.problem(*acquired)
        state, loss = self.network.begin(problem), torch.full((), torch.nan)
        if mine and rank > 0:
            state = self._receive(state)
        for number in mine:
            found = self._attempt(partial(self.network.stage, number, state, problem))
            state = state if found is None else found.detach()
            if number == mine[-1] and rank < self.working - 1:
                # before this module learns, so that the next one can begin
                self._send(state)
            if found is not None:
                learned = self._attempt(partial(self.learner.finish, number, found, problem, reference))
                loss = loss if learned is None else learned
        return (self.network.image(state, problem) * problem.scale).abs(), loss

    def complete(self, losses: Sequence[float]) -> Sequence[float]:
        """Bring weights and optimisers of all modules to every process.

        Returns:
            The losses of the last module.

        Raises:
            ScanproofError: a process could not learn.
        """
        while self._sending:
            self._wait()
        with self.processes.together():
            if self._failed is not None:
                raise self._failed
        for rank in range(self.working):
            for number in self.modules_of(rank):
                for parameter in self.network.stage_parameters(number):
                    self.processes.spread(parameter.data, source=rank)
                self._bring_up_to_date(self.optimisers[number], source=rank)
        return self.processes.tell(losses, source=self.working - 1)

    def _bring_up_to_date(self, optimiser: torch.optim.Optimizer, *, source: int) -> None:
        state = self.processes.tell(on_cpu(optimiser.state_dict()), source=source)
        if self.processes.rank != source:
            # without gradients a step changes nothing, but the schedule of its rate asks for one
            optimiser.zero_grad(set_to_none=True)
            optimiser.step()
            optimiser.load_state_dict(state)

    def _attempt(self, work: Callable[[], T]) -> T | None:
        """Do it, unless a process before or this one has failed: then batches are only passed through."""
        if self._broken:
            return None
        try:
            return work()
        except Exception as error:
            self._failed, self._broken = error, True
            return None

    def _send(self, state: Tensor) -> None:
        message = torch.cat([torch.view_as_real(state).flatten(), state.real.new_tensor([float(self._broken)])])
        with told():
            self._sending.append((dist.isend(message, dst=self.processes.rank + 1), message))
        while len(self._sending) > 2:
            self._wait()

    def _receive(self, like: Tensor) -> Tensor:
        message = torch.empty(2 * like.numel() + 1, dtype=like.real.dtype, device=like.device)
        with told():
            dist.recv(message, src=self.processes.rank - 1)
        self._broken = self._broken or bool(message[-1])
        return torch.view_as_complex(message[:-1].reshape(*like.shape, 2))

    def _wait(self) -> None:
        work, _ = self._sending.pop(0)
        if work is not None:
            with told():
                work.wait()


def on_cpu(state: Any) -> Any:
    """A state dictionary with its tensors on the CPU."""
    if isinstance(state, Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: on_cpu(value) for key, value in state.items()}
    return [on_cpu(one) for one in state] if isinstance(state, list) else state
