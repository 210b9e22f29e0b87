from __future__ import annotations

import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scanproof.data.check.inspect import inspect_file
from scanproof.data.check.thumbnail import thumbnail
from scanproof.data.readers import READERS, reader_of
from scanproof.data.readers.base import Volume
from scanproof.data.readers.images import ImageReader


def volume(path: Path, voxels: np.ndarray, spacing: tuple[float, ...] = (1, 1, 1)) -> Path:
    nib.save(nib.Nifti1Image(voxels, np.diag([*spacing, 1])), path)
    return path


VOXELS = np.random.default_rng(1).integers(0, 900, (12, 10, 6)).astype(np.int16)


def test_values_are_hashed_beside_bytes(tmp_path: Path) -> None:
    files = [
        volume(tmp_path / "a.nii.gz", VOXELS),
        volume(tmp_path / "b.nii", VOXELS),
        volume(tmp_path / "c.nii", VOXELS.astype(np.float32)),
        volume(tmp_path / "d.nii", VOXELS + 1),
    ]
    found = [inspect_file(path) for path in files]
    assert len({fact.content for fact in found}) == 4
    assert [fact.pixels == found[0].pixels for fact in found] == [True, True, True, False]
    assert [fact.size for fact in found] == [path.stat().st_size for path in files]
    assert found[1].shape == (12, 10, 6)


def test_what_is_broken_is_told_with_what_could_be_told(tmp_path: Path) -> None:
    whole = volume(tmp_path / "a.nii", VOXELS).read_bytes()
    (tmp_path / "cut.nii").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "zero.png").write_bytes(b"")
    (tmp_path / "text.txt").write_text("no image")
    broken = VOXELS.astype(np.float32)
    broken[0, 0, 0] = np.nan
    volume(tmp_path / "nan.nii", broken)
    found = {name: inspect_file(tmp_path / name) for name in ("cut.nii", "zero.png", "text.txt", "nan.nii", "none.nii")}
    assert all(fact.error is not None and fact.pixels is None for fact in found.values())
    assert found["nan.nii"].shape == (12, 10, 6)
    assert found["cut.nii"].content is not None
    assert "1 NaN or infinite" in str(found["nan.nii"].error)


def test_a_reader_that_fails_in_its_own_way_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = volume(tmp_path / "a.nii", VOXELS)

    def fail(self: object, path: Path) -> None:
        raise KeyError("of a library")

    monkeypatch.setattr("scanproof.data.readers.nifti.NiftiReader.read", fail)
    assert "file must be readable: KeyError" in str(inspect_file(path).error)


@pytest.mark.parametrize("name", ["a.png", "a.TIF", "a.jpeg"])
def test_images_are_volumes_of_one_slice(tmp_path: Path, name: str) -> None:
    pixels = np.full((6, 4), 200, np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    reader = reader_of(tmp_path / name)
    assert isinstance(reader, ImageReader)
    assert reader.header(tmp_path / name).shape == (6, 4)
    assert reader.read(tmp_path / name).voxels.shape == (4, 6, 1)
    assert list(reader.contents(tmp_path / name)) == [tmp_path / name]


def test_images_stand_upright_in_pictures(tmp_path: Path) -> None:
    pixels = np.zeros((40, 20), np.uint8)
    pixels[:10, :5] = 255  # above, at the left
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = inspect_file(tmp_path / "a.png", picture=True).picture
    assert picture is not None
    shown = np.asarray(Image.open(io.BytesIO(picture)))
    assert shown.shape == (128, 64)
    assert shown[8, 4] > 200
    assert shown[64:].max() < 20


def test_pixels_of_pictures_are_square() -> None:
    flat = Volume(voxels=np.ones((64, 32, 3), np.float32), spacing=(1.0, 4.0, 9.0))
    assert Image.open(io.BytesIO(thumbnail(flat))).size == (64, 128)


def test_every_reader_keeps_the_contract() -> None:
    for name in READERS:
        reader = READERS.create(name)
        assert reader.gives in ("volumes", "images", "kspace")
        assert not reader.recognises(Path("nowhere.xyz"))
