"""NIfTI files of every kind: sizes, byte orders, pairs, and headers that claim what is not there."""

from __future__ import annotations

import resource
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanproof.data.readers import READERS, reader_of, volume_reader_of
from scanproof.data.readers.nifti import NiftiReader
from scanproof.errors import ScanproofError

ARRAY = np.random.default_rng(5).integers(1, 99, (5, 6, 4)).astype(np.int16)
AFFINE = np.array([[0, -2.0, 0, 9], [1.5, 0, 0, 8], [0, 0, 3.0, 7], [0, 0, 0, 1]])
TURNED = ARRAY.transpose(1, 0, 2)[::-1]


def header(kind: type = nib.Nifti1Header, *, shape: tuple[int, ...], dtype: type = np.int16) -> bytes:
    found = kind()
    found.set_data_shape(shape)
    found.set_data_dtype(dtype)
    found["magic"] = b"n+1" if kind is nib.Nifti1Header else b"n+2\0\r\n\x1a\n"
    found["vox_offset"] = 352 if kind is nib.Nifti1Header else 544
    return found.binaryblock + b"\0" * 4


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "Größe ü.NII.GZ", "pair.hdr", "pair.img", "two.nii", "big.nii"])
def test_volumes_are_turned_whatever_the_file(tmp_path: Path, name: str) -> None:
    kind = nib.Nifti1Pair if name.startswith("pair") else nib.Nifti2Image if "two" in name else nib.Nifti1Image
    image = kind(ARRAY, AFFINE)
    if name == "big.nii":
        image = kind(ARRAY.astype(">i2"), AFFINE, header=nib.Nifti1Header(endianness=">"))
    nib.save(image, tmp_path / name)
    path = tmp_path / name
    found = volume_reader_of(path).read(path)
    np.testing.assert_array_equal(found.voxels, TURNED)
    assert found.spacing == pytest.approx((2.0, 1.5, 3.0))
    told = reader_of(path).header(path)
    assert (told.shape, told.spacing, told.facts) == ((5, 6, 4), pytest.approx((1.5, 2.0, 3.0)), {})
    names = {"pair.hdr", "pair.img"} if name.startswith("pair") else {name}
    assert {file.name for file in reader_of(path).contents(path)} == names


def test_a_file_without_orientation_says_so(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ARRAY, None)
    nib.save(image, tmp_path / "a.nii")
    assert "left and right may be swapped" in NiftiReader().header(tmp_path / "a.nii").facts["orientation"]
    assert NiftiReader().read(tmp_path / "a.nii").voxels.shape == ARRAY.shape


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(nib.Nifti2Header, shape=(10000, 10000, 10000)), "volume must have between 1 and 2147483648 voxels"),
        (header(shape=(1000, 1000, 1000)), r"its header asks for 2000000352 bytes, got 352"),
        (header(shape=(4, 4, 4), dtype=np.complex64) + b"\1" * 512, "voxels must be real numbers"),
        (header(shape=(4, 4, 4, 3)) + b"\1" * 384, r"file must hold one 2D or 3D volume, got \(4, 4, 4, 3\)"),
        (header(shape=(64,)) + b"\1" * 128, r"file must hold one 2D or 3D volume, got \(64,\)"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "file must be a readable NIfTI volume"),
    ],
)  # fmt: skip
def test_claims_are_checked_before_anything_is_allocated(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.nii").write_bytes(content)
    for use in (NiftiReader().read, NiftiReader().header):
        with pytest.raises(ScanproofError, match=message):
            use(tmp_path / "a.nii")


def test_a_sparse_file_beyond_the_limit_costs_no_memory(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (tmp_path / "a.nii").open("wb") as file:
        file.write(header(nib.Nifti2Header, shape=(2048, 2048, 1024), dtype=np.uint8))
        file.truncate(2**32 + 544)
    with pytest.raises(ScanproofError, match="volume must have between 1 and"):
        NiftiReader().read(tmp_path / "a.nii")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB: half a GiB


def test_damaged_archives(tmp_path: Path) -> None:
    nib.save(
        nib.Nifti1Image(np.random.default_rng(1).integers(0, 9999, (20, 20, 20)), AFFINE, dtype=np.int32),
        tmp_path / "a.nii.gz",
    )
    whole = (tmp_path / "a.nii.gz").read_bytes()
    half = len(whole) // 2
    for bad in (whole[:half], whole[:half] + bytes(half), whole[:half] + b"\xaa" + whole[half + 1 :], whole[:-6]):
        (tmp_path / "a.nii.gz").write_bytes(bad)
        with pytest.raises(ScanproofError, match=r"a\.nii\.gz: file must be a readable NIfTI volume"):
            NiftiReader().read(tmp_path / "a.nii.gz")


def test_axes_in_one_plane(tmp_path: Path) -> None:
    flat = AFFINE.copy()
    flat[:3, 2] = flat[:3, 1]
    image = nib.Nifti1Image(ARRAY, np.eye(4))
    image.set_sform(flat, code=1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(ScanproofError, match="axes of the volume must not lie in one plane"):
        NiftiReader().read(tmp_path / "a.nii")


def test_analyze_files_have_no_orientation(tmp_path: Path) -> None:
    nib.save(nib.AnalyzeImage(ARRAY, None), tmp_path / "a.img")
    with pytest.raises(ScanproofError, match="file must be a readable NIfTI volume, got 'Spm2AnalyzeImage'"):
        NiftiReader().read(tmp_path / "a.img")


def test_every_reader_answers_for_what_is_not_there(tmp_path: Path) -> None:
    for name in READERS:
        reader = READERS.create(name)
        assert not reader.recognises(tmp_path / "none")
        assert not reader.recognises(tmp_path)
        with pytest.raises(ScanproofError):
            reader.header(tmp_path / "none.nii")
