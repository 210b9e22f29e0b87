"""What is wrong with DICOM files ends with one line that says it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLosslessSV1

from dicom_series import AXIAL, set_pixels, uid, write_enhanced, write_series
from scanproof.data.readers import reader_of, volume_reader_of
from scanproof.data.readers.dicom import DicomReader
from scanproof.errors import ScanproofError

ARRAY = np.random.default_rng(3).integers(1, 120, (7, 9, 6)).astype(np.uint16)
CORONAL = ["1", "0", "0", "0", "0", "-1"]


def setting(only: int | None = None, **values: object) -> Callable[[Dataset, int], None]:
    """Set (or with None delete) elements of all slices, or of one."""

    def change(dataset: Dataset, k: int) -> None:
        for keyword, value in values.items():
            if only in (None, k):
                if value is None:
                    delattr(dataset, keyword)
                else:
                    setattr(dataset, keyword, value)

    return change


def refused(path: Path) -> str:
    """The one line of a refusal."""
    with pytest.raises(ScanproofError) as caught:
        volume_reader_of(path).read(path)
    assert "Doe" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]), "ImageType: images must be magnitudes, got 'phase"),
        (setting(2, ImageType=["", "", "R"]), "'real part in 1 of 6 images' (leave only the magnitude"),
        (setting(ComplexImageComponent="IMAGINARY"), "images must be magnitudes, got 'imaginary part in 6"),
        (setting(PhotometricInterpretation="MONOCHROME1"), "0 must be black (MONOCHROME2), got 'MONOCHROME1'"),
        (setting(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "SamplesPerPixel: image must be grey"),
        (setting(PhotometricInterpretation="PALETTE COLOR"), "image must be grey"),
        (setting(Modality="CT"), "Modality: must be MR, got 'CT'"),
        (setting(PixelSpacing=None), "PixelSpacing: must be given for every image"),
        (setting(PixelSpacing=["0", "1"]), "PixelSpacing: must be positive, got [0.0, 1.0]"),
        (setting(PixelSpacing=["1"]), "PixelSpacing: must be 2 finite numbers"),
        (setting(3, PixelSpacing=["3", "3"]), "IM0003.dcm: PixelSpacing: images of a series must have one pixel"),
        (setting(ImagePositionPatient=None), "ImagePositionPatient: must be given for every image"),
        (setting(ImageOrientationPatient=None), "ImageOrientationPatient: must be given for every image"),
        (setting(ImageOrientationPatient=["1"] * 6), "must be two unit vectors at right angles"),
        (setting(1, ImageOrientationPatient=CORONAL), "slices must be parallel, got '2 directions' (localizers"),
        (setting(RescaleSlope="0"), "RescaleSlope: must not be 0"),
        (setting(RescaleSlope="-1"), "volume must have positive voxels"),
        (setting(4, SOPInstanceUID=uid(1, 2)), "each image must be there once, got ['IM0002.dcm', 'IM0004.dcm']"),
        (setting(4, Rows=None), "IM0004.dcm: file must be whole: it does not say how large"),
        (setting(4, BitsAllocated=32), "IM0004.dcm: PixelData: file must be whole: pixels take 252 bytes, got 126"),
        (setting(PixelData=None), "PixelData: must be given; the file may be cut off"),
        (setting(NumberOfFrames=2), "PerFrameFunctionalGroupsSequence: must describe each of the file's 2 frames"),
        (setting(Rows=60000, Columns=60000), "shape: volume must have between 1 and 2147483648 voxels, got (600"),
        (setting(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "series must hold one volume, got '6 volumes'"),
        (setting(ImageType=["", "", "VFRAME"], ImagePositionPatient=None), "must be given for every image (the"),
        (setting(2, SeriesInstanceUID=uid(8), SeriesNumber=8), "folder must hold one series, got '2: number 8 (1"),
        (setting(2, SeriesInstanceUID=uid(8)), "number 1 (5 files)' (put each series into a folder of its own)"),
    ],
)  # fmt: skip
def test_headers_that_break_a_rule(tmp_path: Path, change: Callable[[Dataset, int], None], message: str) -> None:
    write_series(tmp_path, ARRAY, change=change)
    assert message in refused(tmp_path)


def test_missing_slices(tmp_path: Path) -> None:
    write_series(tmp_path / "a", ARRAY, kept=lambda k: k != 2)
    message = refused(tmp_path / "a")
    assert (
        "slices 2 and 3 of 5, IM0001.dcm and IM0003.dcm: slices must be equally far apart (3 mm), got '6 mm'" in message
    )
    assert message.endswith("(1 slice is missing there)")
    write_series(tmp_path / "b", ARRAY, kept=lambda k: k not in (2, 3))
    assert "(2 slices are missing there)" in refused(tmp_path / "b")


def test_uneven_and_shifted_slices(tmp_path: Path) -> None:
    write_series(tmp_path / "a", ARRAY, change=setting(5, ImagePositionPatient=["-31.5", "20.25", "23.5"]))
    assert "equally far apart (3 mm), got '4.5 mm'" in refused(tmp_path / "a")
    write_series(tmp_path / "b", ARRAY, change=setting(5, ImagePositionPatient=["-31.5", "25.25", "22"]))
    assert "slices must lie straight behind each other, got '5 mm aside'" in refused(tmp_path / "b")


def test_several_volumes(tmp_path: Path) -> None:
    def again(dataset: Dataset, k: int) -> None:
        dataset.SOPInstanceUID = uid(1, 50 + k)

    def second_echo(dataset: Dataset, k: int) -> None:
        again(dataset, k)
        dataset.EchoTime = "30"

    names = [f"B{k}" for k in range(6)]
    for folder, change, what in (("a", again, "time points, directions"), ("b", second_echo, "2 echo times")):
        write_series(tmp_path / folder, ARRAY)
        write_series(tmp_path / folder, ARRAY, names=names, change=change)
        message = refused(tmp_path / folder)
        assert "series must hold one volume, got '2 volumes of 6 slices'" in message
        assert what in message
    (tmp_path / "a" / "B3").unlink()
    assert "each place must have one image, got '1 in some places, 2 in others'" in refused(tmp_path / "a")


def test_enhanced_images_that_break_a_rule(tmp_path: Path) -> None:
    def phase(dataset: Dataset) -> None:
        frame = Dataset()
        frame.FrameType = ["ORIGINAL", "PRIMARY", "P", "NONE"]
        dataset.PerFrameFunctionalGroupsSequence[1].MRImageFrameTypeSequence = [frame]

    def one_place(dataset: Dataset) -> None:
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            frame.PlanePositionSequence[0].ImagePositionPatient = ["0", "0", "0"]

    def no_place(dataset: Dataset) -> None:
        del dataset.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence

    def fewer(dataset: Dataset) -> None:
        del dataset.PerFrameFunctionalGroupsSequence[3]

    for change, message in (
        (phase, "images must be magnitudes, got 'phase in 1 of 6 images'"),
        (one_place, "got '6 volumes of 1 slices' (time points, directions of diffusion or repetitions: convert"),
        (no_place, "ImagePositionPatient: must be given for every image"),
        (fewer, "must describe each of the file's 6 frames, got 5"),
    ):
        path = write_enhanced(tmp_path / "a.dcm", ARRAY, change=change)
        assert message in refused(path)


def test_files_that_are_damaged(tmp_path: Path) -> None:
    whole = write_series(tmp_path, ARRAY)[2]
    content = whole.read_bytes()
    for bad, message in (
        (content[:-20], "IM0002.dcm: PixelData: file must be whole: pixels take 126 bytes, got 106"),
        (b"", "IM0002.dcm: file must not be empty"),
        (b"not a DICOM file", "IM0002.dcm: file must be DICOM"),
        (content[:200], "IM0002.dcm: file must be"),
        (content[:140], "IM0002.dcm: file must be"),
    ):
        whole.write_bytes(bad)
        assert message in refused(tmp_path)
    whole.unlink()
    whole.symlink_to(tmp_path / "gone")
    assert "IM0002.dcm: file must be readable: No such file" in refused(tmp_path)


def test_codecs_that_are_not_here(tmp_path: Path) -> None:
    for path in write_series(tmp_path, ARRAY):
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        dataset["PixelData"].is_undefined_length = True
        dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\1\2\3\4\xfe\xff\xdd\xe0\0\0\0\0"
        dataset.save_as(path)
    message = refused(tmp_path)
    assert "pixels must be compressed in a way that can be decoded here, got 'JPEG Lossless" in message
    assert "export them uncompressed" in message


def test_places_without_images(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write_series(tmp_path / "below", ARRAY)
    with pytest.raises(
        ScanproofError, match=r"format must be one of: DICOM .* \(files of a series must lie in the folder"
    ):
        reader_of(tmp_path)
    with pytest.raises(ScanproofError, match=r"none: file or folder must exist"):
        reader_of(tmp_path / "none")
    assert "folder must hold a series of number 7, got 'number 1 (6 files)'" in refused(Path(f"{tmp_path / 'below'}#7"))
    report = dcmread(tmp_path / "below" / "IM0000.dcm")
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.save_as(tmp_path / "SR.dcm")
    assert "SR.dcm: DICOM file must hold an image" in refused(tmp_path / "SR.dcm")
    assert "folder must hold DICOM images" in refused(tmp_path)


def test_broken_pixels_after_rescaling(tmp_path: Path) -> None:
    def change(dataset: Dataset, k: int) -> None:
        del dataset.PixelData
        values = ARRAY[:, :, k].astype(np.float32)
        values[0, 0] = np.nan
        dataset.BitsAllocated = 32
        dataset.FloatPixelData = values.tobytes()

    write_series(tmp_path, ARRAY, change=change)
    assert "voxels must be finite, got '6 NaN or infinite'" in refused(tmp_path)


def test_a_single_mosaic_without_positions(tmp_path: Path) -> None:
    path = write_series(tmp_path, ARRAY[:, :, :1], change=setting(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]))[0]
    assert "MOSAIC must come with the position of its slices (CSA header)" in refused(path)


def test_real_series_that_are_no_volume(shared_data: Path) -> None:
    folder = shared_data / "dicom"
    for name, message in (
        ("ge_epi", "series must hold one volume, got '10 volumes of 15 slices'"),
        ("siemens_mosaic", "series must hold one volume, got '2 volumes' (each MOSAIC file is one"),
        ("uih_dti", "ImagePositionPatient: must be given for every image (the file holds a volume in tiles"),
        ("uih_dti/00000001.dcm", "ImagePositionPatient: must be given for every image"),
        ("nibabel_samples", "folder must hold one series, got '3: number 8 (1 file), number 7 (1 file), number 12 (2"),
        ("nibabel_samples/0.dcm", "MOSAIC of 48 slices must be 7 x 7 tiles of equal size, got (256, 256)"),
        ("nibabel_samples/csa_slice_norm.dcm", "PixelData: must be given; the file may be cut off"),
        ("nibabel_samples/decimal_rescale.dcm", "images must be magnitudes, got 'real part in 1 of 1 images'"),
    ):
        assert message in refused(folder / name)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_end_with_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A volume or one line, whatever is damaged; also where a file is cut."""
    folder = tmp_path_factory.mktemp("damaged")
    paths = write_series(folder, ARRAY[:, :, :3])
    content = bytearray(paths[1].read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    paths[1].write_bytes(bytes(content[:end]))
    for use in (DicomReader().read, DicomReader().header, DicomReader().contents):
        with suppress(ScanproofError):
            use(folder)


def test_a_header_is_refused_as_its_volume_is(tmp_path: Path) -> None:
    write_series(tmp_path, ARRAY, orientation=AXIAL, change=lambda d, k: set_pixels(d, ARRAY[: 7 - k % 2, :, k]))
    with pytest.raises(
        ScanproofError, match=r"images of a series must have one size, \(7, 9\) as in IM0000.dcm, got \(6, 9"
    ):
        DicomReader().header(tmp_path)
