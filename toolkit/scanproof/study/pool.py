"""Worker processes that end with their parent and leave interrupts to it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from scanproof.errors import ScanproofError


@contextmanager
def worker_pool(
    workers: int, *, kept: str, stop_on: type[BaseException] = KeyboardInterrupt
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes for the time of a ``with`` block.

    Args:
        workers: processes.
        kept: what is not lost when a worker dies, for the error.
        stop_on: an error in the block at which workers are stopped at once; at any other, what runs is finished. What
            waits is dropped in either case.

    Raises:
        ScanproofError: a worker died.
    """
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(os.getpid(),)
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


def _start_worker(parent: int) -> None:
    """Leave interrupts to the parent, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
