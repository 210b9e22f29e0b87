"""Running a plan's unfinished tasks: in this process, in several, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from queue import SimpleQueue
from typing import Any

from scanproof.errors import disk_error
from scanproof.study.damage import Damage, Read, read_whole
from scanproof.study.executors.cluster import Cluster
from scanproof.study.executors.engine import Engine, process_engine
from scanproof.study.kinds import KINDS, Needs, find_kind
from scanproof.study.plan import Task, nothing_to_collect
from scanproof.study.store import DamagedEntryError, Payload, Place, Store
from scanproof.tracking.uri import sqlite_path

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
    needed: set[str] = set()
    asked: set[str] = set()
    level = list(wanted) or [tasks[-1]]
    with nothing_to_collect():
        while level:
            fresh = {task.key: task for task in level if task.key not in asked}
            asked.update(fresh)
            missing = fresh.keys() - store.present(fresh)
            needed |= missing
            level = [child for key in missing for children in fresh[key].inputs.values() for child in children]
    return [task for task in tasks if task.key in needed]


def execute(
    tasks: Sequence[Task],
    store: Store,
    *,
    workers: int,
    cluster: Cluster | None = None,
    wanted: Sequence[Task] = (),
    tracking: Tracking | None = None,
    on_start: Callable[[Sequence[Task]], None] = lambda tasks: None,
    on_done: Progress = lambda task: None,
) -> None:
    """Bring the results of tasks into the store.

    Args:
        tasks: a plan's tasks, inputs first.
        store: finished tasks are found and kept there.
        workers: processes; one runs tasks in this process. On a cluster, tasks at once at most; 0 for what it holds.
        cluster: Ray cluster that runs them; processes of this machine without.
        wanted: those whose results will be read; the last one without.
        tracking: where trainings are logged while they run.
        on_start: called with the tasks that must run.
        on_done: called after each.

    Raises:
        ScanproofError: a task's input was wrong, or a worker process died. What other tasks gave is kept.
    """
    store.publish([task.key for task in tasks])
    damage = Damage()
    while True:
        pending = damage.pending(tasks, store, wanted=wanted)
        on_start(pending)
        try:
            if cluster is None and (workers == 1 or len(pending) <= 1):
                _run_here(pending, store, tracking, on_done)
            elif pending:
                _run_elsewhere(pending, store, workers, cluster, tracking, on_done)
            return
        except DamagedEntryError as error:
            # the entry was removed when it was read: plan again, and it is computed anew
            damage.note(error)


def execute_and_read(
    tasks: Sequence[Task],
    store: Store,
    read: Callable[[], Read],
    *,
    workers: int,
    cluster: Cluster | None = None,
    wanted: Sequence[Task] = (),
    tracking: Tracking | None = None,
    on_start: Callable[[Sequence[Task]], None] = lambda tasks: None,
    on_done: Progress = lambda task: None,
) -> Read:
    """Bring the results of tasks into the store and read them; what turns out to be damaged is computed anew.

    Args:
        tasks: a plan's tasks, inputs first.
        store: finished tasks are found and kept there.
        read: reads what is wanted, and whatever else of the plan; it may be called several times.
        workers: see :func:`execute`.
        cluster: likewise.
        wanted: likewise.
        tracking: likewise.
        on_start: likewise.
        on_done: likewise.

    Raises:
        DamagedEntryError: a result is damaged again and again.
        ScanproofError: see :func:`execute`.
    """
    by_key = {task.key: task for task in tasks}

    def compute(damaged: Sequence[str]) -> None:
        execute(
            tasks,
            store,
            workers=workers,
            cluster=cluster,
            wanted=[*(wanted or tasks[-1:]), *(by_key[key] for key in damaged)],
            tracking=tracking,
            on_start=on_start,
            on_done=on_done,
        )

    return read_whole(read, compute)


def _run_here(pending: Sequence[Task], store: Store, tracking: Tracking | None, on_done: Progress) -> None:
    for task in pending:
        run_and_store(request_for(task), store.place, tracking)
        on_done(task)


def _run_elsewhere(
    pending: Sequence[Task],
    store: Store,
    workers: int,
    cluster: Cluster | None,
    tracking: Tracking | None,
    on_done: Progress,
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
    done: SimpleQueue[Future[str]] = SimpleQueue()
    far = cluster is not None and cluster.running is not None
    if far and tracking is not None and sqlite_path(tracking.uri) is not None:
        tracking = None  # no database for several machines: what trainings did is logged at the end
    with _engine(pending, store, workers, cluster) as engine:
        while ready or running:
            # few are handed out ahead: what becomes ready later may be more urgent
            while ready and len(running) < engine.room:
                _, _, task = heappop(ready)
                needs = _needs(task, cluster)
                device = "cuda" if needs.gpus else None
                future = engine.submit(
                    needs,
                    run_and_store,
                    request_for(task),
                    store.place.elsewhere() if far else store.place,
                    tracking,
                    device=device,
                )
                running[future] = task
                future.add_done_callback(done.put)
            future = done.get()
            task = running.pop(future)
            future.result()
            on_done(task)
            for reader in readers.get(task.key, ()):
                waiting[reader.key].discard(task.key)
                if not waiting[reader.key]:
                    heappush(ready, place[reader.key])


@contextmanager
def _engine(pending: Sequence[Task], store: Store, workers: int, cluster: Cluster | None) -> Iterator[Engine]:
    if cluster is None:
        with process_engine(min(workers, len(pending)), kept="finished tasks") as engine:
            yield engine
        return
    from scanproof.study.executors.ray_engine import ray_engine
    from scanproof.study.executors.terms import make_terms

    with store.beacon() as beacons:
        terms = make_terms((task.kind for task in pending), beacons=beacons)
        needs = {_needs(task, cluster) for task in pending}
        paths = sorted({path for task in pending for path in task.files})
        with ray_engine(cluster, terms, workers=workers, needs=needs, paths=paths) as engine:
            yield engine


def _needs(task: Task, cluster: Cluster | None) -> Needs:
    threads, trains = int(str(task.params["threads"])), find_kind(task.kind).trains
    return Needs(cpus=threads) if cluster is None else cluster.needs(cpus=threads, trains=trains)


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


def run_and_store(
    request: Mapping[str, Any], place: Place, tracking: Tracking | None, *, device: str | None = None
) -> str:
    """Run one task and store what it gives; returns its key. Runs in a worker process.

    Args:
        request: see :func:`request_for`.
        place: of the store.
        tracking: where trainings are logged while they run.
        device: on which networks are trained, unless the task says it; without, as the caller does.
    """
    store = _store(place)
    key = str(request["key"])
    store.publish([key])
    # it is there where a worker was lost after it had stored its result, and where another run was faster
    if key not in store:
        from scanproof.training.devices import train_on

        try:
            with train_on(device) if device else nullcontext():
                payload = compute(request, store, tracking)
            keep(store, request, payload)
        except OSError as error:
            raise disk_error(error, file=store.root) or error from None
        finally:
            store.clear_scratch()
    return key


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


_STORES: dict[Place, Store] = {}


def _store(place: Place) -> Store:
    """One store object a process, so that caches keyed by it are shared between tasks."""
    if place not in _STORES:
        _STORES[place] = place.open()
    return _STORES[place]


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
