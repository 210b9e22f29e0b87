"""Results that are damaged after they were stored: found by their hashes and computed anew, in the same run."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from scanproof.errors import ScanproofError
from scanproof.study.damage import PATIENCE, read_whole
from scanproof.study.definition import Study
from scanproof.study.executor import execute
from scanproof.study.plan import Plan, Task
from scanproof.study.run import Workspace, plan_study, run_study
from scanproof.study.store import DamagedEntryError, Payload, Store

STUDY = {
    "name": "whole",
    "seed": 3,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "matrix": [16, 16],
        "slices": 1,
        "subjects": {"train": 2, "val": 2, "test": 2},
    },
    "shifts": [{"name": "gamma_up", "severities": [2, 4]}],
    "reconstruction": [{"name": "fully_sampled"}, {"name": "zero_filled"}],
    "evaluation": {"image_metrics": ["nrmse"], "resamples": 100},
    "claims": [{"text": "Alike.", "compare": "zero_filled", "against": "fully_sampled", "metric": "nrmse"}],
}
FILES = ("results.parquet", "predictions.parquet", "claims.csv", "study.lock.yaml")
Tables = list[bytes]


class Site:
    """A study and the folder in which it is run."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root=root)
        self.study = Study.model_validate(STUDY)
        self.done: list[Task] = []

    @property
    def store(self) -> Store:
        return self.workspace.store

    @property
    def plan(self) -> Plan:
        return plan_study(self.study, self.workspace)

    def write(self) -> None:
        """Run the study to its report."""
        self.done.clear()
        run_study(self.study, self.workspace, workers=1, tracking_uri=None, command="run", on_done=self.done.append)

    def compute(self) -> Tables:
        """Compute what is missing or damaged, as a run does before it writes anything."""
        self.done.clear()
        plan = self.plan
        return read_whole(
            self.tables,
            lambda keys: execute(plan.tasks, self.store, workers=1, wanted=plan.wanted, on_done=self.done.append),
        )

    def tables(self) -> Tables:
        found = [self.store.get(task.key) for task in self.plan.wanted]
        return [table.to_csv().encode() for payload in found for _, table in sorted(payload.tables.items())]

    def files(self, task: Task) -> list[Path]:
        return sorted(path for path in self.store.root.glob(f"??/{task.key}/*"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"))
    site.write()
    return site


@pytest.fixture(scope="module")
def expected(site: Site) -> Tables:
    return site.tables()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [flip, empty, half, Path.unlink])
def test_what_is_read_at_the_end_is_computed_anew(site: Site, expected: Tables, damage: Callable[[Path], None]) -> None:
    """Nothing is left to compute, so all these are only read: for tables, claims, lock file, pictures and report."""
    folder = site.workspace.folder(site.study)
    before = [(folder / name).read_bytes() for name in FILES]
    kinds = ("evaluate", "judge", "cohort", "reconstruct")
    victims = [next(task for task in reversed(site.plan.tasks) if task.kind == kind) for kind in kinds]
    for victim in victims:
        for path in site.files(victim):
            if path.name != "entry.json":
                damage(path)
    site.write()
    assert {task.key for task in site.done} == {task.key for task in victims}
    assert len(site.done) == len(victims)
    assert site.tables() == expected
    assert [(folder / name).read_bytes() for name in FILES] == before


def test_entries_without_their_list_of_files_are_replaced(site: Site, expected: Tables) -> None:
    """Such a folder is no entry, but it lies where the entry must be written."""
    for task in site.plan.tasks:
        next(path for path in site.files(task) if path.name == "entry.json").unlink()
    assert site.compute() == expected
    assert len(site.done) == len(site.plan.tasks)


@pytest.mark.parametrize("which", ["all", "facts"])
def test_a_power_cut_that_emptied_every_file(site: Site, expected: Tables, which: str) -> None:
    """Names are written before contents: each entry has its name, and nothing in it."""
    for task in site.plan.tasks:
        for path in site.files(task):
            if which == "all" or path.name != "entry.json":
                empty(path)
    assert site.compute() == expected
    assert {task.key for task in site.done} == {task.key for task in site.plan.tasks}


def test_many_inputs_are_found_damaged_at_once(site: Site, expected: Tables) -> None:
    """More than a run would find one by one before it gives up on any of them."""
    plan = site.plan
    for task in plan.wanted:
        site.store.remove(task.key)
    damaged = [task for task in plan.tasks if task.kind == "reconstruct"]
    for task in damaged:
        flip(next(path for path in site.files(task) if path.name == "arrays.safetensors"))
    assert site.compute() == expected
    assert [task.kind for task in site.done].count("reconstruct") == len(damaged) > PATIENCE


def test_a_disk_that_damages_all_it_is_given(site: Site, tmp_path: Path) -> None:
    """Computing anew does not help there, and must end."""
    store, tasks = Store(tmp_path / "store"), site.plan.tasks
    done: list[Task] = []

    def damage(task: Task) -> None:
        done.append(task)
        if task.kind == "cohort":
            flip(next(store.root.glob(f"??/{task.key}/arrays.safetensors")))

    with pytest.raises(DamagedEntryError, match=r"must be intact; it was removed.*run again"):
        execute(tasks, store, workers=1, on_done=damage)
    assert [task.kind for task in done] == ["cohort"] * PATIENCE


def test_an_entry_that_cannot_be_opened_for_now_is_kept(tmp_path: Path) -> None:
    key, store = "ab" * 32, Store(tmp_path)
    store.put(key, Payload(facts={"a": 1}), task={})
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    files: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 8, before[1]))
    try:
        with suppress(OSError):
            while True:
                files.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(ScanproofError, match="stored result must be readable: Too many open files"):
            store.get(key)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for file in files:
            os.close(file)
    assert store.get(key).facts == {"a": 1}


def test_an_entry_of_another_task_is_damage(tmp_path: Path) -> None:
    """A folder that was moved: its hashes are true, but it is not what was asked for."""
    store = Store(tmp_path)
    store.put("ab" * 32, Payload(facts={"a": 1}), task={})
    (tmp_path / "cd").mkdir()
    (tmp_path / "ab" / ("ab" * 32)).rename(tmp_path / "cd" / ("cd" * 32))
    with pytest.raises(DamagedEntryError):
        store.get("cd" * 32)


def test_a_large_array_that_is_damaged(tmp_path: Path) -> None:
    import numpy as np

    store = Store(tmp_path / "store")
    folder = store.scratch()
    np.save(folder / "kspace.npy", np.arange(5000, dtype=np.complex64))
    store.put("ab" * 32, Payload(large={"kspace": folder / "kspace.npy"}), task={})
    path = store.root / "ab" / ("ab" * 32) / "kspace.npy"
    assert store.get("ab" * 32).arrays["kspace"][4999] == 4999
    half(path)
    with pytest.raises(DamagedEntryError):
        store.get("ab" * 32)
    assert not path.exists()
