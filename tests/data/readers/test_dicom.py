"""DICOM volumes against the same array written as NIfTI, against SimpleITK (GDCM) and against MONAI's reader."""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings, strategies as st
from monai.data import PydicomReader
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from scipy.spatial.transform import Rotation

from dicom_series import AXIAL, ras_affine, set_pixels, write_enhanced, write_series
from scanproof.data.readers import reader_of, volume_reader_of
from scanproof.data.readers.base import Volume
from scanproof.data.readers.dicom import DicomReader

ROWS, COLUMNS, SLICES = 7, 9, 5
CORONAL, SAGITTAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def voxels(dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(3).integers(1, 120, (ROWS, COLUMNS, SLICES)).astype(dtype)


def same(found: Volume, array: np.ndarray, affine: np.ndarray) -> None:
    """A volume is what nibabel makes of the array and affine."""
    expected = nib.as_closest_canonical(nib.Nifti1Image(array.astype(np.float32), affine))
    np.testing.assert_allclose(found.voxels, np.asarray(expected.dataobj), rtol=1e-6)
    np.testing.assert_allclose(found.spacing, nib.affines.voxel_sizes(expected.affine), rtol=1e-5)
    assert found.voxels.dtype == np.float32


def read(path: Path) -> Volume:
    return volume_reader_of(path).read(path)


@st.composite
def directions(draw: st.DrawFn) -> tuple[float, ...]:
    """Any of the planes, tilted by less than what would make it another."""
    base = np.reshape(draw(st.sampled_from([AXIAL, CORONAL, SAGITTAL])), (2, 3))
    signs = np.array(draw(st.tuples(st.sampled_from([1, -1]), st.sampled_from([1, -1]))))[:, None]
    angles = draw(st.tuples(*[st.floats(-20, 20)] * 3))
    return tuple(Rotation.from_euler("xyz", angles, degrees=True).apply(base * signs).ravel())


@settings(max_examples=20, deadline=None)
@given(
    orientation=directions(),
    spacing=st.tuples(st.floats(0.2, 4), st.floats(0.2, 4)),
    distance=st.floats(0.3, 12),
    order=st.permutations(range(SLICES)),
)
def test_any_direction_gives_what_nifti_and_itk_give(
    orientation: tuple[float, ...], spacing: tuple[float, float], distance: float, order: list[int]
) -> None:
    array = voxels()
    geometry = {"orientation": orientation, "spacing": spacing, "distance": distance}
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_series(folder, array, names=[f"{k:03d}" for k in order], **geometry)
        found = read(folder)
        same(found, array, ras_affine(**geometry))
        (folder / "nifti").mkdir()
        nib.save(nib.Nifti1Image(array, ras_affine(**geometry)), folder / "nifti" / "a.nii")
        nifti = read(folder / "nifti" / "a.nii")
        itk = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(name))
        assert [path.name for path in DicomReader().contents(folder)] == [path.name for path in paths]
    np.testing.assert_array_equal(found.voxels, nifti.voxels)
    np.testing.assert_allclose(found.spacing, nifti.spacing, rtol=1e-5)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(itk.GetDirection(), (3, 3)) * itk.GetSpacing()
    same(found, SimpleITK.GetArrayFromImage(itk).T, np.diag([-1, -1, 1, 1]) @ affine)


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL])
def test_a_plain_series_is_what_monai_reads(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    write_series(tmp_path, voxels(), orientation=orientation)
    reader = PydicomReader(swap_ij=False)
    array, meta = reader.get_data(reader.read(tmp_path))
    same(read(tmp_path), array, np.asarray(meta["affine"]))


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL])
def test_enhanced_frames_lie_where_they_say(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    slopes = [1.0, 2.0, 0.5, 4.0, 1.5]
    path = write_enhanced(tmp_path / "a.dcm", voxels(), orientation=orientation, order=[3, 0, 4, 1, 2], slopes=slopes)
    same(read(path), voxels() * np.array(slopes) - 1, ras_affine(orientation))
    same(read(tmp_path), voxels() * np.array(slopes) - 1, ras_affine(orientation))
    header = DicomReader().header(path)
    assert (header.shape, header.spacing) == ((ROWS, COLUMNS, SLICES), pytest.approx((1.5, 1.25, 3.0)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
def test_all_kinds_of_stored_values(tmp_path: Path, dtype: type) -> None:
    array = voxels(dtype)
    if np.dtype(dtype).kind == "i":
        array[0, 0, 0] = -5
    write_series(tmp_path, array)
    same(read(tmp_path), array, ras_affine())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_transfer_syntaxes(tmp_path: Path, syntax) -> None:
    write_series(tmp_path, voxels(), syntax=syntax)
    same(read(tmp_path), voxels(), ras_affine())


def test_compressed_pixels_of_installed_codecs(tmp_path: Path) -> None:
    for path in write_series(tmp_path, voxels()):
        dataset = dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    same(read(tmp_path), voxels(), ras_affine())
    assert dcmread(tmp_path / "IM0000.dcm").file_meta.TransferSyntaxUID != JPEG2000Lossless


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_preamble(tmp_path: Path, implicit: bool) -> None:
    for path in write_series(tmp_path, voxels(), names=[str(k) for k in range(SLICES)]):
        plain = Dataset()
        plain.update(dcmread(path))
        plain.save_as(path, implicit_vr=implicit, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
    same(read(tmp_path), voxels(), ras_affine())


def test_values_are_rescaled_file_by_file_and_padding_is_empty(tmp_path: Path) -> None:
    def change(dataset: Dataset, k: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = str(k + 1), "10"
        dataset.PixelPaddingValue = 7

    array = voxels()
    assert (array == 7).any()
    write_series(tmp_path, array, change=change)
    same(read(tmp_path), np.where(array == 7, 0, array * np.arange(1.0, SLICES + 1) + 10), ras_affine())


def test_bits_beyond_those_stored_do_not_count(tmp_path: Path) -> None:
    """12 bits a pixel and an overlay in the other 4, as old scanners wrote."""

    def change(dataset: Dataset, k: int) -> None:
        set_pixels(dataset, voxels()[:, :, k] | 0x8000)
        dataset.BitsStored, dataset.HighBit = 12, 11

    write_series(tmp_path, voxels(), change=change)
    same(read(tmp_path), voxels(), ras_affine())


def test_what_lies_beside_the_images(tmp_path: Path) -> None:
    """Texts, reports, a directory file and the like are left out."""
    write_series(tmp_path, voxels())
    (tmp_path / "README.txt").write_text("Jane Doe, scanned yesterday")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / ".DS_Store").write_bytes(b"")
    (tmp_path / "below").mkdir()
    report = dcmread(tmp_path / "IM0000.dcm")
    for name, kind in (("SR.dcm", "1.2.840.10008.5.1.4.1.1.88.11"), ("PR", "1.2.840.10008.5.1.4.1.1.11.1")):
        report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = kind
        report.save_as(tmp_path / name)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    report.save_as(tmp_path / "DICOMDIR")
    same(read(tmp_path), voxels(), ras_affine())
    assert len(DicomReader().contents(tmp_path)) == SLICES


def test_one_of_several_series(tmp_path: Path) -> None:
    write_series(tmp_path, voxels(), series=3)
    write_series(tmp_path, 2 * voxels(), series=12, names=[f"B{k}" for k in range(SLICES)])
    for number, factor in ((3, 1), (12, 2)):
        path = Path(f"{tmp_path}#{number}")
        same(read(path), factor * voxels(), ras_affine())
        assert len(DicomReader().contents(path)) == SLICES
    named = tmp_path / "a#3"
    write_series(named, voxels(), series=4)
    same(read(named), voxels(), ras_affine())


def test_one_slice_takes_its_thickness(tmp_path: Path) -> None:
    paths = write_series(tmp_path, voxels())
    same(read(paths[2]), voxels()[:, :, 2:3], ras_affine(distance=2.0))


def test_names_of_files_change_nothing_of_their_order(tmp_path: Path) -> None:
    first = write_series(tmp_path / "a", voxels())
    write_series(tmp_path / "b", voxels(), names=[f"Größe {9 - k}" for k in range(SLICES)])
    found = [[path.read_bytes() for path in DicomReader().contents(tmp_path / name)] for name in "ab"]
    assert found[0] == found[1] == [path.read_bytes() for path in first]


def test_facts_are_of_the_acquisition_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def change(dataset: Dataset, k: int) -> None:
        dataset.SeriesDescription = dataset.ProtocolName = dataset.StationName = dataset.Manufacturer = "SECRET"
        dataset.ScanningSequence = ["GR", "SECRET"]
        dataset.MagneticFieldStrength = "1234567"

    for path in write_series(tmp_path, voxels(), change=change):
        path.write_bytes(path.read_bytes().replace(b"1234567", b"SECRET "))  # not a number, which pydicom says aloud
    header = DicomReader().header(tmp_path)
    assert header.facts == {"modality": "MR", "sequence": "GR", "echo time": "12.5 ms"}
    assert "SECRET" not in caplog.text
    write_series(tmp_path, voxels())
    assert DicomReader().header(tmp_path).facts["field strength"] == "3 T"


def test_real_series(shared_data: Path) -> None:
    folder = shared_data / "dicom"
    found = read(folder / "siemens_mosaic" / "epi_pe_ap-00001.dcm")
    assert found.voxels.shape == (72, 72, 5)
    assert found.spacing == pytest.approx((3, 3, 12))
    assert read(folder / "ge_epi" / "axial_epi_fmri_interleaved_i_to_s-00001.dcm").voxels.shape == (64, 64, 1)


def test_a_volume_of_a_real_time_series_is_what_itk_reads(shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "dicom" / "ge_epi").glob("*.dcm"))[:15]
    assert struct.unpack("<H", files[0].read_bytes()[132:134]) == (2,)
    for file in files:
        (tmp_path / file.name).symlink_to(file)
    itk = SimpleITK.ReadImage([str(file) for file in files])
    affine = np.diag([-1, -1, 1, 1]) @ np.diag([*itk.GetSpacing(), 1])
    same(reader_of(tmp_path).read(tmp_path), SimpleITK.GetArrayFromImage(itk).T, affine)
