from __future__ import annotations

import json
import multiprocessing
import os
import stat
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scanproof.errors import ScanproofError
from scanproof.study.store import DamagedEntryError, Payload, Store, write_atomically

KEY = "ab" + "0" * 62


def payload() -> Payload:
    return Payload(
        arrays={"x": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array([True, False])},
        tables={"cases": pd.DataFrame({"name": ["ä", None], "n": pd.array([1, None], dtype="Int64")})},
        facts={"site": "x", "numbers": [1, 2]},
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.put(KEY, payload(), task={"kind": "test"})
    return store


def test_gives_back_what_was_stored(store: Store) -> None:
    found = store.get(KEY)
    np.testing.assert_array_equal(found.arrays["x"], payload().arrays["x"])
    assert found.arrays["b"].dtype == bool
    pd.testing.assert_frame_equal(found.tables["cases"], payload().tables["cases"], check_dtype=False)
    assert found.facts == {"site": "x", "numbers": [1, 2]}
    assert KEY in store
    assert "cd" + KEY[2:] not in store


def test_many_are_asked_for_at_once(store: Store) -> None:
    alike = [f"ab{number:062x}" for number in range(1, 9)]
    for key in alike[::2]:
        store.put(key, Payload(), task={})
    others = ["ab" + "f" * 62, "cd" + KEY[2:], *(f"ef{number:062x}" for number in range(9))]
    assert store.present([*alike, *others, KEY]) == {*alike[::2], KEY}
    assert store.present([*others[:2], KEY]) == {KEY}
    assert Store(store.root / "none").present([*alike, KEY]) == set()


def test_nothing_partial_is_left(store: Store) -> None:
    assert list((store.root / "partial").iterdir()) == []


def test_storing_again_keeps_the_first(store: Store) -> None:
    before = (store.root / "ab" / KEY / "entry.json").stat().st_mtime_ns
    store.put(KEY, Payload(facts={"other": 1}), task={})
    assert store.get(KEY).facts["site"] == "x"
    assert (store.root / "ab" / KEY / "entry.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["arrays.safetensors", "cases.parquet", "facts.json", "entry.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "empty"])
def test_damage_is_found_and_the_entry_removed(store: Store, name: str, damage: str) -> None:
    file = store.root / "ab" / KEY / name
    data = bytearray(file.read_bytes())
    if damage == "remove":
        file.unlink()
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes({"flip": data, "cut": data[: len(data) // 2], "empty": b""}[damage])
    if (name, damage) == ("entry.json", "flip"):  # a flipped letter in the description of the task changes nothing
        file.write_text(json.dumps({"sha256": {"facts.json": "0" * 64}}))
    with pytest.raises(DamagedEntryError, match="stored result must be intact; it was removed"):
        store.get(KEY)
    assert KEY not in store


def test_unwritable_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ScanproofError, match=r"file: store must be writable: (Not a directory|File exists)"):
        Store(tmp_path / "file").put(KEY, payload(), task={})


def _put(root: Path, number: int) -> None:
    for i in range(20):
        Store(root).put(f"{i:064x}", Payload(arrays={"x": np.full(2000, i)}), task={"by": number})


def test_processes_may_store_the_same_entries_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_put, args=(tmp_path / "s", n)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for i in range(20):
        assert (Store(tmp_path / "s").get(f"{i:064x}").arrays["x"] == i).all()


def test_sweeps_what_was_left_long_ago_and_nothing_that_is_written_to(store: Store) -> None:
    left, written = store.scratch(), store.scratch()
    (left / "kspace.npy").write_bytes(b"x")
    (written / "kspace.npy").write_bytes(b"x")
    old = time.time() - 2 * 86_400
    for path in (left / "kspace.npy", left, written):
        os.utime(path, (old, old))
    store.sweep()
    assert not left.exists()
    assert (written / "kspace.npy").is_file()
    store.clear_scratch()
    assert not written.exists()


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    write_atomically(target, b"first")
    write_atomically(target, b"second")
    assert target.read_bytes() == b"second"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]
    with pytest.raises(ScanproofError, match="output must be writable"):
        write_atomically(target / "below a file", b"x")


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644)])
def test_files_have_the_permissions_that_the_user_asks_for(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "a.html", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == mode
