"""Studies on a real Ray cluster of several machines, which are all this one: what is lost, and what is found again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from executors_lab import Lab, tables
from s3 import s3_server
from scanproof.errors import ScanproofError
from scanproof.study.executors.cluster import Cluster
from scanproof.study.executors.ray_engine import import_ray, ray_engine
from scanproof.study.executors.terms import make_terms
from scanproof.study.kinds import Needs, find_kind

try:
    import_ray()
except ScanproofError as missing:
    pytest.skip(str(missing), allow_module_level=True)

#: set before a machine of the cluster is started: it listens to this computer alone, where nobody need show a token
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_worker_niceness": "0",
}
#: ports that are given, so that a machine need not wait for its agents to find some
AGENTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
#: title of a Ray worker while it computes a task
WORKING = "ray::_carry_out"


@dataclass(frozen=True)
class Machines:
    """A cluster: a head without processors, and machines with one each."""

    ray: Any

    @property
    def cluster(self) -> Cluster:
        return Cluster(address=self.ray.address)

    def add(self, cpus: int = 1) -> None:
        self.ray.add_node(
            num_cpus=cpus,
            object_store_memory=80 * 2**20,
            node_ip_address="127.0.0.1",
            include_dashboard=False,
            **dict(zip(AGENTS, free_ports(len(AGENTS)), strict=True)),
        )

    def remove(self, *, raylet: int) -> None:
        """Kill the machine whose raylet has that process number."""
        [node] = [one for one in self.ray.worker_nodes if one.all_processes["raylet"][0].process.pid == raylet]
        self.ray.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of an S3 server on this machine."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    with s3_server(), pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("study")
        yield "s3://study/store"


@pytest.fixture(scope="module")
def machines(bucket: str) -> Iterator[Machines]:
    from ray._private import ray_constants, utils
    from ray.cluster_utils import Cluster as RayCluster

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as short, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        # without what pages about a cluster need, as Ray itself is where that is not installed: it starts in seconds
        patch.setattr(utils, "get_dashboard_dependency_error", lambda: ImportError("left out"))
        # copies of a store on a URL, and Ray's sockets, whose paths must be short
        patch.setenv("TMPDIR", short)
        patch.setattr(tempfile, "tempdir", None)
        found = Machines(RayCluster())
        for cpus in (0, 1, 1):
            found.add(cpus)
        yield found
        found.ray.shutdown()


@contextmanager
def once_working(act: Callable[[int], None]) -> Iterator[list[int]]:
    """Do something to the first worker that computes a task, while the block runs; gives its process number."""
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not seen and not over.wait(0.02):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    working = entry.read_bytes().startswith(WORKING.encode())
                except OSError:
                    continue
                if working:
                    seen.append(int(entry.parent.name))
                    act(seen[0])
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_cluster_gives_the_tables_of_one_process(lab: Lab, local: dict[str, bytes], machines: Machines) -> None:
    found = lab.run("cluster", machines.cluster)
    assert tables(found) == local
    assert sorted(lab.done["cluster"]) == sorted(lab.done["local"])
    lab.run("cluster", machines.cluster)
    assert sorted(lab.done["cluster"]) == sorted(lab.done["local"]), "what is finished is not computed again"


def test_a_store_on_s3_gives_them_too(lab: Lab, local: dict[str, bytes], machines: Machines, bucket: str) -> None:
    assert tables(lab.run("s3", machines.cluster, store_at=bucket)) == local
    elsewhere = lab.run("another computer", None, workers=1, store_at=bucket)
    assert tables(elsewhere) == local
    assert lab.done["another computer"] == []


def test_a_task_whose_worker_is_killed_is_begun_again(lab: Lab, local: dict[str, bytes], machines: Machines) -> None:
    with once_working(lambda pid: os.kill(pid, signal.SIGKILL)) as killed:
        found = lab.run("killed", machines.cluster)
    assert killed
    assert tables(found) == local
    assert sorted(lab.done["killed"]) == sorted(lab.done["local"])


def test_a_machine_that_is_lost_is_done_without(lab: Lab, local: dict[str, bytes], machines: Machines) -> None:
    with once_working(lambda pid: machines.remove(raylet=parent(pid))) as lost:
        found = lab.run("lost", machines.cluster)
    machines.add()
    assert lost
    assert tables(found) == local


def test_a_run_that_is_killed_goes_on(lab: Lab, local: dict[str, bytes], machines: Machines) -> None:
    root = lab.folder / "resumed"
    command = [sys.executable, "-m", "scanproof", "run", str(lab.file), "--executor", "ray", "--no-tracking"]
    with subprocess.Popen([*command, "--address", machines.cluster.address, "--root", str(root)]) as process:
        while not list(root.glob("store/??/*/entry.json")):
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    finished = len(list(root.glob("store/??/*/entry.json")))
    assert tables(lab.run("resumed", machines.cluster)) == local
    # a worker may have stored another result before it noticed
    assert 0 < len(lab.done["resumed"]) <= len(lab.done["local"]) - finished


def test_what_workers_must_have_is_asked_before_anything_is_sent(machines: Machines, tmp_path: Path) -> None:
    terms = make_terms(["predict"])
    other = replace(terms, mark="other", installed={**terms.installed, "scanproof": "0.0.1+abc", "torch": "1.0"})
    with pytest.raises(ScanproofError, match=r"instead of 0\.0\.1\+abc, torch .* instead of 1\.0"):
        ray_engine(machines.cluster, other).__enter__()
    hidden = replace(terms, mark="hidden", beacons=(tmp_path / "beacon",))
    with pytest.raises(ScanproofError, match=f"folder must be shared with the workers, got '{tmp_path}'"):
        ray_engine(machines.cluster, hidden).__enter__()
    with pytest.raises(ScanproofError, match="files must be seen by the workers, got '/nowhere'"):
        ray_engine(machines.cluster, terms, paths=[str(tmp_path), "/nowhere"]).__enter__()
    with pytest.raises(
        ScanproofError, match=r"large enough for a task, got '1 CPU, 0 GPU' \(a task asks for 1 CPU, 1 GPU"
    ):
        ray_engine(machines.cluster, terms, needs=[Needs(gpus=1)]).__enter__()


def test_errors_come_as_themselves(machines: Machines) -> None:
    with ray_engine(machines.cluster, make_terms([])) as engine:
        assert engine.submit(Needs(), sum, engine.share([1, 2, 3]), start=4).result() == 10
        with pytest.raises(ScanproofError, match="unknown kind of task, got 'nothing'"):
            engine.submit(Needs(), find_kind, "nothing").result()
        with pytest.raises(ZeroDivisionError):
            engine.submit(Needs(), divmod, 1, 0).result()


def test_an_error_ends_what_runs(machines: Machines) -> None:
    running = []

    def interrupted() -> None:
        with ray_engine(machines.cluster, make_terms([])) as engine:
            running.append(engine.submit(Needs(), time.sleep, 600))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert isinstance(running[0].exception(timeout=60), ScanproofError)


def test_trials_of_a_search_run_on_a_cluster(machines: Machines, tmp_path: Path) -> None:
    from scanproof.study.definition import Study
    from scanproof.tuning.run import Effort, tune
    from scanproof.tuning.search import Request

    study = Study.model_validate(
        {
            "name": "small",
            "data": {
                "kind": "demo",
                "sites": ["north"],
                "subjects": {"train": 2, "val": 2, "test": 2},
                "slices": 1,
                "matrix": [32, 28],
            },
            "reconstruction": [{"name": "zero_filled"}],
        }
    )
    tiny = ("channels=4", "layers=3", "kernel=3", "iterations=20", "warmup=5", "check=5", "precision=float32")
    request = Request(method="conv_decoder", fixed=tiny, only=["learning_rate"], slices=2)
    tuned = tune(study, request, Effort(trials=3, workers=2), cluster=machines.cluster, root=tmp_path)
    assert [str(record.state) for record in tuned.records].count("complete") >= 1
    assert len([record for record in tuned.records if str(record.state) != "surplus"]) == 3
    assert tuned.preset.is_file()
    shared = Effort(trials=3, workers=2, storage=f"sqlite:///{tmp_path}/trials.db")
    with pytest.raises(ScanproofError, match="on a cluster, storage must not be SQLite"):
        tune(study, request, shared, cluster=machines.cluster, root=tmp_path)
