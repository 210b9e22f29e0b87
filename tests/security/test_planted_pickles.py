"""Pickles planted where something is read that another program wrote: nothing of them runs, and one line says why.

Saved models, the registry and models of others have such tests of their own, in tests/study and tests/external.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from scanproof.data.manifest_file import read_rows
from scanproof.errors import ScanproofError
from scanproof.protocol.exchange.places import read_identity
from scanproof.protocol.exchange.schemas import read_tables
from scanproof.reconstruction.untrained.presets import read_preset_file
from scanproof.study.model_description import read_description
from scanproof.study.reading import read_yaml
from scanproof.study.store import DamagedEntryError, Payload, Store
from scanproof.training.checkpoint import Checkpoint, Progress
from scanproof.training.processes import Processes
from scanproof.tuning.storage import open_storage

KEY = "ab" + "0" * 62


class Harmful:
    """Leaves a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.fixture
def harmful(marker: Path) -> bytes:
    data = pickle.dumps(Harmful(marker))
    pickle.loads(data)  # noqa: S301 (our own: it does what it is here for)
    assert marker.exists()
    marker.unlink()
    return data


def object_array(data: bytes, marker: Path) -> bytes:
    """A NumPy file of objects, which are pickles in it."""
    file = io.BytesIO()
    np.save(file, np.array([Harmful(marker)], dtype=object), allow_pickle=True)
    return file.getvalue()


def extension_type(data: bytes, marker: Path) -> bytes:
    """A Parquet file whose column says that its type is a pickle, as pyarrow once believed."""
    kind = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": data}
    fields = pa.schema([pa.field("name", pa.string(), metadata=kind)])
    file = io.BytesIO()
    pq.write_table(pa.table({"name": ["a"]}, schema=fields), file)
    return file.getvalue()


def as_it_is(data: bytes, marker: Path) -> bytes:
    return data


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("kspace.npy", object_array),
        ("kspace.npy", as_it_is),
        ("arrays.safetensors", as_it_is),
        ("cases.parquet", as_it_is),
        ("facts.json", as_it_is),
    ],
)
def test_a_stored_result_whose_hashes_were_forged(
    tmp_path: Path, marker: Path, harmful: bytes, name: str, planted: Callable[[bytes, Path], bytes]
) -> None:
    store = Store(tmp_path / "store")
    np.save(tmp_path / "kspace.npy", np.zeros(3))
    large = {"kspace": tmp_path / "kspace.npy"}
    tables, arrays = {"cases": pd.DataFrame({"name": ["a"]})}, {"x": np.zeros(2)}
    store.put(KEY, Payload(arrays=arrays, tables=tables, facts={}, large=large), task={})
    folder = store.root / KEY[:2] / KEY
    (folder / name).write_bytes(planted(harmful, marker))
    entry = json.loads((folder / "entry.json").read_text())
    entry["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "entry.json").write_text(json.dumps(entry))
    with pytest.raises(DamagedEntryError, match="stored result must be intact; it was removed") as caught:
        store.get(KEY)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    assert KEY not in store


def test_an_unfinished_training_starts_anew(tmp_path: Path, marker: Path, harmful: bytes) -> None:
    path = tmp_path / "unfinished.pt"
    torch.save({"identity": {}, "states": {}, "progress": Harmful(marker), "random": {}}, path)
    with pytest.warns(RuntimeWarning, match="checkpoint cannot be read, training starts anew") as caught:
        assert Checkpoint(path, identity={}, states={}).resume(Progress(), Processes()) is None
    assert "\n" not in str(caught[0].message)
    assert not marker.exists()


@pytest.mark.parametrize("planted", [as_it_is, extension_type])
def test_tables_of_an_export(marker: Path, harmful: bytes, planted: Callable[[bytes, Path], bytes]) -> None:
    with pytest.raises(ScanproofError, match=r"^a.zip: results.parquet: table must") as caught:
        read_tables({"results.parquet": planted(harmful, marker)}, file=Path("a.zip"))
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_a_manifest(tmp_path: Path, marker: Path, harmful: bytes) -> None:
    (tmp_path / "cohort.parquet").write_bytes(harmful)
    with pytest.raises(ScanproofError, match=r"cohort\.parquet"):
        read_rows(tmp_path / "cohort.parquet")
    (tmp_path / "cohort.parquet").write_bytes(extension_type(harmful, marker))
    assert read_rows(tmp_path / "cohort.parquet").table["name"].tolist() == ["a"]
    assert not marker.exists()


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_journal_of_trials(tmp_path: Path, marker: Path, harmful: bytes, end: bytes) -> None:
    path = tmp_path / "trials.journal"
    path.write_bytes(harmful + b"\n" + harmful + end)
    refused = pytest.raises(ScanproofError, match="storage must be a journal of Optuna")
    with refused as caught, open_storage(None, default=path):
        pass
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("read", [read_yaml, read_preset_file, read_identity, read_description])
@pytest.mark.parametrize("tag", ["object/apply:pathlib.Path.touch", "object/new:pathlib.Path.touch", "name:os.system"])
def test_yaml_builds_nothing_but_plain_values(
    tmp_path: Path, marker: Path, read: Callable[[Path], object], tag: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "MLmodel"
    path.write_text(f"flavors: !!python/{tag} [!!python/object/apply:pathlib.Path ['{marker}']]\nname: a\n")
    with pytest.raises(ScanproofError, match=r"YAML|must be") as caught:
        read(folder if read is read_description else path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
