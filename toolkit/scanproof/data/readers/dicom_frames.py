"""Frames of DICOM images: where each lies and how its pixels become magnitudes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scanproof.data.readers.dicom_files import GEMS_CREATOR, GEMS_PART, ImageFile, number, numbers, words
from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: words of ImageType, FrameType and ComplexImageComponent for what is no magnitude
_PARTS: Final = {
    **dict.fromkeys(("P", "PHASE", "PHASE MAP", "VELOCITY", "VELOCITY MAP"), "phase"),
    **dict.fromkeys(("R", "REAL", "R_IR", "R_FFE", "R_SE"), "real part"),
    **dict.fromkeys(("I", "IMAGINARY", "I_IR", "I_FFE", "I_SE"), "imaginary part"),
}
_GEMS_PARTS: Final = ("magnitude", "phase", "real part", "imaginary part")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One plane of pixels.

    Args:
        file: that holds it.
        index: which of the file's frames it is.
        shape: rows and columns.
        position: mm in left-posterior-superior order, centre of the first pixel.
        orientation: direction of rising column numbers, then of rising row numbers; unit vectors in the same order.
        spacing: mm between rows, between columns.
        thickness: mm between slices as the header says it; None where it does not.
        slope: what a stored value is multiplied with.
        intercept: what is added then.
        part: ``"magnitude"`` or what else it is.
        echo_time: ms.
        uid: of the image.
    """

    file: Path
    index: int
    shape: tuple[int, int]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness: float | None
    slope: float
    intercept: float
    part: str
    echo_time: float | None
    uid: str


def check_image(image: ImageFile) -> tuple[int, int]:
    """Check what a header says of its pixels.

    Returns:
        Rows and columns.

    Raises:
        ScanproofError: not MR, colours, white as zero, no size.
    """
    header, path = image.header, image.path
    modality = words(header, "Modality")
    if modality not in ([], ["MR"]):
        raise ScanproofError("must be MR", file=path, key="Modality", value=modality[0][:2])
    photometric = words(header, "PhotometricInterpretation")
    if number(header, "SamplesPerPixel", file=path) not in (None, 1) or photometric == ["PALETTE COLOR"]:
        raise ScanproofError("image must be grey: images are magnitudes, not colours", file=path, key="SamplesPerPixel")
    if photometric == ["MONOCHROME1"]:
        rule = "0 must be black (MONOCHROME2)"
        raise ScanproofError(rule, file=path, key="PhotometricInterpretation", value="MONOCHROME1")
    rows, columns = (number(header, key, file=path) for key in ("Rows", "Columns"))
    if not rows or not columns:
        raise ScanproofError("must be given; the file may be cut off", file=path, key="Rows and Columns")
    return int(rows), int(columns)


def frames_of(image: ImageFile) -> list[Frame]:
    """The frames of a file: one, or those that the functional groups of an enhanced image describe.

    Raises:
        ScanproofError: from :func:`check_image`; a frame without position, orientation or pixel size, or several
            frames that say nothing of themselves.
    """
    shape = check_image(image)
    header, path = image.header, image.path
    count = int(number(header, "NumberOfFrames", file=path) or 1)
    own = _items(header, "PerFrameFunctionalGroupsSequence")
    if not own and count == 1:
        return [_frame(image, 0, shape, [header])]
    if len(own) != count:
        rule = f"must describe each of the file's {count} frames"
        raise ScanproofError(rule, file=path, key="PerFrameFunctionalGroupsSequence", value=len(own))
    shared = _items(header, "SharedFunctionalGroupsSequence")[:1]
    common = [item for group in shared for item in _groups(group)]
    # what a frame says of itself comes first, the header last
    return [_frame(image, k, shape, [*_groups(group), *common, header]) for k, group in enumerate(own)]


def _frame(image: ImageFile, index: int, shape: tuple[int, int], sources: Sequence[Dataset]) -> Frame:
    path = image.path

    def find(keyword: str, count: int) -> tuple[float, ...] | None:
        for source in sources:
            found = numbers(source, keyword, count=count, file=path)
            if found is not None:
                return found
        return None

    def need(keyword: str, count: int) -> tuple[float, ...]:
        found = find(keyword, count)
        if found is None:
            tiles = "VFRAME" in words(image.header, "ImageType")
            hint = "the file holds a volume in tiles: convert the series with dcm2niix" if tiles else None
            raise ScanproofError("must be given for every image", file=path, key=keyword, hint=hint)
        return found

    def find_one(keyword: str) -> float | None:
        found = find(keyword, 1)
        return None if found is None else found[0]

    spacing = need("PixelSpacing", 2)
    if min(spacing) <= 0:
        raise ScanproofError("must be positive", file=path, key="PixelSpacing", value=list(spacing))
    slope, intercept = find_one("RescaleSlope"), find_one("RescaleIntercept")
    if slope == 0:
        raise ScanproofError("must not be 0", file=path, key="RescaleSlope")
    echo_time = find_one("EffectiveEchoTime")
    return Frame(
        file=path,
        index=index,
        shape=shape,
        position=need("ImagePositionPatient", 3),
        orientation=need("ImageOrientationPatient", 6),
        spacing=spacing,
        thickness=find_one("SpacingBetweenSlices") or find_one("SliceThickness"),
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        part=_part(image.header, sources),
        echo_time=find_one("EchoTime") if echo_time is None else echo_time,
        uid=str(image.header.get("SOPInstanceUID", path.name)),
    )


def _part(header: Dataset, sources: Sequence[Dataset]) -> str:
    """Whether an image is a magnitude, or what else."""
    for source in sources:
        kind = [*words(source, "ImageType")[2:], *words(source, "FrameType")[2:]]
        for word in (*words(source, "ComplexImageComponent"), *kind):
            if word in ("M", "MAGNITUDE"):  # of a frame, before what the header says of all
                return "magnitude"
            if word in _PARTS:
                return _PARTS[word]
    if GEMS_PART in header and str(header[GEMS_CREATOR].value if GEMS_CREATOR in header else "") == "GEMS_PARM_01":
        value = header[GEMS_PART].value
        return _GEMS_PARTS[value] if isinstance(value, int) and 0 <= value < len(_GEMS_PARTS) else "magnitude"
    return "magnitude"


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(dataset.get(keyword) or [])


def _groups(group: Dataset) -> list[Dataset]:
    """The items of the functional groups of a frame, each of which holds elements of one kind."""
    from pydicom.sequence import Sequence as Items

    return [item for element in group if isinstance(element.value, Items) for item in element.value[:1]]
