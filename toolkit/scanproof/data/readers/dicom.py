"""DICOM series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from scanproof.data.readers.base import Gives, Header, Volume
from scanproof.data.readers.dicom_files import (
    SUFFIXES,
    ImageFile,
    image_files,
    is_dicom,
    numbers,
    quiet,
    readable,
    split_series,
    words,
)
from scanproof.data.readers.dicom_frames import Frame, check_image, frames_of
from scanproof.data.readers.dicom_pixels import open_mosaic, read_frames, read_mosaic
from scanproof.data.readers.dicom_stack import stack
from scanproof.data.readers.voxels import check_size, upright
from scanproof.errors import ScanproofError

#: from left-posterior-superior to right-anterior-superior
_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
#: acquisition facts that may leave a header: element, what it is called, unit
_FACTS: Final = (
    ("MagneticFieldStrength", "field strength", "T"),
    ("EchoTime", "echo time", "ms"),
    ("RepetitionTime", "repetition time", "ms"),
    ("FlipAngle", "flip angle", "degrees"),
    ("PixelBandwidth", "pixel bandwidth", "Hz"),
)
_SEQUENCES: Final = ("SE", "IR", "GR", "EP", "RM")


class DicomReader:
    """A DICOM series: a folder with one image a file, or a file, single-frame or enhanced multi-frame.

    Slices are ordered by position along their normal, values rescaled (frame by frame where they say so), axes turned
    from left-posterior-superior. Text files, directories, reports and presentation states beside the images are left
    out. Of several series in a folder one is chosen by ``FOLDER#NUMBER``. MOSAIC files of Siemens are volumes of
    their own. Refused with the reason: several volumes, missing slices, phase images, colours, tiles without
    positions. Of the header nothing leaves the reader but a fixed list of acquisition facts.

    MONAI's ``PydicomReader`` is not used here: it orders slices by their instance number, whether the series is one
    volume or several; takes uneven distances for even ones and enhanced images for volumes at the origin; and hands
    on the whole header. Where a series is one plain volume, both give the same, as the tests hold.

    Example:
        >>> DicomReader().recognises(Path("a/IM0001.dcm"))
        True
    """

    gives: ClassVar[Gives] = "volumes"
    format: ClassVar[str] = "DICOM (a file, or the folder of a series)"

    def recognises(self, path: Path) -> bool:
        """Whether a file starts as DICOM files do or is called so, or a folder holds such files."""
        place, _ = split_series(path)
        try:
            if place.is_dir():
                return any(file.suffix.lower() in SUFFIXES or is_dicom(file) for file in place.iterdir())
        except OSError:
            return False
        return place.suffix.lower() in SUFFIXES or is_dicom(place)

    @quiet()
    def header(self, path: Path) -> Header:
        """Shape, voxel size and acquisition facts; all checks but those of the pixels."""
        images = image_files(path)
        if _is_mosaic(images[0]):
            wrapper = open_mosaic(_one_mosaic(images, path), pixels=False)
            shape, sizes = wrapper.image_shape, wrapper.voxel_sizes
        else:
            frames, affine = _stacked(images, path)
            shape = (*frames[0].shape, len(frames))
            sizes = np.linalg.norm(affine[:3, :3], axis=0)
        a, b, c = (float(size) for size in sizes)
        return Header(
            format="DICOM series" if len(images) > 1 else "DICOM file",
            shape=tuple(int(n) for n in shape),
            spacing=(a, b, c),
            facts=_facts(images[0]),
        )

    @quiet()
    def contents(self, path: Path) -> Sequence[Path]:
        """The files of the series, in the order of their identifiers: renaming files changes nothing."""
        images = image_files(path)
        return [image.path for image in sorted(images, key=lambda i: (str(i.header.get("SOPInstanceUID")), i.path))]

    @quiet()
    def read(self, path: Path) -> Volume:
        """Read the volume.

        Raises:
            ScanproofError: naming the file or folder, the element and the rule that it breaks.
        """
        images = image_files(path)
        if _is_mosaic(images[0]):
            voxels, affine = read_mosaic(_one_mosaic(images, path))
        else:
            frames, affine = _stacked(images, path)
            voxels = read_frames(frames).transpose(1, 2, 0)
        return upright(voxels, _TO_RAS @ affine, file=path)


def _stacked(images: Sequence[ImageFile], path: Path) -> tuple[list[Frame], np.ndarray]:
    frames: list[Frame] = []
    for image in images:
        with readable(image.path):
            frames += frames_of(image)
    check_size((*frames[0].shape, len(frames)), file=path)
    return stack(frames, place=path)


def _is_mosaic(image: ImageFile) -> bool:
    return "MOSAIC" in words(image.header, "ImageType")


def _one_mosaic(images: Sequence[ImageFile], path: Path) -> Path:
    for image in images:
        rows, columns = check_image(image)
        check_size((rows, columns, 1), file=image.path)
    if len(images) > 1:
        hint = "each MOSAIC file is one: give the path of a file"
        raise ScanproofError("series must hold one volume", file=path, value=f"{len(images)} volumes", hint=hint)
    if {"P", "PHASE"} & set(words(images[0].header, "ImageType")):
        raise ScanproofError("images must be magnitudes", file=path, key="ImageType", value="phase")
    return images[0].path


def _facts(image: ImageFile) -> dict[str, str]:
    """What a header says of the acquisition, as far as it is plain numbers and known words."""
    facts = {"modality": "MR"} if words(image.header, "Modality") == ["MR"] else {}
    sequence = [word for word in words(image.header, "ScanningSequence") if word in _SEQUENCES]
    if sequence:
        facts["sequence"] = ", ".join(sequence)
    for keyword, name, unit in _FACTS:
        try:
            found = numbers(image.header, keyword, count=1, file=image.path)
        except ScanproofError:
            continue
        if found is not None:
            facts[name] = f"{found[0]:g} {unit}"
    return facts
