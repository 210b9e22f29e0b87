"""What every reader gives, whatever the format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

#: what a file can give; also the kinds of data that a study asks for
Gives = Literal["volumes", "images", "kspace"]


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file or folder says of itself before its pixels are read. Nothing in it identifies a patient.

    Args:
        format: as a reader of a page would call it, e.g. ``"DICOM series"``.
        shape: of one volume (X, Y, Z), of an image (rows, columns), of k-space (slices, coils, rows, columns).
        spacing: size of a voxel in mm, in the order of the spatial axes of ``shape``; None where the format does not
            tell.
        facts: acquisition facts from a fixed list of keys, e.g. field strength, sequence, echo time (ms).
    """

    format: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Magnitude images of one examination.

    Args:
        voxels: float32 (X, Y, Z), finite, in right-anterior-superior order.
        spacing: voxel size in mm (x, y, z).
    """

    voxels: np.ndarray
    spacing: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class MeasuredKspace:
    """Multi-coil k-space of slices of one examination, as a scanner measured it.

    Args:
        kspace: complex64 (slice, coil, H, W), centred orthonormal FFT of the coil images; H is the readout, W the
            phase encoding. Zero where nothing was measured.
        mask: bool (W,), the phase-encoding lines that were measured.
        spacing: size in mm of a pixel of the images, (row, column); None where the file does not tell.
        slice_distance: mm between the centres of neighbouring slices; None where the file does not tell.
    """

    kspace: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float] | None
    slice_distance: float | None = None


@runtime_checkable
class Reader(Protocol):
    """A format.

    Every method raises :class:`~scanproof.errors.ScanproofError`, naming the file and the rule it breaks, for whatever
    is wrong with a file; nothing is allocated before the size that a header claims was found plausible.
    """

    #: whether it gives volumes or single images of magnitudes, or k-space
    gives: ClassVar[Gives]
    #: as an error lists it, e.g. ``"NIfTI (.nii, .nii.gz)"``
    format: ClassVar[str]

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder is of this format, by its name and first bytes."""
        ...

    def header(self, path: Path) -> Header:
        """What it says of itself, without reading pixels where the format allows."""
        ...

    def contents(self, path: Path) -> Sequence[Path]:
        """The files behind a path, in a fixed order: one, or those of a series. Their bytes make the content hash."""
        ...


class VolumeReader(Reader, Protocol):
    """A format of magnitude volumes, or of single images: volumes of one slice."""

    def read(self, path: Path) -> Volume:
        """Read the volume."""
        ...


class KspaceReader(Reader, Protocol):
    """A format of raw data."""

    def read(self, path: Path, slices: Sequence[int]) -> MeasuredKspace:
        """Read the chosen slices, and no others."""
        ...
