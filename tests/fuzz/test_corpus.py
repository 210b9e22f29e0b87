"""Inputs that once ended in a traceback, all of the memory or nowhere: each is refused by the rule that it breaks."""

from __future__ import annotations

import gzip
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fuzz.images import bomb, nifti, put
from kspace_files import write_fastmri
from scanproof.data.images import read_image
from scanproof.data.kspace import kspace_reader
from scanproof.data.manifest_file import read_rows
from scanproof.data.readers import reader_of, volume_reader_of
from scanproof.errors import ScanproofError
from scanproof.intake.discover import take_in
from scanproof.protocol.definition import protocol_hash
from scanproof.protocol.exchange.intake import stored_exports
from scanproof.protocol.exchange.places import read_identity
from scanproof.protocol.file import read_protocol
from scanproof.study.model_description import read_flavour
from scanproof.study.reading import read_yaml
from scanproof.study.store import DamagedEntryError, Payload, Store

NINES = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
MERGES = "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 40)}]}}\n" for a, b in zip("abcd", "bcde", strict=True))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: &a [x]\n" + NINES, "it may hold at most 100000 values"),
        ("a: &a {k: 1}\n" + MERGES, "it may hold at most 100000 values"),
        ("a: &a [*a]\n", "an alias must not stand in what it names"),
        ("<<: &a {<<: *a}\n", "an alias must not stand in what it names"),
        ("a: " + "[" * 150 + "]" * 150, "values may lie at most 100 deep"),
        ("[" * 5000, "values may lie at most 100 deep"),
        ("name: !!bool maybe\n", "'maybe'"),
        ("name: !!int ''\n", "string index out of range"),
        ("name: !!timestamp yesterday\n", "'NoneType' object has no attribute"),
        ("seed: 0x" + "f" * 9000, "whole numbers must fit into 64 bits"),
        ("# " + "x" * 2**20, "study file must have at most 1048576 bytes"),
    ],
)
def test_yaml(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(ScanproofError, match=f"study.yaml: .*{rule}"):
        read_yaml(path)


@pytest.mark.parametrize("read", [read_identity, lambda path: read_flavour(path.parent)], ids=["identity", "model"])
def test_every_yaml_is_read_so(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "MLmodel"
    path.write_text("name: !!bool maybe\n")
    with pytest.raises(ScanproofError, match="MLmodel: must be valid YAML: 'maybe'"):
        read(path)


@pytest.mark.parametrize("line", ["1: 2\nb: 3\n", "2024-01-01: 3\nb: 2\n", "b: 2024-01-01\n", "b: !!binary aGk=\n"])
def test_protocols_of_what_json_does_not_know(tmp_path: Path, line: str) -> None:
    path = tmp_path / "protocol.yaml"
    path.write_text(f"protocol: 1\n{line}")
    with pytest.raises(ScanproofError, match="protocol must hold plain values under keys of text"):
        read_protocol(path)
    assert protocol_hash({"protocol": 1})


def test_long_values_are_cut() -> None:
    assert len(str(ScanproofError("must be short", key="k" * 5000, value="v" * 10**6))) < 3000
    assert str(ScanproofError("must be small", value=10**5000)) == "must be small, got int too long to be shown"


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 3e38])
def test_nifti_voxels_that_begin_nowhere(tmp_path: Path, value: float) -> None:
    for name, write in (("a.nii", bytes), ("a.nii.gz", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(write(put(nifti(), 108, "f", value)))
        with pytest.raises(ScanproofError, match=f"{name}: file must"):
            volume_reader_of(path).read(path)


def test_nifti_that_unpacks_to_more_than_it_can_hold(tmp_path: Path) -> None:
    header = nifti((1, 1, 1))[:352]
    for axis in range(3):
        header = put(header, 42 + 2 * axis, "h", 700)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(header))
    with pytest.raises(ScanproofError, match=r"must not unpack to more than 200 times its size, .* 686000352 bytes"):
        volume_reader_of(path).header(path)


def test_nifti_with_an_extension_that_never_ends(tmp_path: Path) -> None:
    header = put(put(nifti(), 108, "f", 2.0**28), 348, "i", 1)[:352] + struct.pack("<ii", 2**28 - 368, 6)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(header) + bomb(b"", 2**23))
    with pytest.raises(ScanproofError, match=r"a\.nii\.gz: file must be a readable NIfTI volume"):
        volume_reader_of(path).header(path)


def test_nifti_that_goes_on_behind_its_voxels(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti()) + bomb(b"", 2**23))
    with pytest.raises(ScanproofError, match="file must end at most 4194304 bytes behind its voxels"):
        volume_reader_of(path).read(path)


