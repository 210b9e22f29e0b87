"""A disk that is full: one line that says so, nothing half-written that counts, and going on when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from scanproof.data.scans import ArrayFile
from scanproof.errors import ScanproofError
from scanproof.reporting.report import write_page
from scanproof.study.definition import Study
from scanproof.study.run import Workspace, run_study
from scanproof.study.store import Payload, Store, write_atomically
from scanproof.training.checkpoint import Checkpoint, Progress
from scanproof.training.processes import Processes

STUDY = {
    "name": "full",
    "seed": 3,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "matrix": [32, 32],
        "slices": 2,
        "subjects": {"train": 2, "val": 2, "test": 2},
    },
    "shifts": [{"name": "gamma_up", "severities": [2, 4]}],
    "reconstruction": [{"name": "fully_sampled"}, {"name": "zero_filled"}],
    "evaluation": {"image_metrics": ["nrmse"], "resamples": 100},
}
FILES = ("results.parquet", "predictions.parquet", "study.lock.yaml")
KEY = "ab" * 32


class Disk:
    """A disk of a few kilobytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, kilobytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", self.path], check=True)

    @property
    def used(self) -> int:
        """Kilobytes."""
        found = os.statvfs(self.path)
        return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def run(root: Path, output: Path | None = None) -> list[bytes]:
    finished = run_study(
        Study.model_validate(STUDY),
        Workspace(root=root, output=output),
        workers=1,
        tracking_uri=None,
        command="run",
    )
    return [(finished.folder / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("elsewhere")
    run(root)
    return root


def test_a_study_goes_on_when_there_is_room_again(disk: Disk, elsewhere: Path) -> None:
    """Where it stops depends on the size: at a result in the store, at a table, at the report."""
    expected, kept, stopped = run(elsewhere), 0, set()
    for kilobytes in (48, 96, 144, 300, 3000, 50_000):
        disk.resize(kilobytes)
        try:
            found = run(disk.path)
            break
        except ScanproofError as error:
            stopped.add(error.rule)
        store = Store(disk.path / "store")
        entries = list(store.root.glob("??/*"))
        assert len(entries) >= kept
        kept = len(entries)
        for entry in entries:
            store.get(entry.name)  # whole, all of them
        assert not list(store.root.glob("partial/*"))
        assert not list(disk.path.rglob(".*"))
    assert found == expected
    assert stopped == {f"{what} must be writable: No space left on device" for what in ("store", "output")}


def test_old_results_stay_whole(disk: Disk, elsewhere: Path, tmp_path: Path) -> None:
    """The report and tables of the last run are there until the new ones are complete."""
    disk.resize(20_000)
    folder = disk.path / "results"
    before = run(elsewhere, folder)
    page = (folder / "report.html").read_bytes()
    (folder / ".written.json").unlink()  # otherwise nothing would be written anew
    disk.resize(disk.used + 8)
    with pytest.raises(ScanproofError, match="output must be writable: No space left on device"):
        run(elsewhere, folder)
    assert [(folder / name).read_bytes() for name in FILES] == before
    assert (folder / "report.html").read_bytes() == page
    with pytest.raises(ScanproofError, match=r"report.html: output must be writable: No space left on device"):
        write_page(folder / "report.html", "x" * 100_000)
    with pytest.raises(ScanproofError, match=r"results.parquet: output must be writable"):
        write_atomically(folder / "results.parquet", b"x" * 100_000)
    assert [(folder / name).read_bytes() for name in FILES] == before
    assert (folder / "report.html").read_bytes() == page
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize(
    "payload",
    [
        Payload(arrays={"x": np.zeros(50_000)}),
        Payload(facts={"text": "x" * 100_000}),
    ],
)
def test_nothing_is_left_of_an_entry_that_has_no_room(disk: Disk, payload: Payload) -> None:
    store, before = Store(disk.path / "store"), disk.used
    with pytest.raises(ScanproofError, match=r"store must be writable: No space left on device.*run again"):
        store.put(KEY, payload, task={})
    assert KEY not in store
    assert disk.used - before < 16
    disk.resize(1000)
    store.put(KEY, payload, task={})
    assert store.get(KEY).arrays.keys() == payload.arrays.keys()


def make_large(key: str, params: object, inputs: object, context: object) -> Payload:
    """A task that writes a large array piece by piece, as one that reads raw data does."""
    folder = context.store.scratch()  # type: ignore[attr-defined]
    with ArrayFile(folder / "kspace.npy", (100, 128)) as file:
        for _ in range(100):
            file.append(np.ones((1, 128), np.complex64))
    return Payload(large={"kspace": folder / "kspace.npy"})


def test_a_large_array_that_has_no_room(disk: Disk) -> None:
    from scanproof.study.executor import run_and_store

    request = {"kind": "test", "function": f"{__name__}:make_large", "key": KEY, "inputs": {}, "local": {}}
    store, request = Store(disk.path / "store"), request | {"params": {"threads": 1}}
    with pytest.raises(ScanproofError, match="disk must take what is written: No space left on device"):
        run_and_store(request, store.place, None)
    assert disk.used < 16  # it would be in its own way
    disk.resize(1000)
    run_and_store(request, store.place, None)
    assert store.get(KEY).arrays["kspace"].sum() == 12_800


def test_a_training_keeps_the_epochs_that_had_room(disk: Disk) -> None:
    network = torch.nn.Linear(4, 4)
    file = disk.path / "unfinished" / "one.pt"
    kept = Checkpoint(file, {"seed": 1}, {"network": network})
    progress = Progress()
    progress.add({"val_loss": 1.0}, score=-1.0, network=network, patience=9)
    kept.save(progress, random={})
    more = Checkpoint(file, {"seed": 1}, {"network": torch.nn.Linear(200, 200)})
    with pytest.raises(ScanproofError, match=r"one.pt: checkpoint of a training must be writable: No space left"):
        more.save(progress, random={})
    assert [path.name for path in file.parent.iterdir()] == ["one.pt"]
    again = Progress()
    assert kept.resume(again, Processes.now()) == {}
    assert again.rows == progress.rows


def test_a_folder_that_is_read_only(disk: Disk, elsewhere: Path) -> None:
    disk.resize(20_000)
    store = Store(disk.path / "store")
    store.put(KEY, Payload(facts={"a": 1}), task={})
    subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
    assert store.get(KEY).facts == {"a": 1}
    with pytest.raises(ScanproofError, match="store must be writable: Read-only file system"):
        run(disk.path)
    with pytest.raises(ScanproofError, match="output must be writable: Read-only file system"):
        run(elsewhere, disk.path / "results")
