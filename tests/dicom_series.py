"""DICOM files as scanners write them, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

#: directions of rising columns and rising rows of an axial slice seen from the feet
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ORIGIN = (-31.5, 20.25, 7.0)

Change = Callable[[Dataset, int], None]


def uid(*parts: int) -> UID:
    """An identifier that depends on nothing but numbers."""
    return UID(".".join(["1.2.826.0.1.3680043.8.498", *(str(part + 1) for part in parts)]))


def ras_affine(
    orientation: Sequence[float] = AXIAL,
    *,
    spacing: tuple[float, float] = (1.5, 1.25),
    distance: float = 3.0,
    origin: Sequence[float] = ORIGIN,
) -> np.ndarray:
    """From (row, column, slice) to mm in right-anterior-superior order."""
    column, row = np.reshape(orientation, (2, 3))
    affine = np.eye(4)
    affine[:3] = np.stack([row * spacing[0], column * spacing[1], np.cross(column, row) * distance, origin], axis=1)
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def write_series(
    folder: Path,
    voxels: np.ndarray,
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = (1.5, 1.25),
    distance: float = 3.0,
    origin: Sequence[float] = ORIGIN,
    series: int = 1,
    names: Sequence[str] | None = None,
    change: Change | None = None,
    syntax: UID = ExplicitVRLittleEndian,
    kept: Callable[[int], bool] = lambda k: True,
) -> list[Path]:
    """Write (row, column, slice) one slice a file; ``change`` has the last word on the dataset of each."""
    folder.mkdir(parents=True, exist_ok=True)
    column, row = np.reshape(orientation, (2, 3))
    paths = []
    for k in range(voxels.shape[2]):
        if not kept(k):
            continue
        dataset = _dataset(MRImageStorage, uid(series, k), uid(series), series, syntax)
        dataset.InstanceNumber = k + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        dataset.ImageOrientationPatient = _digits(orientation)
        dataset.ImagePositionPatient = _digits(np.add(origin, np.cross(column, row) * distance * k))
        dataset.PixelSpacing = _digits(spacing)
        dataset.SliceThickness = "2"  # not the distance
        set_pixels(dataset, voxels[:, :, k], big=not syntax.is_little_endian)
        if change is not None:
            change(dataset, k)
        paths.append(folder / (names[k] if names else f"IM{k:04d}.dcm"))
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_enhanced(
    path: Path,
    voxels: np.ndarray,
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = (1.5, 1.25),
    distance: float = 3.0,
    origin: Sequence[float] = ORIGIN,
    order: Sequence[int] | None = None,
    slopes: Sequence[float] | None = None,
    change: Callable[[Dataset], None] | None = None,
) -> Path:
    """Write (row, column, slice) as the frames of one file, in any order, each with its slope."""
    dataset = _dataset(EnhancedMRImageStorage, uid(9, 0), uid(9), 9, ExplicitVRLittleEndian)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    column, row = np.reshape(orientation, (2, 3))
    order = list(range(voxels.shape[2])) if order is None else list(order)
    set_pixels(dataset, voxels[:, :, order].transpose(2, 0, 1))
    shared = Dataset()
    shared.PixelMeasuresSequence = Items([_item(PixelSpacing=_digits(spacing), SliceThickness="2")])
    shared.PlaneOrientationSequence = Items([_item(ImageOrientationPatient=_digits(orientation))])
    shared.MREchoSequence = Items([_item(EffectiveEchoTime=12.5)])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for k in order:
        frame = Dataset()
        position = np.add(origin, np.cross(column, row) * distance * k)
        frame.PlanePositionSequence = Items([_item(ImagePositionPatient=_digits(position))])
        if slopes is not None:
            values = {"RescaleSlope": str(slopes[k]), "RescaleIntercept": "-1", "RescaleType": "US"}
            frame.PixelValueTransformationSequence = Items([_item(**values)])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    if change is not None:
        change(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def set_pixels(dataset: Dataset, pixels: np.ndarray, *, big: bool = False) -> None:
    """Put (row, column) or (frame, row, column) of any whole number type into a dataset."""
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def _dataset(kind: UID, image: UID, series: UID, number: int, syntax: UID) -> Dataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = syntax, kind, image
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = kind, image, series
    dataset.Modality, dataset.SeriesNumber = "MR", number
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "P-017"
    dataset.MagneticFieldStrength, dataset.EchoTime, dataset.ScanningSequence = "3", "12.5", ["GR", "IR"]
    return dataset


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _digits(values: Sequence[float] | np.ndarray) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [f"{float(value):.10f}"[:16] for value in values]
