"""What changes weights, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from scanproof.training.options import TrainingOptions
from scanproof.training.processes import Processes
from scanproof.training.sharing import Measure, gradients


class Learner(Protocol):
    """Changes weights batch by batch.

    Where several processes train together, each has a learner, which is given the same batches as the others.
    """

    @property
    def optimisers(self) -> Sequence[torch.optim.Optimizer]:
        """Whose learning rates follow the schedule."""

    def step(self, inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a batch; the prediction and its loss, both as they were before.

        Of several processes, each may give the prediction of its part alone.
        """

    def complete(self, losses: Sequence[float]) -> Sequence[float]:
        """End an epoch: weights and optimisers are now the same in every process.

        Args:
            losses: what this process's steps gave in the epoch.

        Returns:
            The losses of the epoch's batches, the same in every process.
        """


class Backpropagation:
    """Learns by the gradient of one loss; several processes share each batch.

    Args:
        network: what learns.
        measure: predicts with the network and takes the loss.
        options: optimiser and clipping.
    """

    def __init__(self, network: nn.Module, measure: Measure, options: TrainingOptions) -> None:
        self.network, self.measure, self.clip = network, measure, options.clip
        self.optimisers = [options.optimiser(network.parameters())]
        self.processes = Processes.now()

    def step(self, inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Learner.step`."""
        self.optimisers[0].zero_grad(set_to_none=True)
        found = gradients(list(self.network.parameters()), self.measure, inputs, target, processes=self.processes)
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimisers[0].step()
        return found

    def complete(self, losses: Sequence[float]) -> Sequence[float]:
        """See :meth:`Learner.complete`; every step has left the processes alike."""
        return losses


def plain(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> Measure:
    """The prediction that a network gives, and a loss of it."""

    def measure(inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        prediction = network(inputs)
        return prediction, loss(prediction, target)

    return measure


class Losses:
    """The losses of an epoch's batches."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.weights: list[int] = []

    def add(self, value: float, *, weight: int) -> None:
        """Note what a step gave, and what it counts."""
        self.values.append(value)
        self.weights.append(weight)

    def take(self, learner: Learner) -> float:
        """Complete the learner's epoch and give the mean loss; the next epoch begins."""
        total = 0.0
        for value, weight in zip(learner.complete(self.values), self.weights, strict=True):
            total += value * weight
        mean = total / sum(self.weights)
        self.values, self.weights = [], []
        return mean
