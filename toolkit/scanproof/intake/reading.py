"""Files read by several processes, none of which a broken file can stop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from scanproof.data.check.inspect import FileFacts, inspect_file
from scanproof.errors import ScanproofError
from scanproof.study.pool import worker_pool

#: files that are handed out ahead of time, a process
_AHEAD = 2


class Job(NamedTuple):
    """A file to read, and whether a picture of it is wanted."""

    path: str
    picture: bool = False


def read_files(
    jobs: Sequence[Job],
    *,
    workers: int,
    on_done: Callable[[], None] = lambda: None,
    inspect: Callable[[Job], FileFacts] | None = None,
) -> list[FileFacts]:
    """What files hold, in their order; the number of processes has no influence on it.

    Where a process dies, killed for memory or by a fault in a library, each file that was being read then is tried
    again by itself; the one that ends its process again is named, and the others go on.

    Args:
        jobs: files.
        workers: processes; each holds one file at a time.
        on_done: told of every file.
        inspect: reads a file, in another process; by default :func:`~scanproof.data.check.inspect.inspect_file`.
    """
    found: dict[int, FileFacts] = {}
    read = inspect or _inspect
    waiting = list(range(len(jobs)))

    def take(row: int, facts: FileFacts) -> None:
        found[row] = facts
        on_done()

    while waiting:
        suspects = _run(jobs, waiting, workers=min(workers, len(waiting)), read=read, take=take)
        while suspects:
            # one at a time: the one that is being read when the process dies is the one that ends it
            died = _run(jobs, suspects, workers=1, read=read, take=take, ahead=1)
            for row in died:
                rule = "process that reads the file must stay alive"
                error = ScanproofError(rule, file=jobs[row].path, value="it died", hint="too large for the memory?")
                take(row, FileFacts(error=error))
            suspects = [row for row in suspects if row not in found]
        waiting = [row for row in waiting if row not in found]
    return [found[row] for row in range(len(jobs))]


def _run(
    jobs: Sequence[Job],
    rows: Sequence[int],
    *,
    workers: int,
    read: Callable[[Job], FileFacts],
    take: Callable[[int, FileFacts], None],
    ahead: int = _AHEAD,
) -> list[int]:
    """Read files until all are read or a process dies; returns those that were handed out then."""
    left = iter(rows)
    running: dict[Future[FileFacts], int] = {}
    try:
        with worker_pool(workers, kept="files that were read") as pool:
            while True:
                for row in itertools.islice(left, ahead * workers - len(running)):
                    running[pool.submit(read, jobs[row])] = row
                if not running:
                    return []
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=lambda future: running[future]):
                    facts = future.result()
                    take(running.pop(future), facts)
    except ScanproofError as error:
        if not isinstance(error.__cause__, BrokenProcessPool):
            raise
    for future, row in list(running.items()):
        # what was finished in the same moment is not lost
        if future.done() and not future.cancelled() and future.exception() is None:
            take(row, future.result())
            del running[future]
    return sorted(running.values())


def _inspect(job: Job) -> FileFacts:
    return inspect_file(Path(job.path), picture=job.picture)
