"""What all readers of volumes check, and how a volume is turned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scanproof.data.readers.base import Volume
from scanproof.errors import ScanproofError

#: volumes with more voxels than this are refused before they are read
MAX_VOXELS = 2**31


def check_size(shape: Sequence[int], *, file: Path) -> None:
    """Check the size that a header claims, before anything is allocated.

    Raises:
        ScanproofError: an empty volume, or more than :data:`MAX_VOXELS` voxels.

    Example:
        >>> check_size((256, 256, 10**8), file=Path("a.nii"))
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: a.nii: shape: volume must have between 1 and 2147483648 voxels, ...
    """
    if min(shape, default=0) < 1 or np.prod(shape, dtype=float) > MAX_VOXELS:
        rule = f"volume must have between 1 and {MAX_VOXELS} voxels"
        raise ScanproofError(rule, file=file, key="shape", value=tuple(shape))


def upright(voxels: np.ndarray, affine: np.ndarray, *, file: Path) -> Volume:
    """A volume turned to the closest right-anterior-superior orientation.

    Axes are swapped and flipped, nothing is interpolated: an oblique volume stays oblique.

    Args:
        voxels: float32 (I, J, K).
        affine: (4, 4), from voxel indices to mm in right-anterior-superior order.
        file: where it was read from, for errors.

    Raises:
        ScanproofError: NaN or infinite voxels, no positive voxel, no voxel size, axes that lie in one plane.
    """
    from nibabel.affines import voxel_sizes
    from nibabel.orientations import apply_orientation, io_orientation

    sizes = voxel_sizes(affine)  # type: ignore[no-untyped-call]
    if not np.isfinite(affine).all() or not (sizes > 0).all():
        raise ScanproofError("voxel size must be positive", file=file, key="affine", value=[float(x) for x in sizes])
    # for unit axes the determinant is the volume of the cell that they span: one where they are at right angles
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < 0.1:
        raise ScanproofError("axes of the volume must not lie in one plane", file=file, key="affine")
    low, high = float(voxels.min()), float(voxels.max())  # NaN where any voxel is
    if not np.isfinite([low, high]).all():
        broken = int((~np.isfinite(voxels)).sum())
        raise ScanproofError("voxels must be finite", file=file, key="voxels", value=f"{broken} NaN or infinite")
    if high <= 0:
        raise ScanproofError("volume must have positive voxels", file=file, key="voxels", value=f"maximum {high:g}")
    turns = io_orientation(affine)  # type: ignore[no-untyped-call]
    turned = np.asarray(apply_orientation(voxels, turns), dtype=np.float32)  # type: ignore[no-untyped-call]
    spacing = [float(sizes[axis]) for axis in np.argsort(turns[:, 0])]
    return Volume(voxels=turned, spacing=(spacing[0], spacing[1], spacing[2]))
