"""DICOM files: which of a folder are images, and of which series."""

from __future__ import annotations

import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: how names end that only DICOM files have; most have none, or a number
SUFFIXES = (".dcm", ".dicom", ".ima")

#: private elements of GE: their creator, and the number of magnitude, phase, real or imaginary part
GEMS_CREATOR, GEMS_PART = 0x00430010, 0x0043102F
#: the transfer syntax whose elements are compressed, and how far into a file it is named
_DEFLATED, _HEAD = b"1.2.840.10008.1.2.1.99", 2**16
#: a file that unpacks to more than so many bytes may unpack to so many times its own
_LITTLE, _RATIO = 2**26, 200
#: all that is read of a header, so that nothing else can leave it
TAGS: Final[list[str]] = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "ImageType"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "ComplexImageComponent"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("RescaleSlope", "RescaleIntercept", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("MagneticFieldStrength", "ScanningSequence", "EchoTime", "RepetitionTime", "FlipAngle", "PixelBandwidth"),
    *(f"{tag:08X}" for tag in (GEMS_CREATOR, GEMS_PART)),
]


@dataclass(frozen=True)
class ImageFile:
    """A DICOM file that holds an image.

    Args:
        path: where it lies.
        header: the elements of :data:`TAGS`.
    """

    path: Path
    header: Dataset


def split_series(path: Path) -> tuple[Path, int | None]:
    """A path, and the number of a series if one is named.

    Example:
        >>> split_series(Path("/data/P-017#3"))[1]
        3
    """
    name = re.fullmatch(r"(.+)#(\d+)", path.name)
    if name is None or path.exists():
        return path, None
    return path.with_name(name[1]), int(name[2])


def is_dicom(path: Path) -> bool:
    """Whether a file starts as a DICOM file, with or without preamble."""
    try:
        if not path.is_file():  # what waits for somebody to write is not opened
            return False
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    if head[128:] == b"DICM":
        return True
    # without one, the first element is of the group of meta elements or of the next, in little endian
    return len(head) == 132 and struct.unpack("<HH", head[:4]) in [(2, 0), (8, 0), (8, 1), (8, 5), (8, 8), (8, 22)]


def image_files(path: Path) -> list[ImageFile]:
    """The images of one series, by name; files that are no images are left out.

    Args:
        path: a file, a folder, or ``FOLDER#NUMBER``.

    Raises:
        ScanproofError: a file that cannot be read, no image, several series, no series of that number.
    """
    place, number = split_series(path)
    if place.is_file():
        image = _open_image(place)
        if image is None:
            raise ScanproofError("DICOM file must hold an image: it is a directory, report or the like", file=place)
        return [image]
    images = [image for file in _files(place) if (image := _open_image(file)) is not None]
    if not images:
        raise ScanproofError("folder must hold DICOM images", file=place)
    return _one_series(images, place, number)


def numbers(dataset: Dataset, keyword: str, *, count: int, file: Path) -> tuple[float, ...] | None:
    """The numbers of an element; None where it is missing or empty.

    Raises:
        ScanproofError: another number of them, or what is not a finite number. The text does not hold what is.
    """
    try:
        value = dataset.get(keyword)  # pydicom converts it here
        if value is None or value == "":
            return None
        found = tuple(float(x) for x in ([value] if isinstance(value, int | float | str) else value))
    except (ValueError, TypeError, OverflowError, NotImplementedError, struct.error):
        found = ()
    if len(found) != count or not all(isfinite(x) for x in found):
        rule = "must be a finite number" if count == 1 else f"must be {count} finite numbers"
        raise ScanproofError(rule, file=file, key=keyword)
    return found


def number(dataset: Dataset, keyword: str, *, file: Path) -> float | None:
    """The one number of an element; errors as of :func:`numbers`."""
    found = numbers(dataset, keyword, count=1, file=file)
    return None if found is None else found[0]


