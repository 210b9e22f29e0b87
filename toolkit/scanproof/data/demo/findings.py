"""What a reader may find in a slice of the demo cohort, defined by its lesion map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import torch

from scanproof.data.demo.anatomy import SPACING_MM
from scanproof.data.demo.lesions import MIN_AREA_MM2, VISIBLE_SHARE
from scanproof.errors import ScanproofError, unknown_name

#: the finding that every study had before there were others
LESION: Final = "lesion"
#: area of a large lesion (mm²), that of a disc of 16 mm; about a quarter of all slices show one
LARGE_AREA_MM2 = 200.0
#: smallest area (mm²) of a lesion that counts where several are counted
COUNTED_AREA_MM2 = 24.0
#: between the hemispheres, template voxels of 2 mm; the first axis runs to the right
MIDLINE = 49.0

#: finding to its definition
FINDINGS: dict[str, str] = {
    LESION: f"lesion shows in the slice, in at least {MIN_AREA_MM2:g} mm² of it",
    "large_lesion": f"a lesion of at least {LARGE_AREA_MM2:g} mm² in the plane",
    "several_lesions": f"at least two lesions of at least {COUNTED_AREA_MM2:g} mm² each, apart in the plane",
    "left_lesion": f"at least {MIN_AREA_MM2:g} mm² of lesion in the left hemisphere",
    "right_lesion": f"at least {MIN_AREA_MM2:g} mm² of lesion in the right hemisphere",
}


def check_findings(names: Iterable[str], *, key: str | None = None) -> None:
    """Check that the demo cohort has such labels.

    Raises:
        ScanproofError: an unknown finding; the text lists the known ones.
    """
    for name in names:
        if name not in FINDINGS:
            raise unknown_name("finding of the demo cohort", name, FINDINGS, key=key)


def read_findings(share: torch.Tensor, points: torch.Tensor) -> Mapping[str, np.ndarray]:
    """Which findings the slices of a subject show.

    A pixel counts where lesion takes at least :data:`~scanproof.data.demo.lesions.VISIBLE_SHARE` of it. Pixels that
    touch, be it at a corner, are one lesion.

    Args:
        share: float32 (slices, H, W), share of lesion that the image shows; pixels of 2 mm.
        points: float32 (slices, H, W, 3), template voxel coordinates of the pixels.

    Returns:
        For each name of :data:`FINDINGS`, bool (slices,).

    Example:
        >>> share = torch.zeros(1, 16, 16)
        >>> share[0, 2:10, 2:10] = 1  # 256 mm²
        >>> x = torch.linspace(30, 45, 16).expand(1, 16, 16)  # left of the midline
        >>> found = read_findings(share, torch.stack([x, x, x], dim=-1))
        >>> [name for name, slices in found.items() if slices[0]]
        ['lesion', 'large_lesion', 'left_lesion']
    """
    if points.shape[:-1] != share.shape:
        raise ScanproofError("points must belong to the pixels", key="points", value=tuple(points.shape))
    visible = (share >= VISIBLE_SHARE).numpy()
    right = (points[..., 0] > MIDLINE).numpy()
    areas = [_areas(slice_) for slice_ in visible]
    return {
        LESION: _area(visible) >= MIN_AREA_MM2,
        "large_lesion": np.array([area.max(initial=0) >= LARGE_AREA_MM2 for area in areas]),
        "several_lesions": np.array([(area >= COUNTED_AREA_MM2).sum() >= 2 for area in areas]),
        "left_lesion": _area(visible & ~right) >= MIN_AREA_MM2,
        "right_lesion": _area(visible & right) >= MIN_AREA_MM2,
    }


def _area(pixels: np.ndarray) -> np.ndarray:
    """Area in mm² of the pixels of each slice."""
    area: np.ndarray = pixels.sum(axis=(1, 2)) * SPACING_MM**2
    return area


def _areas(visible: np.ndarray) -> np.ndarray:
    """Area in mm² of each lesion of one slice (H, W)."""
    from scipy.ndimage import label

    parts, count = label(visible, structure=np.ones((3, 3)))
    return np.bincount(parts.ravel(), minlength=count + 1)[1:] * SPACING_MM**2
