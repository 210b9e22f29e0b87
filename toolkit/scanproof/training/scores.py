"""The loss on validation data as a metric of ignite's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from torch import Tensor


class ValidationLoss(Metric):
    """Mean of a loss over validation data: each batch counts by the weight that the training gives it.

    That is the mean over items where data have several shapes, and the mean over batches where they have one; see
    :meth:`scanproof.training.batches.ShapeBatches.weight`. A loss that is not a number makes the mean none, which ends
    the training. Every process computes it by itself: predictions were exchanged before.

    Args:
        loss: of (prediction, label), the mean over the items of a batch.
    """

    required_output_keys = ("pred", "label", "weight")

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.loss = loss
        super().__init__(skip_unrolling=True)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget the epoch before."""
        self._losses: list[Tensor] = []
        self._weight = 0

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor, int]) -> None:
        """Take in a batch."""
        prediction, label, weight = output
        self._losses.append(self.loss(prediction, label).detach() * weight)
        self._weight += weight

    def compute(self) -> Tensor:
        """The mean so far."""
        return torch.stack(self._losses).sum() / self._weight
