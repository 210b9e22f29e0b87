"""A Ray cluster that carries out calls: one that runs, or one that is started on this machine."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from scanproof.errors import ScanproofError
from scanproof.study.executors.cluster import Cluster
from scanproof.study.executors.engine import Engine
from scanproof.study.executors.terms import Terms, check_terms, unseen
from scanproof.study.kinds import Needs
from scanproof.study.store import DamagedEntryError

P = ParamSpec("P")
T = TypeVar("T")

#: how often a call is begun again whose worker or machine was lost
RETRIES = 3
#: seconds until the machines of a cluster have said whether they can do the work
PATIENCE = 300
#: seconds between two looks at how large the cluster is
_LOOK = 5.0
#: calls that wait at least, so that a cluster that can grow sees that there is more to do
_BACKLOG = 8
#: bytes that a cluster started here sets aside to pass objects: results go through the store
_OBJECTS = 80 * 2**20


@contextmanager
def ray_engine(
    cluster: Cluster,
    terms: Terms,
    *,
    workers: int = 0,
    needs: Iterable[Needs] = (),
    paths: Sequence[str] = (),
    kept: str = "finished tasks",
) -> Iterator[Engine]:
    """A Ray cluster for the time of a ``with`` block.

    At the end of the block nothing that it began is running any more: an interruption or error ends it at once,
    a damaged entry of the store lets it finish.

    Args:
        cluster: which.
        terms: that every worker must meet.
        workers: calls at once at most; 0 for as many as the cluster holds.
        needs: of the calls that will come.
        paths: files and folders that every machine must see.
        kept: what is not lost when a worker dies, for the error.

    Raises:
        ScanproofError: Ray is not installed, the cluster does not answer, does not meet the terms or has no machine
            that is large enough; or a worker died again and again.
    """
    ray = import_ray()
    largest = sorted(set(needs), key=lambda one: (one.gpus, one.cpus)) or [Needs()]
    with _connected(ray, cluster, cpus=max(workers, 1) * max(one.cpus for one in largest)):
        engine = _RayEngine(ray, terms, workers=workers, cpus=largest[0].cpus, kept=kept)
        engine.check_size(largest)
        engine.check_machines(paths)
        try:
            yield engine
        except DamagedEntryError:
            engine.finish()
            raise
        except BaseException:
            engine.cancel()
            raise


class _RayEngine:
    def __init__(self, ray: Any, terms: Terms, *, workers: int, cpus: int, kept: str) -> None:
        self.ray, self.terms, self.workers, self.cpus, self.kept = ray, terms, workers, cpus, kept
        self._call = ray.remote(_carry_out)
        self._terms = ray.put(terms)  # sent once
        self._running: dict[Any, Future[Any]] = {}
        self._room, self._looked = 0, float("-inf")

    @property
    def room(self) -> int:
        if self.workers:
            return self.workers
        if time.monotonic() - self._looked > _LOOK:
            here = int(self.ray.cluster_resources().get("CPU", 0)) // self.cpus
            self._room, self._looked = here + max(here // 4, _BACKLOG), time.monotonic()
        return self._room

    def submit(self, needs: Needs, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        options = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "memory": needs.memory or None}
        reference = self._call.options(max_retries=RETRIES, retry_exceptions=False, **options).remote(
            self._terms, function, tuple(kwargs), *args, *kwargs.values()
        )
        answer: Future[T] = Future()
        self._running[reference] = answer

        def take(call: Future[tuple[T, ScanproofError | None]]) -> None:
            self._running.pop(reference, None)
            try:
                value, error = call.result()
            except BaseException as lost:
                answer.set_exception(self._explain(lost))
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(value)

        reference.future().add_done_callback(take)
        return answer

    def share(self, value: T) -> T:
        shared: T = self.ray.put(value)  # a reference, in whose place a call finds the value
        return shared

    def check_size(self, needs: Iterable[Needs]) -> None:
        """Refuse calls that no machine of the cluster could ever take, for which Ray would wait without end."""
        machines = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        for one in needs:
            asked = {"CPU": one.cpus, "GPU": one.gpus, **({"memory": one.memory} if one.memory else {})}
            if not any(all(has.get(name, 0) >= amount for name, amount in asked.items()) for has in machines):
                largest = {name: max((has.get(name, 0) for has in machines), default=0) for name in asked}
                raise ScanproofError(
                    "cluster must have a machine that is large enough for a task",
                    key="--executor ray",
                    value=_sizes(largest),
                    hint=f"a task asks for {_sizes(asked)}",
                )

    def check_machines(self, paths: Sequence[str]) -> None:
        """Ask every machine that computes whether it can do the work, before anything is sent.

        Raises:
            ScanproofError: one cannot; what it says.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # pickled once more, so that it is read where an error can be told
        asked = self.ray.put(pickle.dumps((self.terms, list(paths))))
        ask = self.ray.remote(_make_question())
        questions = {
            ask.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(asked): node["NodeManagerHostname"]
            for node in self.ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0) >= self.cpus
        }
        answered, silent = self.ray.wait(list(questions), num_returns=len(questions), timeout=PATIENCE)
        if silent:
            raise ScanproofError(
                "machines of the cluster must answer", value=", ".join(sorted(questions[one] for one in silent))
            )
        for reference in answered:
            try:
                error = self.ray.get(reference)
            except self.ray.exceptions.RayError as lost:
                raise self._explain(lost) from None
            if isinstance(error, str):  # the worker may have another class of errors, or none
                raise ScanproofError(
                    "workers must have scanproof installed",
                    key=f"worker on {questions[reference]}",
                    value=error,
                    hint="install the same version there",
                )
            if error is not None:
                raise error

    def finish(self) -> None:
        """Wait for what runs."""
        if self._running:
            self.ray.wait(list(self._running), num_returns=len(self._running))

    def cancel(self) -> None:
        """End what runs."""
        for reference in list(self._running):
            self.ray.cancel(reference, force=True)

    def _explain(self, error: BaseException) -> BaseException:
        if not isinstance(error, self.ray.exceptions.RayError) or isinstance(error, self.ray.exceptions.RayTaskError):
            return error  # a mistake of the program, with its trace
        first = next(iter(str(error).strip().splitlines()), "")
        return ScanproofError(
            "worker processes must stay alive",
            value=type(error).__name__,
            hint=f"out of memory? {self.kept} are kept: run again, with --memory-per-task or fewer --workers; {first}",
        )