def words(dataset: Dataset, keyword: str) -> list[str]:
    """The words of an element, in capitals; none where it is missing or broken."""
    try:
        value = dataset.get(keyword) or []
        return [str(word).strip().upper() for word in ([value] if isinstance(value, str) else value)]
    except (ValueError, TypeError, NotImplementedError, struct.error):
        return []


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what pydicom warns of and logs: it repeats values of the header."""
    logger = logging.getLogger("pydicom")
    silent, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = silent


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What pydicom raises, in one line that repeats nothing of the header."""
    from pydicom.errors import InvalidDicomError

    try:
        yield
    except ScanproofError:
        raise
    except InvalidDicomError:
        raise ScanproofError("file must be DICOM", file=path) from None
    except EOFError:
        raise ScanproofError("file must be whole: it ends too early", file=path) from None
    except OSError as error:
        raise ScanproofError(f"file must be readable: {error.strerror or 'it is damaged'}", file=path) from None
    except Exception as error:  # for damaged files pydicom raises many kinds
        raise ScanproofError(f"file must be readable DICOM: {type(error).__name__}", file=path) from None


def _files(folder: Path) -> Iterator[Path]:
    """Files of a folder that start as DICOM files, or are called so."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ScanproofError(f"folder must be readable: {error.strerror}", file=folder) from error
    for path in found:
        if path.is_dir() or path.name.startswith("."):
            continue
        suffix = path.suffix.lower()
        usual = suffix in ("", *SUFFIXES) or suffix[1:].isdigit()
        if is_dicom(path) or suffix in SUFFIXES or (usual and _is_empty(path)):
            yield path


def _is_empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _open_image(path: Path) -> ImageFile | None:
    """An image with its header; None for DICOM files that hold something else."""
    from pydicom import dcmread
    from pydicom.uid import UID

    if path.exists() and _is_empty(path):
        raise ScanproofError("file must not be empty", file=path)
    with readable(path):
        _check_deflated(path)
        # without a preamble pydicom must be forced
        header = dcmread(path, stop_before_pixels=True, specific_tags=TAGS, force=is_dicom(path))
        uid = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
        name = UID(str(uid)).name if uid else None
        if name is not None and name != str(uid) and not name.endswith("Image Storage"):
            return None
        if "Rows" not in header:  # images have it, others are known by their class
            raise ScanproofError("file must be whole: it does not say how large its image is", file=path)
    return ImageFile(path, header)


def _check_deflated(path: Path) -> None:
    """Refuse a file whose elements are compressed as a whole and unpack to too much: pydicom unpacks all of it."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if _DEFLATED not in head:
            return
        file.seek(144 + int.from_bytes(head[140:144], "little"))  # behind the meta elements, whose length comes first
        unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        most = max(_LITTLE, _RATIO * path.stat().st_size)
        while not unpacker.eof and (packed := unpacker.unconsumed_tail or file.read(_HEAD)):
            total += len(unpacker.decompress(packed, 2**20))
            if total > most:
                rule = f"file must not unpack to more than {_RATIO} times its size"
                raise ScanproofError(rule, file=path, key="TransferSyntaxUID", value="deflated")


def _count(files: list[ImageFile]) -> str:
    return "1 file" if len(files) == 1 else f"{len(files)} files"


def _one_series(images: list[ImageFile], folder: Path, number_of_it: int | None) -> list[ImageFile]:
    series: dict[tuple[int | None, str], list[ImageFile]] = {}
    for image in images:
        found = number(image.header, "SeriesNumber", file=image.path)
        key = (None if found is None else int(found), str(image.header.get("SeriesInstanceUID")))
        series.setdefault(key, []).append(image)
    chosen = [key for key in series if number_of_it in (None, key[0])]
    listed = [f"number {n} ({_count(files)})" for (n, _), files in sorted(series.items(), key=lambda s: len(s[1]))]
    if not chosen:
        rule = f"folder must hold a series of number {number_of_it}"
        raise ScanproofError(rule, file=folder, value=", ".join(listed))
    if len(chosen) > 1:
        numbered = {n for n, _ in chosen}
        biggest = max(chosen, key=lambda key: len(series[key]))[0]
        hint = f"write the number behind the folder, as in {folder.name}#{biggest}"
        if len(numbered) < len(chosen) or None in numbered:
            hint = "put each series into a folder of its own"
        value = f"{len(series)}: {', '.join(listed)}"
        raise ScanproofError("folder must hold one series", file=folder, key="series", value=value, hint=hint)
    return series[chosen[0]]
