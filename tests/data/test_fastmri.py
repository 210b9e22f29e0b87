from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from monai.apps.reconstruction.fastmri_reader import FastMRIReader

from kspace_files import write_fastmri, xml_header
from scanproof.data.readers import READERS
from scanproof.data.readers.base import KspaceReader
from scanproof.data.readers.fastmri import FastMri
from scanproof.errors import ScanproofError


@pytest.fixture
def kspace() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(3, 2, 12, 10)) + 1j * rng.normal(size=(3, 2, 12, 10))).astype(np.complex64)


def test_chosen_slices_are_read_and_no_others(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "a.h5", kspace)
    reader = READERS.create("fastmri")
    assert isinstance(reader, KspaceReader)
    assert reader.recognises(path)
    assert reader.contents(path) == [path]
    measured = FastMri().read(path, [2, 0])
    np.testing.assert_array_equal(measured.kspace, kspace[[2, 0]])
    assert measured.kspace.dtype == np.complex64
    assert measured.mask.all()
    assert measured.spacing == (2.0, 2.0)


def test_the_same_as_monai(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "a.h5", kspace)
    monai = FastMRIReader()
    data, _ = monai.get_data(monai.read(path))
    np.testing.assert_array_equal(FastMri().read(path, range(3)).kspace, data)


def test_header_tells_shape_pixel_and_facts(kspace: np.ndarray, tmp_path: Path) -> None:
    header = xml_header((12, 10), pixel=(0.5, 0.75), private="Jane Doe")
    attributes = {"acquisition": "AXT2", "patient_id": "Jane Doe", "norm": 1.0}
    path = write_fastmri(tmp_path / "a.h5", kspace, header=header, attributes=attributes)
    found = FastMri().header(path)
    assert found.shape == (3, 2, 12, 10)
    assert found.spacing == pytest.approx((0.5, 0.75))
    facts = {"field strength (T)": "2.8936", "repetition time (ms)": "500", "echo time (ms)": "12.5"}
    assert found.facts == {**facts, "acquisition": "AXT2"}


def test_free_text_stays_behind(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "a.h5", kspace, attributes={"acquisition": "AXT2 of Jane Doe"})
    assert "acquisition" not in FastMri().header(path).facts


def test_a_single_coil_has_an_axis(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "a.h5", kspace[:, 0])
    assert FastMri().header(path).shape == (3, 1, 12, 10)
    np.testing.assert_array_equal(FastMri().read(path, [1]).kspace, kspace[1:2, :1])


def test_masks_are_the_files_or_what_is_not_zero(kspace: np.ndarray, tmp_path: Path) -> None:
    mask = np.array([0, 1] * 5, bool)
    path = write_fastmri(tmp_path / "a.h5", kspace * mask, mask=mask)
    np.testing.assert_array_equal(FastMri().read(path, [0]).mask, mask)
    path = write_fastmri(tmp_path / "b.h5", kspace * mask)
    np.testing.assert_array_equal(FastMri().read(path, [0]).mask, mask)


def test_bytes_may_stand_in_the_other_order(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "a.h5", kspace.astype(">c8"))
    np.testing.assert_array_equal(FastMri().read(path, range(3)).kspace, kspace)


def test_a_file_without_a_header_has_no_pixel_size(kspace: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
    assert FastMri().header(path).spacing is None


def test_a_size_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", shape=(1, 64, 60000, 60000), dtype=np.complex64, chunks=(1, 1, 64, 64))
    assert path.stat().st_size < 2**16
    with pytest.raises(ScanproofError, match=r"large.h5: k-space: a slice must have .* got \(64, 60000, 60000\)"):
        FastMri().read(path, [0])


def broken(path: Path, kspace: np.ndarray, case: str) -> None:
    write_fastmri(path, kspace)
    content = path.read_bytes()
    if case == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif case == "empty":
        path.write_bytes(b"")
    elif case == "text":
        path.write_text("not HDF5")
    with h5py.File(path, "r+") if case not in ("truncated", "empty", "text") else path.open("rb") as file:
        if case == "nan":
            file["kspace"][1, 0, 0, 0] = np.nan
        elif case == "zero":
            file["kspace"][1] = 0
        elif case in ("real", "flat", "none"):
            del file["kspace"]
            if case != "none":
                file["kspace"] = kspace.real if case == "real" else kspace[0, 0]
        elif case == "mask":
            file["mask"] = np.ones(7)
        elif case in ("xml", "entity", "matrix"):
            text = {"xml": "<a>", "entity": "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"}
            del file["ismrmrd_header"]
            file["ismrmrd_header"] = text.get(case, xml_header((12, 10)).replace("<x>12</x>", "<x>twelve</x>"))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("truncated", "file must be readable HDF5: "),
        ("empty", "file must be readable HDF5: "),
        ("text", "file must be readable HDF5: "),
        ("nan", "k-space: samples must be finite, got '1 NaN or infinite'"),
        ("zero", "k-space: every slice must have samples that are not zero"),
        ("real", "kspace: k-space must be complex, got 'float32'"),
        ("flat", r"kspace: k-space must be \(slice, coil, H, W\), .* got \(12, 10\)"),
        ("none", "file must hold the dataset kspace"),
        ("mask", "mask: mask must have 10 columns"),
        ("xml", "header: XML header must be well-formed"),
        ("entity", "header: XML header must not define entities"),
        ("matrix", "encodedSpace.matrixSize.x: must be a number, at least 1e-06, got 'twelve'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(kspace: np.ndarray, tmp_path: Path, case: str, message: str) -> None:
    path = tmp_path / "ä.h5"
    broken(path, kspace, case)
    with pytest.raises(ScanproofError, match=message) as error:
        FastMri().read(path, range(3))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_slice_that_is_not_there(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "a.h5", kspace)
    with pytest.raises(ScanproofError, match=r"slice must be in \[0, 2\], got 3"):
        FastMri().read(path, [3])
    with pytest.raises(ScanproofError, match="file must exist"):
        FastMri().read(tmp_path / "b.h5", [0])
