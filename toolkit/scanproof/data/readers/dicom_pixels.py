"""Pixels of DICOM files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import ceil, prod, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from scanproof.data.readers.dicom_files import is_dicom, number, quiet, readable
from scanproof.data.readers.dicom_frames import Frame
from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from nibabel.nicom.dicomwrappers import MosaicWrapper
    from pydicom.dataset import Dataset

#: what decoding needs
_TAGS: Final[list[str]] = [
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration", "PixelPaddingValue"),
    *("PixelPaddingRangeLimit", "FloatPixelData", "DoubleFloatPixelData", "PixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
]
#: decoded pixels may take so many times the bytes of compressed ones; empty images come near it
_RATIO = 1000


def read_frames(frames: Sequence[Frame]) -> np.ndarray:
    """The magnitudes of frames of one shape, float32 (frame, row, column): stored value x slope + intercept.

    Pixels that the header calls padding are 0. A file is opened once for frames of it that follow each other.

    Raises:
        ScanproofError: pixels that are missing, cut off or compressed in a way that nothing installed can decode.
    """
    found = np.empty((len(frames), *frames[0].shape), np.float32)
    start = 0
    for file, group in groupby(frames, key=lambda frame: frame.file):
        members = list(group)
        dataset, pixels = _decode(file)
        for k, frame in enumerate(members, start):
            stored = pixels[frame.index] if pixels.ndim == 3 else pixels
            if stored.shape != frame.shape:
                raise ScanproofError("pixels must be rows and columns", file=file, key="PixelData", value=stored.shape)
            found[k] = stored * np.float64(frame.slope) + frame.intercept
            found[k][_padding(dataset, stored, file)] = 0
        start += len(members)
    return found


def open_mosaic(path: Path, *, pixels: bool) -> MosaicWrapper:
    """A MOSAIC file of Siemens, the slices of one volume in tiles, as nibabel reads it.

    Number, order and direction of the slices stand in a private element (CSA).

    Raises:
        ScanproofError: an unreadable file, or one without that element.
    """
    from pydicom import dcmread

    with readable(path), quiet():  # nibabel calls it experimental; MOSAIC is what it was written for
        from nibabel.nicom.dicomwrappers import MosaicWrapper, wrapper_from_data

        dataset = dcmread(path, stop_before_pixels=not pixels, force=is_dicom(path))
        if pixels:
            _check_decodable(dataset, path)
        wrapper = wrapper_from_data(dataset)  # type: ignore[no-untyped-call]
        if not isinstance(wrapper, MosaicWrapper) or wrapper.affine is None:
            rule = "MOSAIC must come with the position of its slices (CSA header)"
            hint = "convert the series with dcm2niix"
            raise ScanproofError(rule, file=path, key="ImageType", value="MOSAIC", hint=hint)
        slices = int(wrapper.image_shape[2])
        across = ceil(sqrt(slices))
        size = (int(dataset.Rows), int(dataset.Columns))
        if size[0] % across or size[1] % across:
            rule = f"MOSAIC of {slices} slices must be {across} x {across} tiles of equal size"
            raise ScanproofError(rule, file=path, key="Rows and Columns", value=size)
    return wrapper


def read_mosaic(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The volume of a MOSAIC file, float32 (row, column, slice), and its affine to left-posterior-superior mm.

    Raises:
        ScanproofError: from :func:`open_mosaic`.
    """
    wrapper = open_mosaic(path, pixels=True)
    with readable(path):
        voxels = np.asarray(wrapper.get_data(), dtype=np.float32)  # type: ignore[no-untyped-call]
        return voxels, np.asarray(wrapper.affine, dtype=np.float64)


def _decode(path: Path) -> tuple[Dataset, np.ndarray]:
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    with readable(path):
        dataset = dcmread(path, specific_tags=_TAGS, force=is_dicom(path))
        if "TransferSyntaxUID" not in dataset.file_meta:  # a file without preamble
            implicit = dataset.original_encoding[0]
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        _check_decodable(dataset, path)
        return dataset, pixel_array(dataset)


def _check_decodable(dataset: Dataset, path: Path) -> None:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    held = [key for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if key in dataset]
    if not held:
        raise ScanproofError("must be given; the file may be cut off", file=path, key="PixelData")
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise ScanproofError("must be one of the standard", file=path, key="TransferSyntaxUID")
    sizes = [int(number(dataset, key, file=path) or 1) for key in ("Rows", "Columns", "NumberOfFrames")]
    bits = int(number(dataset, "BitsAllocated", file=path) or 0)
    needed = (prod(sizes) * bits + 7) // 8
    stored = len(dataset[held[0]].value or b"")
    if syntax.is_compressed and needed > _RATIO * stored:
        rule = f"file must be whole: pixels take {needed} bytes, more than {_RATIO} times what is stored"
        raise ScanproofError(rule, file=path, key=held[0], value=stored)
    if syntax.is_compressed:
        if not get_decoder(syntax).is_available:
            rule = "pixels must be compressed in a way that can be decoded here"
            hint = "export them uncompressed, or install pylibjpeg with pylibjpeg-libjpeg"
            raise ScanproofError(rule, file=path, key="TransferSyntaxUID", value=syntax.name, hint=hint)
        return
    if stored < needed:
        raise ScanproofError(f"file must be whole: pixels take {needed} bytes", file=path, key=held[0], value=stored)


def _padding(dataset: Dataset, stored: np.ndarray, path: Path) -> np.ndarray:
    """Where pixels fill up the image."""
    values = [number(dataset, key, file=path) for key in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    given = [value for value in values if value is not None]
    if not given or values[0] is None:
        return np.zeros(stored.shape, dtype=bool)
    return (stored >= min(given)) & (stored <= max(given))