def _carry_out(
    terms: Terms, function: Callable[..., T], names: Sequence[str], *values: Any
) -> tuple[T | None, ScanproofError | None]:
    """What a worker does; an error that a user can act on is an answer, which Ray hands over as it is."""
    try:
        check_terms(terms)
        first = len(values) - len(names)
        return function(*values[:first], **dict(zip(names, values[first:], strict=True))), None
    except ScanproofError as error:
        return None, error


def _make_question() -> Callable[[bytes], ScanproofError | str | None]:
    """What a machine is asked first. A function without a module travels as code: scanproof may not be there."""

    def ask(asked: bytes) -> ScanproofError | str | None:
        try:
            from scanproof.study.executors.ray_engine import meets

            return meets(*pickle.loads(asked))  # noqa: S301 (of the process that sends the tasks)
        except (ImportError, AttributeError, TypeError) as error:
            return str(error)

    return ask


def meets(terms: Terms, paths: Sequence[str]) -> ScanproofError | None:
    """Why this machine cannot do the work; None if it can."""
    import socket

    try:
        check_terms(terms)
    except ScanproofError as error:
        return error
    missing = unseen(paths)
    if not missing:
        return None
    return ScanproofError(
        "files must be seen by the workers",
        key=f"worker on {socket.gethostname()}",
        value=missing[0],
        hint=f"{len(missing)} of {len(paths)} are not there: put data and models on a file system of all machines",
    )


def import_ray() -> Any:
    """Ray, which reads settings when it is imported.

    Raises:
        ScanproofError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it tells nobody that it is used
    try:
        import ray
    except ImportError:
        raise ScanproofError(
            "Ray must be installed", key="--executor", value="ray", hint="pip install 'scanproof[ray]'"
        ) from None
    return ray


@contextmanager
def _connected(ray: Any, cluster: Cluster, *, cpus: int) -> Iterator[None]:
    """Be a driver of the cluster; a cluster that was started here ends with the block."""
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if cluster.running:
            ray.init(address=cluster.running, **quiet)
        else:
            with _loopback():
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    include_dashboard=False,
                    object_store_memory=_OBJECTS,
                    _node_ip_address="127.0.0.1",
                    **quiet,
                )
    except Exception as error:  # Ray raises anything, the bare class among them
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ScanproofError(
            "Ray cluster must answer", key="--address", value=cluster.running or "this machine", hint=first
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _loopback() -> Iterator[None]:
    """Ray listens to this machine alone, as it does where it makes no clusters of several machines."""
    from ray._private import ray_constants

    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    before, several = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = several
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _sizes(amounts: Mapping[str, float]) -> str:
    """Resources as Ray counts them, for people."""
    return ", ".join(
        f"{amount / 2**30:.3g} GiB of memory" if name == "memory" else f"{amount:g} {name}"
        for name, amount in amounts.items()
    )
