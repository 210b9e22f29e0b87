"""Greedy learning in several processes, each with its share of the modules.

A module needs of the others only the image of the one before. So the process of the first modules need not wait until
the last ones have learned: it goes on with the next batch. Images travel forward alone, each module sees the same
images in the same order as in one process, and the weights are the same to the bit (tested).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

from scanproof.errors import ScanproofError
from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.network import Acquired


def share(modules: int, *, ranks: int, rank: int) -> range:
    """The consecutive modules of a process; the first processes have one more where they cannot be shared evenly.

    Example:
        >>> [list(share(5, ranks=2, rank=rank)) for rank in range(2)]
        [[0, 1, 2], [3, 4]]
    """
    if not 0 < ranks <= modules:
        raise ScanproofError(f"needs at least one module a process, of {modules}", key="processes", value=ranks)
    size, more = divmod(modules, ranks)
    first = rank * size + min(rank, more)
    return range(first, first + size + (rank < more))


def learn_in_pipeline(learner: GreedyLearner, batches: Iterable[tuple[Acquired, Tensor]]) -> list[float]:
    """Learn from batches, as every process of ``torch.distributed``'s default group must call it.

    Args:
        learner: with the same weights in every process; those of other processes' modules are not changed.
        batches: the same in every process.

    Returns:
        The loss of this process's last module in every batch.
    """
    rank, ranks = dist.get_rank(), dist.get_world_size()
    mine = share(learner.network.modules_count, ranks=ranks, rank=rank)
    losses: list[float] = []
    sending: list[tuple[dist.Work | None, Tensor]] = []
    for acquired, reference in batches:
        problem = learner.network.problem(*acquired)
        state = learner.network.begin(problem)
        if rank > 0:
            pairs = torch.view_as_real(state).clone()
            dist.recv(pairs, src=rank - 1)
            state = torch.view_as_complex(pairs)
        loss = torch.zeros(())
        for number in mine:
            found = learner.network.stage(number, state, problem)
            if number == mine[-1] and rank < ranks - 1:
                # before this module learns, so that the next one can begin
                pairs = torch.view_as_real(found.detach()).contiguous()
                sending.append((dist.isend(pairs, dst=rank + 1), pairs))
            loss = learner.finish(number, found, problem, reference)
            state = found.detach()
        losses.append(float(loss))
        while len(sending) > 2:
            _wait(sending.pop(0))
    for one in sending:
        _wait(one)
    return losses


def _wait(sent: tuple[dist.Work | None, Tensor]) -> None:
    work, _ = sent
    if work is not None:
        work.wait()


def gather(learner: GreedyLearner) -> None:
    """Give every process the weights of all modules."""
    ranks = dist.get_world_size()
    for rank in range(ranks):
        for number in share(learner.network.modules_count, ranks=ranks, rank=rank):
            for parameter in learner.network.stage_parameters(number):
                dist.broadcast(parameter.data, src=rank)
