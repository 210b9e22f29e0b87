"""The gradient of a batch that several processes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scanproof.training.processes import Processes

#: the prediction for inputs, and its loss against a target: a mean over items
Measure = Callable[[Any, Tensor], tuple[Tensor, Tensor]]


def gradients(
    parameters: Sequence[nn.Parameter], measure: Measure, inputs: Any, target: Tensor, *, processes: Processes
) -> tuple[Tensor, Tensor]:
    """Set the gradients of a batch's loss; they have none before.

    Each process computes those of its share of the items; their mean, weighted by items, is the gradient of the whole
    batch up to rounding, and the same in every process to the bit. A process without items contributes nothing.

    Args:
        parameters: what learns.
        measure: gives the prediction and the loss.
        inputs: a tensor or a tuple of tensors, items first; the same in every process.
        target: likewise.
        processes: who shares the batch.

    Returns:
        The prediction for this process's share, and the loss of the whole batch, both without history.

    Raises:
        ScanproofError: the computation failed in another process.
    """
    if not processes.several:
        prediction, loss = measure(inputs, target)
        torch.autograd.backward(loss)
        return prediction.detach(), loss.detach()
    share = processes.share(len(target))
    mine = slice(share.start, share.stop)
    weight = len(share) / len(target)
    prediction, part = target[mine], torch.zeros((), dtype=torch.float64, device=target.device)
    failed: Exception | None = None
    try:
        if share:
            prediction, loss = measure(_cut(inputs, mine), target[mine])
            torch.autograd.backward(loss * weight)
            part = loss.detach().double() * weight
    except Exception as error:
        failed = error
    # the loss, whether anything failed, and which parameters have a gradient in any process
    signs = [float(failed is not None), *(float(p.grad is not None) for p in parameters)]
    facts = torch.cat([part[None], torch.tensor(signs, dtype=torch.float64, device=target.device)])
    processes.add_up(facts)
    total, failures, *used = facts.tolist()
    if failures:
        with processes.together():
            if failed is not None:
                raise failed
    _add_up([p for p, sign in zip(parameters, used, strict=True) if sign], processes)
    return prediction.detach(), torch.tensor(total, dtype=torch.float64)


def _add_up(parameters: Sequence[nn.Parameter], processes: Processes) -> None:
    """Sum gradients over processes, all of one type in one exchange."""
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        by_type.setdefault(parameter.dtype, []).append(_real(parameter.grad))
    for pieces in by_type.values():
        flat = torch.cat([piece.reshape(-1) for piece in pieces])
        processes.add_up(flat)
        for piece, summed in zip(pieces, torch.split(flat, [piece.numel() for piece in pieces]), strict=True):
            piece.copy_(summed.reshape(piece.shape))


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _cut(inputs: Any, share: slice) -> Any:
    return inputs[share] if isinstance(inputs, Tensor) else tuple(_cut(one, share) for one in inputs)
