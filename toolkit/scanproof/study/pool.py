"""Worker processes that end with their parent and leave interrupts to it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import BaseContext

from scanproof.errors import ScanproofError


@contextmanager
def worker_pool(
    workers: int, *, kept: str, imports: Sequence[str] = (), stop_on: type[BaseException] = KeyboardInterrupt
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes for the time of a ``with`` block.

    Args:
        workers: processes.
        kept: what is not lost when a worker dies, for the error.
        imports: modules that every worker needs. On Linux one process imports them for all: torch and MONAI take it
            eight seconds.
        stop_on: an error in the block at which workers are stopped at once; at any other, what runs is finished. What
            waits is dropped in either case.

    Raises:
        ScanproofError: a worker died.
    """
    pool = ProcessPoolExecutor(
        workers, mp_context=_context(imports), initializer=_start_worker, initargs=(dict(os.environ),)
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        raise ScanproofError(
            "worker processes must stay alive",
            value="one died",
            hint=f"out of memory? {kept} are kept: run again with fewer --workers",
        ) from error
    except stop_on:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _context(imports: Sequence[str]) -> BaseContext:
    """Workers are forked from a server that has imported what they need, where the system's libraries allow that."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(imports))
    return context


def _start_worker(environment: Mapping[str, str]) -> None:
    """Leave interrupts to the parent, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)  # the server's is that of its start
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
