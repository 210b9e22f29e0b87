"""A store on an S3 server of this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from s3 import s3_server
from scanproof.errors import ScanproofError
from scanproof.study.executor import execute
from scanproof.study.plan import Task
from scanproof.study.remote_store import RemoteStore, open_store
from scanproof.study.store import DamagedEntryError, Payload, Store

KEY = "ab" + "0" * 62


@dataclass
class Bucket:
    """A bucket whose server can be stopped; what it holds stays."""

    url: str
    files: Any
    server: Any

    def names(self, folder: str) -> list[str]:
        return [name.rpartition("/")[2] for name in self.files.find(f"{self.url.removeprefix('s3://')}/{folder}")]

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        _, port = self.server.get_host_and_port()
        self.server = type(self.server)(ip_address="127.0.0.1", port=port, verbose=False)
        self.server.start()


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(server: Any, request: pytest.FixtureRequest) -> Bucket:
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    name = re.sub("[^a-z]+", "-", request.node.name)[:60].strip("-")
    if not files.exists(name):
        files.mkdir(name)
    return Bucket(f"s3://{name}/store", files, server)


def payload() -> Payload:
    return Payload(
        arrays={"x": np.arange(12, dtype=np.float32).reshape(3, 4)},
        tables={"cases": pd.DataFrame({"name": ["ä", "b"]})},
        facts={"site": "x"},
    )


def open_at(bucket: Bucket, folder: Path) -> RemoteStore:
    store = open_store(bucket.url, root=folder)
    assert isinstance(store, RemoteStore)
    return store


def test_another_computer_reads_what_one_stored(bucket: Bucket, tmp_path: Path) -> None:
    one, other = open_at(bucket, tmp_path / "one"), open_at(bucket, tmp_path / "other")
    scratch = one.scratch()
    np.save(scratch / "kspace.npy", np.arange(1000))
    one.put(KEY, Payload(**{**vars(payload()), "large": {"kspace": scratch / "kspace.npy"}}), task={"kind": "test"})
    assert KEY in other
    assert other.present([KEY]) == {KEY}
    found = other.get(KEY)
    np.testing.assert_array_equal(found.arrays["x"], payload().arrays["x"])
    assert isinstance(found.arrays["kspace"], np.memmap)
    assert int(found.arrays["kspace"].sum()) == 499_500
    assert found.tables["cases"]["name"].tolist() == ["ä", "b"]
    copies = [Store(tmp_path / name / "store").folder(KEY) for name in ("one", "other")]
    names = sorted(path.name for path in copies[0].iterdir())
    assert names == ["arrays.safetensors", "cases.parquet", "entry.json", "facts.json", "kspace.npy"]
    assert all((copies[0] / name).read_bytes() == (copies[1] / name).read_bytes() for name in names)
    assert "cd" + KEY[2:] not in other
    with pytest.raises(DamagedEntryError):
        other.get("cd" + KEY[2:])


def test_what_was_finished_here_is_sent_rather_than_computed_again(bucket: Bucket, tmp_path: Path) -> None:
    here = Store(tmp_path / "one" / "store")
    keys = [f"{number:064x}" for number in range(20)]
    for key in keys:
        here.put(key, Payload(facts={"key": key}), task={})
    (here.folder(keys[3]) / "facts.json").write_text("{}")
    store = open_at(bucket, tmp_path / "one")
    store.publish([*keys, KEY])
    assert sorted(bucket.names("entries")) == [f"{key}.json" for key in keys if key != keys[3]]
    other = open_at(bucket, tmp_path / "other")
    assert [other.get(key).facts["key"] for key in keys if key in other.present(keys)] == keys[:3] + keys[4:]


def test_damage_is_found_and_healed(bucket: Bucket, tmp_path: Path) -> None:
    store = open_at(bucket, tmp_path / "one")
    store.put(KEY, payload(), task={})
    copy = store.folder(KEY) / "arrays.safetensors"
    copy.write_bytes(copy.read_bytes()[:-1])
    np.testing.assert_array_equal(store.get(KEY).arrays["x"], payload().arrays["x"])  # fetched again
    digest = json.loads((store.folder(KEY) / "entry.json").read_text())["sha256"]["cases.parquet"]
    bucket.files.pipe_file(f"{bucket.url.removeprefix('s3://')}/files/{digest}", b"other")
    other = open_at(bucket, tmp_path / "other")
    with pytest.raises(DamagedEntryError, match="stored result must be intact; it was removed"):
        other.get(KEY)
    assert KEY not in other
    other.put(KEY, payload(), task={})
    assert open_at(bucket, tmp_path / "third").get(KEY).facts == {"site": "x"}


@pytest.mark.parametrize("name", ["../outside", "/outside", ".hidden", ""])
def test_an_entry_cannot_name_a_file_elsewhere(bucket: Bucket, tmp_path: Path, name: str) -> None:
    entry = json.dumps({"sha256": {name: "0" * 64}}).encode()
    bucket.files.pipe_file(f"{bucket.url.removeprefix('s3://')}/entries/{KEY}.json", entry)
    with pytest.raises(DamagedEntryError):
        open_at(bucket, tmp_path / "one").get(KEY)
    assert not list(tmp_path.rglob("*outside*"))


def test_a_server_that_goes_away_leaves_nothing_half_written(bucket: Bucket, tmp_path: Path) -> None:
    store = open_at(bucket, tmp_path / "one")
    store.put("cd" + KEY[2:], payload(), task={})
    bucket.stop()
    try:
        with pytest.raises(
            ScanproofError, match=r"--store: store must be there and answer, got 's3://.*Error.*are kept"
        ):
            store.put(KEY, Payload(facts={"later": True}), task={})
        with pytest.raises(ScanproofError, match="store must be there and answer"):
            execute([Task("cohort", {"threads": 1})], store, workers=1)
        assert KEY in Store(store.root), "what was computed is kept here"
    finally:
        bucket.start()
    assert KEY not in store
    store.publish([KEY])
    assert open_at(bucket, tmp_path / "other").get(KEY).facts == {"later": True}


def test_a_bucket_that_is_missing_is_named(bucket: Bucket, tmp_path: Path) -> None:
    store = RemoteStore("s3://no-such-bucket/store", tmp_path)
    with pytest.raises(ScanproofError, match="store must be there and answer, got 's3://no-such-bucket/store'"):
        store.put(KEY, payload(), task={})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://user:secret@bucket/a", r"no password and no options, got 's3://user:\*\*\*@bucket/a'"),
        ("s3://bucket/a?secret=1", "no password and no options, got 's3://bucket/a' "),
        ("what://bucket/a", "store must be a folder or a URL, got 'what://bucket/a'"),
        ("gs://bucket/a", "driver of gs:// must be installed.*pip install 'gcsfs'"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(ScanproofError, match=said) as caught:
        open_store(url, root=tmp_path)
    assert "secret" not in str(caught.value)


def test_folders_stay_folders(tmp_path: Path) -> None:
    assert type(open_store(str(tmp_path), root=tmp_path)) is Store
    assert open_store(f"file://{tmp_path}/s", root=tmp_path).root == tmp_path / "s"
    assert open_store(None, root=tmp_path).root == tmp_path / "store"


def test_copies_of_a_machine_without_workspace_are_its_users_alone(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = RemoteStore("memory://somewhere")
    assert store.root.is_relative_to(tmp_path)
    assert store.place.elsewhere() == store.place
    store.root.parent.chmod(0o755)
    with pytest.raises(ScanproofError, match="folder of copies must be this user's alone"):
        RemoteStore("memory://somewhere")
