"""Running a plan's unfinished tasks, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any

from scanproof.study.kinds import KINDS, find_kind
from scanproof.study.plan import Task
from scanproof.study.pool import worker_pool
from scanproof.study.store import DamagedEntryError, Payload, Store

#: called after every finished task
Progress = Callable[[Task], None]


@dataclass(frozen=True)
class Tracking:
    """Where trainings are watched while they run."""

    uri: str
    experiment: str


def missing_tasks(tasks: Sequence[Task], store: Store, *, wanted: Sequence[Task] = ()) -> list[Task]:
    """Tasks that must run so that what is wanted is in the store, inputs first.

    Walks back from there: what only finished tasks need is not asked for.

    Args:
        tasks: a plan's tasks, inputs first.
        store: finished tasks are found there.
        wanted: those whose results will be read; the last one without.
    """
    needed: dict[str, Task] = {}
    stack = list(wanted) or [tasks[-1]]
    while stack:
        task = stack.pop()
        if task.key in needed or task.key in store:
            continue
        needed[task.key] = task
        stack.extend(child for children in task.inputs.values() for child in children)
    return [task for task in tasks if task.key in needed]


def execute(
    tasks: Sequence[Task],
    store: Store,
    *,
    workers: int,
    wanted: Sequence[Task] = (),
    tracking: Tracking | None = None,
    on_start: Callable[[Sequence[Task]], None] = lambda tasks: None,
    on_done: Progress = lambda task: None,
) -> None:
    """Bring the results of tasks into the store.

    Args:
        tasks: a plan's tasks, inputs first.
        store: finished tasks are found and kept there.
        workers: processes; one runs tasks in this process.
        wanted: those whose results will be read; the last one without.
        tracking: where trainings are logged while they run.
        on_start: called with the tasks that must run.
        on_done: called after each.

    Raises:
        ScanproofError: a task's input was wrong, or a worker process died. What other tasks gave is kept.
    """
    for attempt in range(3):
        pending = missing_tasks(tasks, store, wanted=wanted)
        on_start(pending)
        try:
            if workers == 1 or len(pending) <= 1:
                _run_here(pending, store, tracking, on_done)
            else:
                _run_in_processes(pending, store, min(workers, len(pending)), tracking, on_done)
            return
        except DamagedEntryError:
            # the entry was removed when it was read: plan again, and it is computed anew
            if attempt == 2:
                raise


def _run_here(pending: Sequence[Task], store: Store, tracking: Tracking | None, on_done: Progress) -> None:
    for task in pending:
        run_and_store(request_for(task), store.root, tracking)
        on_done(task)


def _run_in_processes(
    pending: Sequence[Task], store: Store, workers: int, tracking: Tracking | None, on_done: Progress
) -> None:
    waiting = {task.key: {c.key for cs in task.inputs.values() for c in cs} for task in pending}
    unfinished = set(waiting)
    readers: dict[str, list[Task]] = {}
    for task in pending:
        waiting[task.key] &= unfinished
        for key in waiting[task.key]:
            readers.setdefault(key, []).append(task)
    # of equally urgent tasks in the plan's order, which keeps those together that read with one network
    urgency = _urgency(pending)
    place = {task.key: (-urgency[task.key], number, task) for number, task in enumerate(pending)}
    ready = [place[task.key] for task in pending if not waiting[task.key]]
    heapify(ready)
    running: dict[Future[str], Task] = {}
    with worker_pool(workers, kept="finished tasks") as pool:
        while ready or running:
            # few are handed out ahead: what becomes ready later may be more urgent
            while ready and len(running) < workers + 1:
                _, _, task = heappop(ready)
                running[pool.submit(run_and_store, request_for(task), store.root, tracking)] = task
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task = running.pop(future)
                future.result()
                on_done(task)
                for reader in readers.get(task.key, ()):
                    waiting[reader.key].discard(task.key)
                    if not waiting[reader.key]:
                        heappush(ready, place[reader.key])


def _urgency(tasks: Sequence[Task]) -> dict[str, float]:
    """Cost of the longest chain of tasks that a task begins, so that no worker idles behind a late training."""
    urgency: dict[str, float] = {}
    for task in reversed(tasks):  # readers stand after what they read
        urgency[task.key] = urgency.get(task.key, 0) + find_kind(task.kind).cost
        for children in task.inputs.values():
            for child in children:
                urgency[child.key] = max(urgency.get(child.key, 0), urgency[task.key])
    return urgency


def request_for(task: Task) -> dict[str, Any]:
    """What another process must know to compute a task."""
    return {
        "kind": task.kind,
        "function": find_kind(task.kind).function,  # a worker need not know the kinds of rooms above this one
        "key": task.key,
        "params": dict(task.params),
        "inputs": task.input_keys,
        "local": dict(task.local),
    }


def run_and_store(request: Mapping[str, Any], store_root: Path, tracking: Tracking | None) -> str:
    """Run one task and store what it gives; returns its key. Runs in a worker process."""
    store = _store(store_root)
    keep(store, request, compute(request, store, tracking))
    return str(request["key"])


def compute(request: Mapping[str, Any], store: Store, tracking: Tracking | None) -> Payload:
    """What a task gives."""
    from scanproof.study.tasks import run_task
    from scanproof.study.tasks.context import Context

    handlers = None if tracking is None else _TrainingHandlers(tracking)
    context = Context(store=store, local=request["local"], handlers=handlers)
    return run_task(request["function"], request["key"], request["params"], request["inputs"], context)


def keep(store: Store, request: Mapping[str, Any], payload: Payload) -> None:
    """Store what a task gave."""
    store.put(request["key"], payload, task={name: request[name] for name in ("kind", "params", "inputs")})


_STORES: dict[Path, Store] = {}


def _store(root: Path) -> Store:
    """One store object a process, so that caches keyed by it are shared between tasks."""
    return _STORES.setdefault(root, Store(root))


@dataclass(frozen=True)
class _TrainingHandlers:
    tracking: Tracking

    def __call__(self, key: str, params: Mapping[str, Any]) -> list[Any]:
        from scanproof.study.record import training_name, training_params
        from scanproof.tracking.training import training_handler

        handler = training_handler(
            self.tracking.uri,
            experiment=self.tracking.experiment,
            record_key=key,
            name=training_name(params),
            params=training_params(params),
        )
        return [handler]


def count_by_kind(tasks: Iterable[Task]) -> dict[str, int]:
    """Number of tasks of each of a study's kinds, in the order in which they run, and of others that there are."""
    counts = dict.fromkeys(KINDS, 0)
    for task in tasks:
        counts[task.kind] = counts.get(task.kind, 0) + 1
    return counts