def test_tiff_whose_second_directory_says_no_size(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "a.tif"
    Image.fromarray(np.ones((4, 4), np.uint8)).save(path)
    data = path.read_bytes()
    start = struct.unpack("<I", data[4:8])[0]
    last = start + 2 + 12 * struct.unpack("<H", data[start : start + 2])[0]
    path.write_bytes(put(data, last, "I", len(data)) + struct.pack("<HI", 0, 0))
    with pytest.raises(ScanproofError, match=r"a\.tif: file must be a readable image"):
        read_image(path)


def _fastmri(path: Path) -> Path:
    return write_fastmri(path, np.ones((2, 3, 8, 8), np.complex64))


def _linked(file: h5py.File) -> None:
    file["kspace"] = h5py.ExternalLink("secret.h5", "kspace")


def _soft(file: h5py.File) -> None:
    file["kspace"] = h5py.SoftLink("/elsewhere")


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(2, 3, 8, 8), dtype="c8")
    layout[:] = h5py.VirtualSource("secret.h5", "kspace", shape=(2, 3, 8, 8))
    file.create_virtual_dataset("kspace", layout)


def _external(file: h5py.File) -> None:
    file.create_dataset("kspace", shape=(2, 3, 8, 8), dtype="c8", external=[("secret.raw", 0, 3072)])


def _unwritten(file: h5py.File) -> None:
    file.create_dataset("kspace", shape=(10**6, 64, 512, 512), dtype="c8", chunks=(1, 1, 64, 64))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (_linked, "kspace: file must hold its data itself, got 'ExternalLink'"),
        (_soft, "kspace: file must hold its data itself, got 'SoftLink'"),
        (_virtual, "kspace: file must hold its data itself, got 'data in other files'"),
        (_external, "kspace: file must hold its data itself, got 'data in other files'"),
        (_unwritten, "kspace: file must hold the 134217728000000 bytes that it claims, got 0"),
    ],
)
def test_hdf5_holds_what_it_claims(tmp_path: Path, change: Callable[[h5py.File], None], rule: str) -> None:
    _fastmri(tmp_path / "secret.h5")
    path = _fastmri(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file["kspace"]
        change(file)
    with pytest.raises(ScanproofError, match=f"a.h5: {rule}"):
        kspace_reader(path).header(path)


@pytest.mark.parametrize("header", [h5py.Empty("S1"), np.ones(3), np.zeros(0, "S4")])
def test_hdf5_header_is_one_text(tmp_path: Path, header: object) -> None:
    path = _fastmri(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = header
    with pytest.raises(ScanproofError, match=r"a\.h5: header: XML header must be one text"):
        kspace_reader(path).header(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ScanproofError, match="format must be one of"):
        reader_of(tmp_path)


def test_names_of_files_are_text(tmp_path: Path) -> None:
    try:
        (tmp_path / "a\udcff.nii").write_bytes(nifti())
    except OSError:
        pytest.skip("this file system keeps names as text")
    with pytest.raises(ScanproofError, match=r"a\\udcff\.nii: names of files and folders must be UTF-8"):
        take_in(tmp_path, manifest=None)


def test_manifests_of_too_many_columns(tmp_path: Path) -> None:
    path = tmp_path / "cohort.csv"
    path.write_text("subject,site,path" + ",x" * 100_000)
    with pytest.raises(ScanproofError, match="manifest must have at most 4096 columns, got 100003"):
        read_rows(path)


@pytest.mark.parametrize(
    ("rows", "length", "rule"),
    [
        (10**7, 1, "table must have at most 5000000 rows, got 10000000"),
        (20_000, 100_000, "text of a table must unpack to at most 536870912 bytes"),
    ],
)
def test_parquet_that_unpacks_to_too_much(tmp_path: Path, rows: int, length: int, rule: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array(["x" * length]))
    path = tmp_path / "cohort.parquet"
    pq.write_table(pa.table({"subject": names, "site": names, "path": names}), path)
    assert path.stat().st_size < 2**20
    with pytest.raises(ScanproofError, match=rf"cohort\.parquet: {rule}"):
        read_rows(path)


@pytest.mark.parametrize("names", [[], ["../../secret"]])
def test_imports_list_what_an_export_may_hold(tmp_path: Path, names: list[str]) -> None:
    from fuzz.exchange import packed

    manifest, _ = packed({}, b"", files={name: {"sha256": "ab" * 32, "size": 0} for name in names})
    place = tmp_path / "north"
    place.mkdir()
    (place / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ScanproofError, match=r"import must be readable: its manifest must list README\.txt"):
        stored_exports(tmp_path)


@pytest.mark.parametrize("entry", [b'{"sha256": {}}', b"[" * 10_000, b"[]", b'{"sha256": {"facts.json": 1}}'])
def test_store_entries_may_be_anything(tmp_path: Path, entry: bytes) -> None:
    store = Store(tmp_path)
    store.put("ab" * 32, Payload(facts={"n": 1}), task={})
    (tmp_path / "ab" / ("ab" * 32) / "entry.json").write_bytes(entry)
    with pytest.raises(DamagedEntryError, match="stored result must be intact; it was removed"):
        store.get("ab" * 32)
    assert "ab" * 32 not in store
