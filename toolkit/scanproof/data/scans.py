"""Measured k-space of a cohort, which may be larger than memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import torch
from torch import Tensor

from scanproof.errors import ScanproofError

#: what is kept of scans, as names of arrays
ARRAYS = ("kspace", "sensitivities")


@dataclass(frozen=True, kw_only=True)
class Scans:
    """k-space of slices and the sensitivities of its coils.

    Arrays may be memory-mapped files: a slice is read when it is asked for, and no other.

    Args:
        kspace: complex64 (M, coil, H, W), as measured.
        sensitivities: complex64 of the same shape, root-sum-of-squares one within the object and zero outside.
        scale: float32 (M,), what k-space is multiplied with to have a volume's 99th percentile at one.
        spacing: float32 (M, 2), in-plane voxel size in mm, (row, column).
        rows: which of the M slices belong to the cohort, in the order of its cases.

    Raises:
        ScanproofError: shapes that do not fit each other.
    """

    kspace: np.ndarray
    sensitivities: np.ndarray
    scale: np.ndarray
    spacing: np.ndarray
    rows: np.ndarray

    def __post_init__(self) -> None:
        if self.kspace.ndim != 4 or self.kspace.shape != self.sensitivities.shape:
            rule = f"sensitivities must have the shape of k-space (M, coil, H, W), {self.kspace.shape}"
            raise ScanproofError(rule, value=self.sensitivities.shape)
        if len(self.scale) != len(self.kspace) or self.spacing.shape != (len(self.kspace), 2):
            rule = f"scale and spacing must be given for each of {len(self.kspace)} slices"
            raise ScanproofError(rule, value=(self.scale.shape, self.spacing.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Scaled k-space and sensitivities of a case, both complex64 (coil, H, W)."""
        row = int(self.rows[index])
        kspace, sensitivities = (torch.from_numpy(np.array(x[row])) for x in (self.kspace, self.sensitivities))
        return kspace * float(self.scale[row]), sensitivities

    def spacing_of(self, index: int) -> tuple[float, float]:
        """In-plane voxel size of a case in mm, (row, column)."""
        row, column = self.spacing[int(self.rows[index])]
        return float(row), float(column)

    def select(self, rows: np.ndarray) -> Scans:
        """Some of the cases, as a bool array says; copies nothing."""
        return replace(self, rows=self.rows[rows])


class ArrayFile:
    """A NumPy file that is written piece by piece along the first axis, so that it need not fit into memory.

    Args:
        path: of the ``.npy`` file.
        shape: of the whole array.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with ArrayFile(Path(folder) / "a.npy", (3, 2)) as file:
        ...         file.append(np.ones((2, 2), np.complex64))
        ...         file.append(np.zeros((1, 2), np.complex64))
        ...     np.load(Path(folder) / "a.npy").real.sum()
        np.float32(4.0)
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape = path, shape
        self._file: BinaryIO | None = None
        self._rows = 0

    def __enter__(self) -> Self:
        self._file = self.path.open("wb")
        layout = {"descr": "<c8", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self._file, layout)
        return self

    def append(self, part: np.ndarray) -> None:
        """Write the next rows, complex64.

        Raises:
            ScanproofError: rows of another shape, or more than there are.
        """
        self._rows += len(part)
        if part.shape[1:] != self.shape[1:] or self._rows > self.shape[0]:
            raise ScanproofError(f"must be rows of {self.shape}", key=self.path.name, value=part.shape)
        assert self._file is not None  # noqa: S101
        self._file.write(np.ascontiguousarray(part, dtype="<c8").tobytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
