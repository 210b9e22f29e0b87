from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageDraw

from scanproof.data.images import MAX_PIXELS, image_cohort, is_image, read_image, to_matrix
from scanproof.data.manifest import LabelledFile
from scanproof.errors import ScanproofError


def head(rows: int = 60, columns: int = 48) -> np.ndarray:
    """Grey values up to 250 with an ellipse and a bright block in the upper right."""
    image = Image.new("L", (columns, rows), 0)
    draw = ImageDraw.Draw(image)
    draw.ellipse((4, 4, columns - 5, rows - 5), fill=100)
    draw.rectangle((columns * 5 // 8, rows // 4, columns * 3 // 4, rows // 3), fill=250)
    return np.asarray(image)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "PNG", "tif", "TIFF"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, ">u2"])
def test_grey_images_are_read_as_they_are(tmp_path: Path, suffix: str, kind: type) -> None:
    pixels = head().astype(kind) * (1 if kind == np.uint8 else 257)
    path = save(tmp_path / f"a.{suffix}", pixels)
    assert is_image(path)
    read = read_image(path)
    assert read.dtype == np.float32
    assert np.array_equal(read, pixels)


def test_floating_point_and_wide_integers_are_read(tmp_path: Path) -> None:
    for pixels in (head() / np.float32(7), head().astype(np.int32) * 90_000):
        np.testing.assert_array_equal(read_image(save(tmp_path / "a.tif", pixels)), pixels.astype(np.float32))


def test_compression_costs_what_it_costs(tmp_path: Path) -> None:
    exact = read_image(save(tmp_path / "lzw.tif", head(), compression="tiff_lzw"))
    assert np.array_equal(exact, head())
    jpeg = read_image(save(tmp_path / "a.jpg", head(), quality=95))
    assert np.abs(jpeg - head()).mean() < 2


def test_equal_channels_are_grey(tmp_path: Path) -> None:
    colour = np.repeat(head()[..., None], 3, axis=-1)
    assert np.array_equal(read_image(save(tmp_path / "a.png", colour)), head())
    assert np.abs(read_image(save(tmp_path / "a.jpeg", colour, quality=95)) - head()).mean() < 2


def test_an_orientation_tag_turns_the_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side
    path = save(tmp_path / "a.png", head(), exif=exif)
    assert np.array_equal(read_image(path), np.rot90(head(), -1))


def tiff(pixels: np.ndarray, *, photometric: int) -> bytes:
    """A TIFF of 16 bits as Pillow does not write it."""
    rows, columns = pixels.shape
    data = pixels.astype("<u2").tobytes()
    tags = [(256, columns), (257, rows), (258, 16), (259, 1), (262, photometric), (273, 8), (277, 1), (278, rows)]
    tags.append((279, len(data)))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def empty_png(columns: int, rows: int) -> bytes:
    """A PNG that promises so many pixels and holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def truncated(folder: Path, name: str) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    whole = save(folder / f"whole-{name}", noise).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    return folder / name


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def pages(folder: Path, name: str) -> Path:
    other = Image.fromarray(head()[::-1])
    return save(folder / name, head(), save_all=True, append_images=[other])


def nan(folder: Path) -> Path:
    pixels = head().astype(np.float32)
    pixels[3, 3:5] = np.nan, np.inf
    return save(folder / "nan.tif", pixels)


colours = np.stack([head(), head(), head() // 2], axis=-1)
BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "cut png": (lambda f: truncated(f, "cut.png"), "cut.png: file must be a readable image: .*truncated"),
    "cut jpeg": (lambda f: truncated(f, "cut.jpg"), "cut.jpg: file must be a readable image: .*truncated"),
    "cut tiff": (lambda f: truncated(f, "cut.tif"), "cut.tif: file must be a readable image"),
    "zero bytes": (lambda f: written(f, "a.png", b""), "a.png: file must be a readable image, PNG, JPEG, TIFF"),
    "text": (lambda f: written(f, "a.jpg", b"no image"), "a.jpg: file must be a readable image"),
    "no rows": (lambda f: written(f, "a.png", empty_png(5, 0)), "a.png: file must be a readable image"),
    "no pixels": (lambda f: written(f, "a.png", empty_png(5, 5)), "a.png: file must be a readable image"),
    "huge": (
        lambda f: written(f, "a.png", empty_png(9000, 9000)),
        rf"a.png: columns and rows: image must have between 1 and {MAX_PIXELS} pixels, got \(9000, 9000\)",
    ),
    "bomb": (lambda f: written(f, "a.png", empty_png(60000, 60000)), "a.png: file must be a readable image: .*bomb"),
    "gif": (lambda f: save(f / "a.png", head(), format="GIF"), "a.png: file must be a readable image, PNG, JPEG, TIFF"),
    "name": (lambda f: save(f / "a.gif", head()), r"a.gif: name of an image must end with one of .png, .jpg"),
    "animated": (lambda f: pages(f, "a.png"), "a.png: images: file must hold one image, got 2"),
    "pages": (lambda f: pages(f, "a.tif"), "a.tif: images: file must hold one image, got 2"),
    "colours": (
        lambda f: save(f / "a.png", colours),
        "a.png: pixels: red, green and blue must be equal: .*got 'up to 125 apart'",
    ),
    "transparent": (
        lambda f: save(f / "a.png", np.stack([head()] * 2, axis=-1)),
        "a.png: mode: image must be grey, 8 or 16 bit, or RGB with equal channels, got 'LA'",
    ),
    "palette": (lambda f: _palette(f), "a.png: mode: image must be grey.* got 'P'"),
    "two levels": (lambda f: save(f / "a.png", head() > 99), "a.png: mode: image must be grey.* got '1'"),
    "inverted": (
        lambda f: written(f, "a.tif", tiff(head(), photometric=0)),
        "a.tif: photometric: 0 must be black, got 'white is zero'",
    ),
    "nan": (nan, "nan.tif: pixels: pixels must be finite, got '2 NaN or infinite'"),
    "negative": (
        lambda f: save(f / "a.tif", head().astype(np.float32) - 5),
        "a.tif: pixels: pixels of a magnitude image must not be negative, got 'minimum -5'",
    ),
    "black": (lambda f: save(f / "a.png", 0 * head()), "a.png: pixels: image must have positive pixels"),
    "folder": (lambda f: (f / "a.png").mkdir() or f / "a.png", "a.png: file must be a readable image: .*directory"),
}


def _palette(folder: Path) -> Path:
    Image.fromarray(head()).convert("P").save(folder / "a.png")
    return folder / "a.png"


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_images_are_named(tmp_path: Path, kind: str) -> None:
    make, message = BROKEN[kind]
    with pytest.raises(ScanproofError, match=message) as caught:
        read_image(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_hand_made_tiff_is_valid_but_for_what_is_wrong(tmp_path: Path) -> None:
    assert np.array_equal(read_image(written(tmp_path, "a.tif", tiff(head(), photometric=1))), head())


def test_white_that_is_zero_is_turned_in_eight_bits(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", head(), tiffinfo={262: 0})
    assert np.array_equal(read_image(path), head())


def test_resampling_agrees_with_pillow() -> None:
    """Pillow's own antialiased bilinear kernel, in floating point; the same aspect ratio leaves nothing to pad."""
    image = np.random.default_rng(1).uniform(0, 1, (90, 120)).astype(np.float32)
    for matrix in ((60, 80), (33, 44), (135, 180)):
        theirs = np.asarray(Image.fromarray(image).resize(matrix[::-1], Image.Resampling.BILINEAR))
        np.testing.assert_allclose(to_matrix(image, matrix), theirs, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(16, 64), st.integers(16, 64))
