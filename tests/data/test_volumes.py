from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from scanproof.data.manifest import LabelledFile
from scanproof.data.volumes import read_slices, volume_cohort
from scanproof.errors import ScanproofError

GEOMETRY = {"slices": 4, "extent": (0.2, 0.8), "matrix": (48, 40), "spacing": (2.0, 2.0)}


def phantom() -> np.ndarray:
    """A volume (X, Y, Z) in right-anterior-superior order with one bright block to the right, front and top."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (40, 48, 20)), indexing="ij")
    volume = 100.0 * (x**2 + y**2 < 0.8)
    volume[(abs(x - 0.4) < 0.2) & (y > 0.2) & (y < 0.5) & (z > 0)] = 300.0
    return volume.astype(np.float32)


def save(path: Path, volume: np.ndarray, *, zooms: tuple[float, float, float] = (2.0, 2.0, 5.0)) -> Path:
    nib.save(nib.Nifti1Image(volume, np.diag([*zooms, 1.0])), path)
    return path


def test_slices_show_the_head_from_anterior_to_posterior(tmp_path: Path) -> None:
    planes = read_slices(save(tmp_path / "a.nii.gz", phantom()), **GEOMETRY)[0]
    assert planes.shape == (4, 48, 40)
    assert planes.dtype == np.float32
    # bright block only in the upper half of the slices, in front (small row) and on the right (large column)
    assert planes[0].max() < 0.5 * planes[3].max()
    row, column = np.unravel_index(planes[3].argmax(), planes[3].shape)
    assert row < 24
    assert column > 20


@pytest.mark.parametrize("codes", ["LPS", "LAS", "RPI", "SAR", "PIL"])
def test_orientation_on_disk_does_not_matter(tmp_path: Path, codes: str) -> None:
    straight = nib.Nifti1Image(phantom(), np.diag([2.0, 2.0, 5.0, 1.0]))
    transform = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(tuple(codes)))
    turned = straight.as_reoriented(transform)
    assert inv_ornt_aff(transform, straight.shape).shape == (4, 4)
    nib.save(turned, tmp_path / "turned.nii.gz")
    expected = read_slices(save(tmp_path / "straight.nii.gz", phantom()), **GEOMETRY)[0]
    np.testing.assert_allclose(read_slices(tmp_path / "turned.nii.gz", **GEOMETRY)[0], expected, atol=1e-5)


def test_voxels_are_resampled_to_the_wanted_size(tmp_path: Path) -> None:
    fine = np.kron(phantom(), np.ones((2, 2, 1), np.float32))
    expected = read_slices(save(tmp_path / "coarse.nii.gz", phantom()), **GEOMETRY)[0]
    resampled = read_slices(save(tmp_path / "fine.nii.gz", fine, zooms=(1.0, 1.0, 5.0)), **GEOMETRY)[0]
    assert np.corrcoef(expected.ravel(), resampled.ravel())[0, 1] > 0.97


def test_units_of_intensity_do_not_matter(tmp_path: Path) -> None:
    first = read_slices(save(tmp_path / "a.nii.gz", phantom()), **GEOMETRY)[0]
    second = read_slices(save(tmp_path / "b.nii.gz", 1234.5 * phantom()), **GEOMETRY)[0]
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_a_thin_volume_gives_what_it_has(tmp_path: Path) -> None:
    assert len(read_slices(save(tmp_path / "thin.nii.gz", phantom()[:, :, 9:11]), **GEOMETRY)[0]) <= 2
    assert len(read_slices(save(tmp_path / "flat.nii.gz", phantom()[:, :, 15]), **GEOMETRY)[0]) == 1


def broken_volumes(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    nan = phantom()
    nan[3, 3, 3] = np.nan
    whole = save(tmp_path / "whole.nii.gz", phantom()).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    (tmp_path / "text.nii").write_text("not a volume")
    huge = nib.Nifti1Header()
    huge.set_data_shape((30000, 30000, 30000))
    huge["magic"] = b"n+1"
    huge["vox_offset"] = 352
    (tmp_path / "huge.nii").write_bytes(huge.binaryblock + b"\0" * 4)
    series = np.stack([phantom()] * 3, axis=-1)
    return {
        "nan": (save(tmp_path / "nan.nii.gz", nan), "nan.nii.gz: voxels: voxels must be finite, got '1 NaN"),
        "zero": (save(tmp_path / "zero.nii.gz", 0 * phantom()), "volume must have positive voxels, got 'maximum 0'"),
        "cut": (tmp_path / "cut.nii.gz", "cut.nii.gz: file must be a readable NIfTI volume"),
        "empty": (tmp_path / "empty.nii.gz", "file must be a readable NIfTI volume"),
        "text": (tmp_path / "text.nii", "file must be a readable NIfTI volume"),
        "series": (save(tmp_path / "4d.nii.gz", series), r"file must hold one 2D or 3D volume, got \(40, 48, 20, 3\)"),
        "huge": (tmp_path / "huge.nii", r"volume must have between 1 and 2147483648 voxels, got \(30000,"),
    }


@pytest.mark.parametrize("kind", ["nan", "zero", "cut", "empty", "text", "series", "huge"])
def test_broken_volumes_are_named(tmp_path: Path, kind: str) -> None:
    path, message = broken_volumes(tmp_path)[kind]
    with pytest.raises(ScanproofError, match=message):
        read_slices(path, **GEOMETRY)


def test_cohort_keeps_subjects_and_labels(tmp_path: Path) -> None:
    path = str(save(tmp_path / "a.nii.gz", phantom()))
    rows = (("s1", (1, 0), "train"), ("s1", (0, 0), "train"), ("s2", (None, 1), "test"))
    volumes = [LabelledFile(subject, path, labels, split) for subject, labels, split in rows]
    cohort = volume_cohort("x", volumes, targets=("left", "right"), coils=4, snr=20.0, **GEOMETRY)
    assert cohort.images.shape == (12, 1, 48, 40)
    assert cohort.cases["case"].is_unique
    assert cohort.targets == ("left", "right")
    assert cohort.cases["label:left"].isna().sum() == 4
    assert cohort.cases["label:right"].tolist() == [0] * 8 + [1] * 4
    assert cohort.select("test").cases["subject"].unique().tolist() == ["s2"]


@pytest.mark.parametrize("name", ["t1w_studyforrest", "T2w", "someones_anatomy", "spine_t2s", "spine_t1", "spine_t2"])
def test_real_volumes(shared_data: Path, name: str) -> None:
    planes = read_slices(shared_data / "nifti" / f"{name}.nii.gz", **GEOMETRY)[0]
    assert planes.shape == (4, 48, 40)
    assert 0.2 < np.percentile(planes, 99) < 5


def test_adjacent_slices_are_the_volumes_own(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(1, 21, dtype=np.float32), (40, 48, 20))  # each slice says which it is
    path = save(tmp_path / "a.nii.gz", ramp, zooms=(2.0, 2.0, 3.5))
    planes, distance = read_slices(path, **GEOMETRY, adjacent=True)
    assert distance == pytest.approx(3.5)
    steps = planes[:, 24, 20] / planes[0, 24, 20] * 9  # about the middle of 20
    np.testing.assert_allclose(steps, [9, 10, 11, 12], rtol=1e-4)
    whole, _ = read_slices(path, **{**GEOMETRY, "slices": 99}, adjacent=True)
    assert len(whole) == 20
    top, _ = read_slices(path, **{**GEOMETRY, "extent": (0.9, 1.0)}, adjacent=True)
    assert top[-1, 24, 20] == top.max()


def test_adjacent_slices_of_a_site_must_be_equally_far_apart(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{z}.nii.gz", phantom(), zooms=(2.0, 2.0, z)) for z in (5.0, 4.0)]
    volumes = [LabelledFile(f"s{n}", str(path), (), "test") for n, path in enumerate(paths)]
    volume_cohort("x", volumes, coils=4, snr=20.0, **GEOMETRY)
    with pytest.raises(
        ScanproofError, match=r"4.0.nii.gz: distance in mm: slices .* equally far apart \(5 mm\), got 4"
    ):
        volume_cohort("x", volumes, coils=4, snr=20.0, adjacent=True, **GEOMETRY)
