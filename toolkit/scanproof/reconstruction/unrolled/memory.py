"""Unrolls in a row, and what is kept of them for the backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from scanproof.reconstruction.unrolled.problem import Problem
from scanproof.reconstruction.unrolled.unrolls import Unroll

#: ``everything``: all that plain backpropagation stores; ``inputs``: the image between unrolls, the rest is computed
#: again; ``nothing``: the last image, from which the others are computed back
Keep = Literal["everything", "inputs", "nothing"]


def run(unrolls: Sequence[Unroll], image: Tensor, problem: Problem, *, keep: Keep = "everything") -> Tensor:
    """Apply unrolls one after the other; the same image and, up to rounding, the same gradients whatever is kept.

    Args:
        unrolls: the same one may stand several times.
        image: complex ``(batch, 1, *spatial)``.
        problem: the acquisition.
        keep: see :data:`Keep`.

    Raises:
        ScanproofError: in the backward pass, an unroll that cannot be undone.
    """
    if keep == "nothing":
        parameters = list(dict.fromkeys(p for unroll in unrolls for p in unroll.parameters()))
        found: Tensor = _Reversed.apply(  # type: ignore[no-untyped-call]
            unrolls, problem, parameters, image, *parameters
        )
        return found
    for unroll in unrolls:
        if keep == "inputs":
            image = checkpoint(unroll, image, problem, use_reentrant=False, preserve_rng_state=False)
        else:
            image = unroll(image, problem)
    return image


class _Reversed(torch.autograd.Function):
    """Unrolls whose inputs are computed back from their outputs."""

    @staticmethod
    def forward(
        context: Any,
        unrolls: Sequence[Unroll],
        problem: Problem,
        parameters: Sequence[Tensor],
        image: Tensor,
        *_: Tensor,
    ) -> Tensor:
        for unroll in unrolls:
            image = unroll(image, problem)
        context.unrolls, context.problem, context.parameters = unrolls, problem, parameters
        context.save_for_backward(image)
        return image

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        [image] = context.saved_tensors
        totals: dict[Tensor, Tensor] = {}
        for unroll in reversed(context.unrolls):
            before = unroll.undo(image, context.problem).detach().requires_grad_()
            own = [p for p in unroll.parameters() if p.requires_grad]
            with torch.enable_grad():
                after = unroll(before, context.problem)
                gradient, *found = torch.autograd.grad(after, [before, *own], gradient, allow_unused=True)
            for parameter, one in zip(own, found, strict=True):
                if one is not None:
                    totals[parameter] = totals[parameter] + one if parameter in totals else one
            image = before.detach()
        return None, None, None, gradient, *(totals.get(p) for p in context.parameters)