def test_aspect_and_mean_are_kept(rows: int, columns: int, height: int, width: int) -> None:
    resized = to_matrix(np.ones((rows, columns), np.float32), (height, width))
    assert resized.shape == (height, width)
    inside = np.argwhere(resized > 0)
    (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0)
    np.testing.assert_allclose(resized[top : bottom + 1, left : right + 1], 1, atol=1e-5)  # a box, in the middle
    scale = min(height / rows, width / columns)
    assert abs(bottom + 1 - top - rows * scale) <= 1
    assert abs(right + 1 - left - columns * scale) <= 1
    assert abs(top - (height - 1 - bottom)) <= 1
    assert abs(left - (width - 1 - right)) <= 1
    assert bottom + 1 - top == height or right + 1 - left == width


def test_nothing_aliases() -> None:
    """Stripes finer than the matrix become their mean, not coarser stripes."""
    stripes = np.tile(np.float32([0, 1]), (96, 48))
    coarse = to_matrix(stripes, (40, 40))
    assert 0.4 < coarse.min() < coarse.max() < 0.6


def files(tmp_path: Path) -> list[LabelledFile]:
    bright = save(tmp_path / "bright.png", head().astype(np.uint16) * 200)
    dark = save(tmp_path / "dark.png", np.kron(head(), np.ones((2, 2), np.uint8)))
    rows = (("s1", bright, (1, 0), "train"), ("s1", dark, (0, 1), "train"), ("s2", dark, (0, 1), "test"))
    return [LabelledFile(subject, str(path), labels, split) for subject, path, labels, split in rows]


def test_a_cohort_of_images(tmp_path: Path) -> None:
    options = {"matrix": (48, 48), "spacing": (1.0, 1.0), "coils": 4, "snr": 20.0}
    cohort = image_cohort("x", files(tmp_path), targets=("a", "b"), exclusive=True, **options)
    assert cohort.images.shape == (3, 1, 48, 48)
    assert cohort.images.dtype == np.float32
    assert cohort.cases["case"].tolist() == ["s1-0", "s1-1", "s2-0"]
    assert cohort.cases["label:b"].tolist() == [0, 1, 1]
    assert cohort.exclusive
    assert cohort.acquisition.facts["pixel size"].startswith("nominal")
    # units and numbers of pixels do not matter
    assert np.corrcoef(cohort.images[0].ravel(), cohort.images[1].ravel())[0, 1] > 0.98
    native = image_cohort("x", files(tmp_path)[:1], targets=("a", "b"), **{**options, "matrix": (60, 48)}).images
    assert np.percentile(native[native > 0], 99) == pytest.approx(1)
    assert image_cohort("x", [], **options).images.shape == (0, 1, 48, 48)


def test_magnitude_does_not_change_with_units(tmp_path: Path) -> None:
    options = {"matrix": (48, 40), "spacing": (1.0, 1.0), "coils": 4, "snr": 20.0}
    images = [
        image_cohort("x", [LabelledFile("s", str(save(tmp_path / name, pixels)), (), "test")], **options).images
        for name, pixels in (("a.png", head()), ("b.tif", head().astype(np.float32) * 1e-4))
    ]
    np.testing.assert_allclose(images[0], images[1], rtol=1e-4, atol=1e-6)
