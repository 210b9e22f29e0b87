"""Real anatomy for the demo cohort: the MNI152 template and its tissue maps, as nilearn ships them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

#: voxel size of the grid on which the template is held, in mm
SPACING_MM = 2.0


@dataclass(frozen=True)
class Anatomy:
    """Tissue maps of one head.

    Args:
        maps: float32 (4, X, Y, Z) in [0, 1]: white matter, grey matter, cerebrospinal fluid (shares of a voxel)
            and the texture that tissue shares do not explain (one where they explain all).
    """

    maps: torch.Tensor


@lru_cache(maxsize=1)
def mni152() -> Anatomy:
    """The ICBM 152 (2009a, symmetric) average brain on a 2 mm grid, axes right, anterior, superior.

    Source: Fonov et al., NeuroImage 2011, doi:10.1016/j.neuroimage.2010.07.033; the files come with nilearn, so
    nothing is downloaded. Cerebrospinal fluid is what the brain mask holds besides white and grey matter.
    """
    from nilearn import datasets

    def volume(image: object) -> torch.Tensor:
        data = torch.as_tensor(image.get_fdata(dtype="float32"))  # type: ignore[attr-defined]
        return data.clamp(0, 1)

    t1 = volume(datasets.load_mni152_template(resolution=int(SPACING_MM)))
    white = volume(datasets.load_mni152_wm_template(resolution=int(SPACING_MM)))
    grey = volume(datasets.load_mni152_gm_template(resolution=int(SPACING_MM)))
    brain = volume(datasets.load_mni152_brain_mask(resolution=int(SPACING_MM)))
    total = (white + grey).clamp(min=1)
    white, grey = white / total * brain, grey / total * brain
    fluid = (brain - white - grey).clamp(0, 1)

    inside = brain > 0.5
    shares = torch.stack([white[inside], grey[inside], fluid[inside]], dim=1)
    explained = (shares * _least_squares(shares, t1[inside])).sum(dim=1)
    texture = torch.ones_like(t1)
    texture[inside] = (t1[inside] / explained.clamp(min=0.1)).clamp(0.75, 1.25)
    return Anatomy(torch.stack([white, grey, fluid, texture]))


def _least_squares(columns: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Weights of the columns (N, 3) that explain the target (N,) best, to six decimals.

    LAPACK's least squares differ in the last bits from call to call, with where its work space happens to lie in
    memory; the normal equations in double precision, rounded, do not.
    """
    wide = columns.double()
    gram = (wide[:, :, None] * wide[:, None, :]).sum(dim=0)
    moment = (wide * target.double()[:, None]).sum(dim=0)
    weights: torch.Tensor = torch.linalg.solve(gram, moment)
    return weights.mul(1e6).round().div(1e6).float()


def sample(volume: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Trilinear values of a volume at points.

    Args:
        volume: float32 (C, X, Y, Z).
        points: float32 (..., 3), voxel coordinates (x, y, z); outside the volume the value is zero.

    Returns:
        float32 (C, ...).
    """
    size = torch.tensor(volume.shape[1:], dtype=points.dtype)
    unit = 2 * points / (size - 1) - 1
    grid = unit.flip(-1).reshape(1, 1, 1, -1, 3)
    values = F.grid_sample(volume[None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return values.reshape(volume.shape[0], *points.shape[:-1])
