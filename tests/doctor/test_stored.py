from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scanproof.doctor.finding import Finding, State
from scanproof.doctor.stored import check_store
from scanproof.study.store import DamagedEntryError, Store

from .conftest import Lab, of


def check(store: Store, *, repair: bool = False) -> list[Finding]:
    return list(check_store(store, list(store.keys()), repair=repair))


def flip(folder: Path) -> None:
    path = folder / "facts.json"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(folder: Path) -> None:
    path = max(folder.iterdir(), key=lambda file: file.stat().st_size if file.name != "entry.json" else 0)
    os.truncate(path, path.stat().st_size // 2)


def lose(folder: Path) -> None:
    (folder / "facts.json").unlink()


def half(folder: Path) -> None:
    (folder / "entry.json").unlink()


def cut_entry(folder: Path) -> None:
    os.truncate(folder / "entry.json", 40)


def swap(folder: Path) -> None:
    entry = json.loads((folder / "entry.json").read_text())
    (folder / "entry.json").write_text(json.dumps({**entry, "key": "0" * 64}))


DAMAGES: dict[Callable[[Path], None], str] = {
    flip: "facts.json is not as it was stored",
    truncate: "is not as it was stored",
    lose: "facts.json is missing",
    half: "FileNotFoundError",
    cut_entry: "Unterminated string|Expecting",
    swap: "entry.json is that of 000000",
}


def test_a_store_as_it_was_written(lab: Lab) -> None:
    keys = list(lab.store.keys())
    assert len(keys) > 3
    seen: list[None] = []
    (finding,) = check_store(lab.store, keys, on_done=lambda: seen.append(None))
    assert finding.state is State.OK
    assert finding.text.startswith(f"{len(keys)} entries, ")
    assert len(seen) == len(keys)
    assert lab.store.check(keys[0]) == sum(path.stat().st_size for path in (lab.root / "store").glob(f"??/{keys[0]}/*"))
    assert [finding.text for finding in check(Store(lab.root / "none"))] == ["no entries yet"]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_entry_is_found_and_only_it_is_removed(lab: Lab, damage: Callable[[Path], None]) -> None:
    keys = list(lab.store.keys())
    folder = lab.root / "store" / keys[1][:2] / keys[1]
    damage(folder)
    with pytest.raises(DamagedEntryError, match=DAMAGES[damage]):
        lab.store.check(keys[1])
    found = check(lab.store)
    assert [finding.state for finding in found] == [State.PROBLEM]
    assert found[0].text.startswith(f"1 damaged of {len(keys)} entries: {keys[1][:12]} (")
    assert folder.is_dir()  # looking removes nothing
    assert of("store", check(lab.store, repair=True))[0][0] == "ok"
    assert list(lab.store.keys()) == [key for key in keys if key != keys[1]]
    assert [finding.state for finding in check(lab.store)] == [State.OK]


def test_after_a_repair_the_next_run_gives_the_same(lab: Lab) -> None:
    before = (lab.folder / "results.parquet").read_bytes()
    keys = list(lab.store.keys())
    for number, key in enumerate(keys):
        (flip, truncate, half)[number % 3](lab.root / "store" / key[:2] / key)
    check(lab.store, repair=True)
    (lab.folder / "results.parquet").unlink()
    lab.run()
    assert (lab.folder / "results.parquet").read_bytes() == before
    assert [finding.state for finding in check(lab.store)] == [State.OK]


def test_strangers_are_named_and_left_alone(lab: Lab) -> None:
    root = lab.root / "store"
    (root / "notes").mkdir()
    (root / "ab").mkdir(exist_ok=True)
    (root / "ab" / "old.zip").write_text("mine")
    inside = next(root.glob("??/*/entry.json")).with_name("notes.txt")
    inside.write_text("mine")
    found = of("store", check(lab.store, repair=True))
    assert found[0][0] == "ok"
    assert found[1][0] == "warning"
    assert all(name in found[1][1] for name in ("notes", "old.zip", "notes.txt"))
    flip(inside.parent)  # removing the entry would remove them, too
    state, text = of("store", check(lab.store, repair=True))[0]
    assert (state, text.partition(":")[0]) == ("problem", "damaged, and not removed because they hold other files")
    assert inside.read_text() == (root / "ab" / "old.zip").read_text() == "mine"
    assert (root / "notes").is_dir()


def test_leftovers(lab: Lab) -> None:
    keys, root = list(lab.store.keys()), lab.root / "store"
    young, old = lab.store.scratch(), lab.store.scratch()
    (old / "volume.npy").write_bytes(b"x" * 1000)
    day = time.time() - 2 * 86_400
    for path in (old / "volume.npy", old):
        os.utime(path, (day, day))
    for key in (keys[0], "f" * 64):  # of a training that is finished, and of one that can go on
        lab.store.unfinished(key).parent.mkdir(exist_ok=True)
        lab.store.unfinished(key).write_bytes(b"weights")
    found = check(lab.store)
    assert [text for _, text in of("leftovers", found)] == [
        "2 unfinished writes, 1.0 kB, of processes that run or were killed: runs and --repair remove them after a day",
        "1 checkpoint of trainings that are finished: --repair removes them",
    ]
    assert of("trainings", found) == [("info", "1 training can go on: run their studies again")]
    assert of("leftovers", check(lab.store, repair=True))[0] == ("ok", "removed 2 that killed processes left")
    assert young.is_dir()
    assert not old.exists()
    assert [path.stem for path in (root / "unfinished").iterdir()] == ["f" * 64]
    shutil.rmtree(young)
    assert not of("leftovers", check(lab.store))
