"""What changes weights, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from scanproof.training.options import TrainingOptions

#: the prediction for inputs, and its loss against a target: a mean over items
Measure = Callable[[Any, Tensor], tuple[Tensor, Tensor]]


class Learner(Protocol):
    """Changes weights batch by batch."""

    @property
    def optimisers(self) -> Sequence[torch.optim.Optimizer]:
        """Whose learning rates follow the schedule."""

    def step(self, inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a batch; the prediction and its loss, both as they were before."""


class Backpropagation:
    """Learns by the gradient of one loss.

    Args:
        network: what learns.
        measure: predicts with the network and takes the loss.
        options: optimiser and clipping.
    """

    def __init__(self, network: nn.Module, measure: Measure, options: TrainingOptions) -> None:
        self.network, self.measure, self.clip = network, measure, options.clip
        self.optimisers = [options.optimiser(network.parameters())]

    def step(self, inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Learner.step`."""
        self.optimisers[0].zero_grad(set_to_none=True)
        prediction, loss = self.measure(inputs, target)
        torch.autograd.backward(loss)
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimisers[0].step()
        return prediction.detach(), loss.detach()


def plain(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> Measure:
    """The prediction that a network gives, and a loss of it."""

    def measure(inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        prediction = network(inputs)
        return prediction, loss(prediction, target)

    return measure
