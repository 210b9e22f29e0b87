from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from kspace_files import write_ismrmrd, xml_header
from scanproof.data.readers.ismrmrd import Ismrmrd
from scanproof.errors import ScanproofError

ROWS, COLUMNS, COILS = 16, 12, 3


def centred(image: np.ndarray, transform=np.fft.fft2) -> np.ndarray:
    axes = (-2, -1)
    return np.fft.fftshift(transform(np.fft.ifftshift(image, axes=axes), norm="ortho"), axes=axes)


@pytest.fixture
def kspace() -> np.ndarray:
    """Of two slices, (slice, coil, row, column)."""
    rng = np.random.default_rng(0)
    shape = (2, COILS, ROWS, COLUMNS)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def lines(kspace: np.ndarray, **fields: object) -> Iterator[dict[str, object]]:
    """Lines of all slices, interleaved."""
    for column in range(kspace.shape[-1]):
        for place, samples in enumerate(kspace[..., column]):
            yield {"data": samples, "line": column, "slice": place, **fields}


HEADER = xml_header((ROWS, COLUMNS), private="Jane Doe")


def test_lines_become_slices(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_ismrmrd(tmp_path / "a.h5", lines(kspace), header=HEADER)
    reader = Ismrmrd()
    assert reader.recognises(path)
    header = reader.header(path)
    assert (header.shape, header.spacing) == ((2, COILS, ROWS, COLUMNS), (2.0, 2.0))
    assert header.facts == {
        "field strength (T)": "2.8936",
        "repetition time (ms)": "500",
        "echo time (ms)": "12.5",
        "noise pre-whitening": "none: no noise lines",
    }
    measured = reader.read(path, [1, 0])
    np.testing.assert_array_equal(measured.kspace, kspace[[1, 0]])
    assert measured.mask.all()
    assert measured.slice_distance is None


def test_slices_stand_in_the_order_of_their_positions(kspace: np.ndarray, tmp_path: Path) -> None:
    normal = (0.0, 0.6, 0.8)
    placed = (
        {**line, "slice_dir": normal, "position": tuple(np.array(normal) * (-4.0 * int(str(line["slice"])) + 1))}
        for line in lines(kspace)
    )
    measured = Ismrmrd().read(write_ismrmrd(tmp_path / "a.h5", placed, header=HEADER), [0, 1])
    np.testing.assert_array_equal(measured.kspace, kspace[::-1])
    assert measured.slice_distance == pytest.approx(4)


def test_oversampling_is_removed(tmp_path: Path) -> None:
    """An object that fits into the image is found in it, whatever its surroundings were."""
    wide = np.zeros((1, COILS, 2 * ROWS, COLUMNS), np.complex64)
    image = np.random.default_rng(1).normal(size=(1, COILS, ROWS, COLUMNS)).astype(np.complex64)
    wide[:, :, ROWS // 2 : ROWS // 2 + ROWS] = image
    header = xml_header((2 * ROWS, COLUMNS), recon=(ROWS, COLUMNS), pixel=(1.5, 2.5))
    path = write_ismrmrd(tmp_path / "a.h5", lines(centred(wide)), header=header)
    measured = Ismrmrd().read(path, [0])
    np.testing.assert_allclose(centred(measured.kspace, np.fft.ifft2), image, atol=1e-5)
    assert measured.spacing == pytest.approx((1.5, 2.5))
    assert Ismrmrd().header(path).shape == (1, COILS, ROWS, COLUMNS)


def test_noise_is_whitened(tmp_path: Path) -> None:
    """Noise of the image has the covariance of the noise lines; after whitening it is one."""
    rng = np.random.default_rng(2)
    mixing = rng.normal(size=(COILS, COILS)) + 1j * rng.normal(size=(COILS, COILS)) + 2 * np.eye(COILS)

    def noise(count: int) -> np.ndarray:
        white = (rng.normal(size=(COILS, count)) + 1j * rng.normal(size=(COILS, count))) / np.sqrt(2)
        return (mixing @ white).astype(np.complex64)

    kspace = noise(64 * 48).reshape(1, COILS, 64, 48)
    scan = [{"data": noise(512), "flags": ["IS_NOISE_MEASUREMENT"]} for _ in range(8)]
    path = write_ismrmrd(tmp_path / "a.h5", [*scan, *lines(kspace)], header=xml_header((64, 48)))
    assert Ismrmrd().header(path).facts["noise pre-whitening"] == "from noise lines"
    found = Ismrmrd().read(path, [0]).kspace[0].reshape(COILS, -1)
    np.testing.assert_allclose(found @ found.conj().T / found.shape[1], np.eye(COILS), atol=0.08)
    before = kspace[0].reshape(COILS, -1)
    assert abs(np.corrcoef(before)[0, 1]) > 0.3
    # the same signal in other words: a matrix takes one to the other
    weights = np.linalg.lstsq(before.T, found.T, rcond=None)[0].T
    np.testing.assert_allclose(weights @ before, found, atol=1e-4)


def test_what_was_not_measured_is_zero(kspace: np.ndarray, tmp_path: Path) -> None:
    """Partial Fourier by the centre line, a partial echo by the centre sample, discarded samples by their number."""
    first, cut, dropped = 3, 5, 2
    part = kspace[:1, :, cut - dropped :, first:]
    short = lines(part, center_sample=ROWS // 2 - cut + dropped, discard_pre=dropped, discard_post=1)
    header = xml_header((ROWS, COLUMNS), centre=COLUMNS // 2 - first)
    measured = Ismrmrd().read(write_ismrmrd(tmp_path / "a.h5", short, header=header), [0])
    expected = np.zeros_like(kspace[:1])
    expected[..., cut : ROWS - 1, first:] = kspace[:1, :, cut : ROWS - 1, first:]
    np.testing.assert_array_equal(measured.kspace, expected)
    np.testing.assert_array_equal(measured.mask, np.arange(COLUMNS) >= first)


def test_averages_are_means(kspace: np.ndarray, tmp_path: Path) -> None:
    twice = [*lines(kspace), *lines(3 * kspace[..., :4], average=1)]
    measured = Ismrmrd().read(write_ismrmrd(tmp_path / "a.h5", twice, header=HEADER), [0, 1])
    expected = np.concatenate([2 * kspace[..., :4], kspace[..., 4:]], axis=-1)
    np.testing.assert_allclose(measured.kspace, expected, rtol=1e-6)


def test_reversed_readouts_are_turned(kspace: np.ndarray, tmp_path: Path) -> None:
    centre = ROWS - 1 - ROWS // 2
    back = lines(kspace[:, :, ::-1], flags=["IS_REVERSE"], center_sample=centre)
    measured = Ismrmrd().read(write_ismrmrd(tmp_path / "a.h5", back, header=HEADER), [0, 1])
    np.testing.assert_array_equal(measured.kspace, kspace)


def test_only_lines_of_the_image_are_in_it(kspace: np.ndarray, tmp_path: Path) -> None:
    others = [
        {"data": 100 * kspace[0, :, :, 0], "line": 5, "flags": [flag]}
        for flag in (
            "IS_PARALLEL_CALIBRATION",
            "IS_NAVIGATION_DATA",
            "IS_PHASECORR_DATA",
            "IS_DUMMYSCAN_DATA",
            "IS_RTFEEDBACK_DATA",
            "IS_HPFEEDBACK_DATA",
        )
    ]
    both = ["IS_PARALLEL_CALIBRATION", "IS_PARALLEL_CALIBRATION_AND_IMAGING"]
    image = [{**line, "flags": both} if line["line"] == 6 else line for line in lines(kspace) if line["line"] != 2]
    measured = Ismrmrd().read(write_ismrmrd(tmp_path / "a.h5", [*others, *image], header=HEADER), [0, 1])
    np.testing.assert_array_equal(measured.mask, np.arange(COLUMNS) != 2)
    np.testing.assert_array_equal(measured.kspace, kspace * measured.mask)


def test_a_centre_that_is_not_told_is_in_the_middle(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_ismrmrd(tmp_path / "a.h5", lines(kspace, center_sample=0), header=HEADER)
    np.testing.assert_array_equal(Ismrmrd().read(path, [0, 1]).kspace, kspace)


@pytest.mark.parametrize(
    ("fields", "header", "message"),
    [
        ({}, {"trajectory": "spiral"}, "encoding.trajectory: trajectory must be cartesian, got 'spiral'"),
        ({}, {"partitions": 8}, "encodedSpace.matrixSize.z: encoding must be 2D: partitions are not read, got 8"),
        ({"flags": ["IS_NOISE_MEASUREMENT"]}, {}, "file must hold lines of an image, got 0"),
        ({"line": 40}, {}, "kspace_encode_step_1: lines must lie within the encoded matrix of 12 .* got 40"),
        ({"center_sample": 2}, {}, "samples of a line must lie within the encoded matrix of 16"),
        ({"discard_pre": 16}, {}, "samples of a line must lie within the encoded matrix of 16"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    kspace: np.ndarray, tmp_path: Path, fields: dict, header: dict, message: str
) -> None:
    path = write_ismrmrd(tmp_path / "a.h5", lines(kspace, **fields), header=xml_header((ROWS, COLUMNS), **header))
    with pytest.raises(ScanproofError, match=message) as error:
        Ismrmrd().read(path, [0])
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("counter", ["contrast", "phase", "repetition", "set"])
def test_several_images_in_a_file_are_refused(kspace: np.ndarray, tmp_path: Path, counter: str) -> None:
    several = [*lines(kspace), *lines(kspace, **{counter: 1}), *lines(kspace, **{counter: 2})]
    path = write_ismrmrd(tmp_path / "a.h5", several, header=HEADER)
    with pytest.raises(ScanproofError, match=rf"idx.{counter}: file must hold one {counter}, got 3 \(write each"):
        Ismrmrd().header(path)


def test_arrays_and_lengths_must_fit(kspace: np.ndarray, tmp_path: Path) -> None:
    fewer = [*lines(kspace), {"data": kspace[0, :2, :, 0]}]
    with pytest.raises(ScanproofError, match=r"all lines must be of the same coils, got \[2, 3\]"):
        Ismrmrd().read(write_ismrmrd(tmp_path / "a.h5", fewer, header=HEADER), [0])
    path = write_ismrmrd(tmp_path / "b.h5", lines(kspace), header=HEADER)
    with h5py.File(path, "r+") as file:
        entry = file["dataset/data"][4]
        entry["data"] = entry["data"][:7]
        file["dataset/data"][4] = entry
    with pytest.raises(ScanproofError, match="line 4 must hold 3 coils of 16 complex samples, got '7 numbers'"):
        Ismrmrd().read(path, [0])


def test_a_size_is_checked_before_anything_is_read(kspace: np.ndarray, tmp_path: Path) -> None:
    header = xml_header((60000, 60000))
    path = write_ismrmrd(tmp_path / "a.h5", lines(kspace), header=header)
    with pytest.raises(ScanproofError, match=r"k-space: a slice must have .* got \(3, 60000, 60000\)"):
        Ismrmrd().read(path, [0])


def test_broken_files(kspace: np.ndarray, tmp_path: Path) -> None:
    path = write_ismrmrd(tmp_path / "a.h5", lines(kspace), header=HEADER)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert not Ismrmrd().recognises(path)
    with pytest.raises(ScanproofError, match="file must be readable HDF5: "):
        Ismrmrd().read(path, [0])
    noise = [{"data": np.zeros((COILS, 64)), "flags": ["IS_NOISE_MEASUREMENT"]}]
    path = write_ismrmrd(tmp_path / "b.h5", [*noise, *lines(kspace)], header=HEADER)
    with pytest.raises(ScanproofError, match="noise lines: noise of the coils must be positive and independent"):
        Ismrmrd().read(path, [0])


def test_the_missing_package_is_named(kspace: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ismrmrd(tmp_path / "a.h5", lines(kspace), header=HEADER)
    monkeypatch.setitem(sys.modules, "ismrmrd", None)
    assert Ismrmrd().recognises(path)
    with pytest.raises(ScanproofError, match=r"needs the package ismrmrd \(pip install 'scanproof\[ismrmrd\]'\)"):
        Ismrmrd().header(path)
