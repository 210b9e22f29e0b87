"""What every task is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scanproof.study.store import Payload, Store

if TYPE_CHECKING:
    from scanproof.training.engine import TrainingResult

Params = Mapping[str, Any]
#: role to the keys of the results that a task reads
Inputs = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Context:
    """What a task may use that does not change its result.

    Args:
        store: where inputs are read from.
        local: the task's ``local`` values.
        handlers: makes MONAI handlers that watch a training, given its task key, name, kind and parameters.
    """

    store: Store
    local: Mapping[str, Any] = field(default_factory=dict)
    handlers: Callable[[str, Params], Sequence[Any]] | None = None


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Compute with so many threads of PyTorch in a ``with`` block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def trained(result: TrainingResult) -> Payload:
    """What a training leaves in the store."""
    weights = {name: tensor.numpy() for name, tensor in result.weights.items()}
    return Payload(arrays=weights, tables={"history": result.history}, facts={"best_epoch": result.best_epoch})
