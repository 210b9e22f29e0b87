"""What carries out calls: processes of this machine, behind the same interface as a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, Protocol, TypeVar

from scanproof.study.kinds import Needs
from scanproof.study.pool import worker_pool

P = ParamSpec("P")
T = TypeVar("T")


class Engine(Protocol):
    """Carries out calls somewhere else."""

    @property
    def room(self) -> int:
        """Calls that may be under way now. Few wait: what becomes ready later may be more urgent."""

    def submit(self, needs: Needs, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin a call; what it raises, a :class:`~scanproof.errors.ScanproofError` above all, comes as itself."""

    def share(self, value: T) -> T:
        """What to hand to calls instead of a value that is large and handed to many."""


class _Processes:
    """Processes of this machine, as many as the user said: needs were weighed then."""

    def __init__(self, pool: ProcessPoolExecutor, workers: int) -> None:
        self.pool, self.room = pool, workers + 1

    def submit(self, needs: Needs, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self.pool.submit(function, *args, **kwargs)

    def share(self, value: T) -> T:
        return value


@contextmanager
def process_engine(workers: int, *, kept: str, stop_on: type[BaseException] = KeyboardInterrupt) -> Iterator[Engine]:
    """Processes of this machine for the time of a ``with`` block; see :func:`~scanproof.study.pool.worker_pool`."""
    with worker_pool(workers, kept=kept, imports=("torch", "monai"), stop_on=stop_on) as pool:
        yield _Processes(pool, workers)
