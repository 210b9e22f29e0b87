"""Greedy learning: every module of an unrolled network learns by a loss of its own, and none waits for another.

Source: GLEAM, Ozturkler et al., arXiv 2207.08393. For each batch, a module gets the image of the module before, as it
was before that one learned and without its history, and is led towards the same reference. Nothing flows back between
modules, so the memory is that of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from scanproof.reconstruction.unrolled.network import Acquired, UnrolledNetwork, magnitude_loss
from scanproof.reconstruction.unrolled.problem import Problem

#: makes the optimiser of a module's parameters
MakeOptimiser = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class GreedyLearner:
    """Learns batch by batch, module by module.

    Args:
        network: whose modules learn.
        make_optimiser: is called once a module.
        clip: norm to which the gradient of a module is cut, if it is larger.

    Attributes:
        optimisers: one a module.
    """

    def __init__(self, network: UnrolledNetwork, make_optimiser: MakeOptimiser, *, clip: float | None = None) -> None:
        self.network = network
        self.optimisers = [make_optimiser(network.stage_parameters(n)) for n in range(network.modules_count)]
        self.clip = clip

    def step(self, acquired: Acquired, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a batch.

        Args:
            acquired: k-space, mask and sensitivities.
            reference: magnitude, float32 ``(batch, 1, *spatial)``.

        Returns:
            The magnitude that the last module gave before it learned, and its loss.
        """
        problem = self.network.problem(*acquired)
        state, loss = self.network.begin(problem), torch.zeros(())
        for number in range(self.network.modules_count):
            state, loss = self.learn(number, state, problem, reference)
        return (self.network.image(state, problem) * problem.scale).abs(), loss

    def complete(self, losses: Sequence[float]) -> Sequence[float]:
        """End an epoch, as :class:`~scanproof.training.learner.Learner` asks: there is nothing to do."""
        return losses

    def learn(self, number: int, state: Tensor, problem: Problem, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Let one module learn; its result before it learned, and its loss, both without history."""
        found = self.network.stage(number, state, problem)
        return found.detach(), self.finish(number, found, problem, reference)

    def finish(self, number: int, found: Tensor, problem: Problem, reference: Tensor) -> Tensor:
        """Backward pass and step of a module whose result is known; its loss."""
        optimiser = self.optimisers[number]
        optimiser.zero_grad(set_to_none=True)
        loss = magnitude_loss(self.network.image(found, problem), reference, problem)
        torch.autograd.backward(loss)
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.stage_parameters(number), self.clip)
        optimiser.step()
        return loss.detach()
