"""The processes that train one network together: those of ``torch.distributed``'s default group, or this one alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from scanproof.errors import ScanproofError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    What exchanges anything must be called by all of them, in the same order.

    Args:
        rank: number of this process, from zero.
        count: how many there are.

    Example:
        >>> [Processes(rank=rank, count=3).share(7) for rank in range(3)]
        [range(0, 3), range(3, 5), range(5, 7)]
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def now(cls) -> Processes:
        """Those of the default group; this one alone where there is no group."""
        if dist.is_available() and dist.is_initialized():
            return cls(rank=dist.get_rank(), count=dist.get_world_size())
        return cls()

    @property
    def first(self) -> bool:
        """This process is the one that writes files and is watched."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """There are others."""
        return self.count > 1

    def share(self, items: int) -> range:
        """The consecutive items of this process; the first processes have one more where they cannot be shared evenly.

        Where there are fewer items than processes, the last ones have none.
        """
        size, more = divmod(items, self.count)
        first = self.rank * size + min(self.rank, more)
        return range(first, first + size + (self.rank < more))

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes; it is the same in each, to the bit."""
        if self.several:
            with told():
                dist.all_reduce(tensor)

    def spread(self, tensor: Tensor, *, source: int = 0) -> None:
        """Replace a tensor by that of one process."""
        if self.several:
            with told():
                dist.broadcast(tensor, src=source)

    def tell(self, value: T, *, source: int = 0) -> T:
        """What one process has; tensors in it should be on the CPU."""
        if not self.several:
            return value
        box = [value if self.rank == source else None]
        with told():
            dist.broadcast_object_list(box, src=source)
        return box[0]  # type: ignore[return-value]

    def collect(self, value: T) -> list[T]:
        """What every process has."""
        if not self.several:
            return [value]
        values: list[T | None] = [None] * self.count
        with told():
            dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    @contextmanager
    def together(self) -> Iterator[None]:
        """An error in the block in one process becomes an error in all, at the end of the block.

        Raises:
            ScanproofError: another process failed; it says which and why.
        """
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            if not self.several:
                raise
            failed = error
        if self.several:
            said = self.collect(None if failed is None else f"{failed}" or type(failed).__name__)
            if failed is not None:
                raise failed
            for rank, text in enumerate(said):
                if text is not None:
                    raise ScanproofError(f"all processes must go on; process {rank} ended: {text}")


@contextmanager
def told() -> Iterator[None]:
    """In the block is an exchange: where it fails because another process is gone, the error says so."""
    try:
        yield
    except RuntimeError as error:
        said = str(error).strip().partition("\n")[0]
        raise ScanproofError(
            "processes that train together must all stay alive; one ended or does not answer",
            hint=f"see what it wrote: {said}",
        ) from error


def check_fits(network: nn.Module) -> None:
    """Check that a network learns from shares of a batch what it learns from the whole.

    Raises:
        ScanproofError: it normalizes over the batch.
    """
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    for name, module in network.named_modules():
        if isinstance(module, kinds):
            raise ScanproofError(
                "network without batch normalization is needed to train in several processes",
                key=name,
                value=type(module).__name__,
                hint="train it in one process",
            )


def same_start(network: nn.Module, processes: Processes) -> None:
    """Give every process the parameters and buffers of the first."""
    tensors: Sequence[Tensor] = [*network.parameters(), *network.buffers()]
    for tensor in tensors if processes.several else ():
        held = tensor.detach().contiguous()
        processes.spread(held)
        with torch.no_grad():
            tensor.copy_(held)
