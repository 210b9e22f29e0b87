"""Heads that differ from the training population: smaller, broader, with wider ventricles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from scanproof.data.demo.anatomy import SPACING_MM
from scanproof.errors import ScanproofError

#: middle of the bodies of the lateral ventricles in the template, voxels of 2 mm
VENTRICLES = (49.0, 58.0, 44.0)
#: radius in the plane, and height above and below it, of the region that is magnified with the ventricles
REGION_MM, HEIGHT_MM = 45.0, 24.0


@dataclass(frozen=True, kw_only=True)
class HeadShape:
    r"""How a head differs from the one that the same subject has in the training population.

    Only the shape differs: what tissue a point of the head consists of, its lesions included, stays. All changes lie
    in the plane of the slices, so that a slice keeps its anatomical height and what is seen in it.

    ``size`` and ``aspect`` scale the two axes of the plane. ``ventricles`` magnifies the template around the lateral
    ventricles: a point at the distance :math:`r` in the plane and :math:`h` in height from their middle shows what lies
    at :math:`r\,(1 - a\,e^{-(r / s)^4 - (h / t)^4})` in the template, with the magnification :math:`1 / (1 - a)` in the
    middle, :math:`s` of :data:`REGION_MM` and :math:`t` of :data:`HEIGHT_MM`. As :math:`a < 1`, nothing folds. White
    matter around the ventricles gives way, the surface of the brain stays where it is.

    Limits: myelination, skull and relaxation times stay those of an adult.

    Args:
        size: of the head, in the size that the subject has in the training population; positive.
        aspect: width over length of the head, in that of the same subject; positive.
        ventricles: linear magnification of the ventricles' middle, at least 1.

    Raises:
        ScanproofError: a value out of range.

    Example:
        >>> HeadShape(size=0.8).pixels(torch.tensor(40.0), torch.tensor(20.0))
        (tensor(50.), tensor(25.))
    """

    size: float = 1.0
    aspect: float = 1.0
    ventricles: float = 1.0

    def __post_init__(self) -> None:
        for name in ("size", "aspect"):
            if not 0 < getattr(self, name) < math.inf:
                raise ScanproofError(f"{name} must be positive and finite", key="anatomy", value=getattr(self, name))
        if not 1 <= self.ventricles < math.inf:
            raise ScanproofError("ventricles must be at least 1", key="anatomy", value=self.ventricles)

    def pixels(self, rows: torch.Tensor, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the subject's usual head shows what this head shows at some pixels.

        Args:
            rows: offsets from the middle of the image, in pixels.
            columns: likewise.
        """
        wide = math.sqrt(self.aspect)
        return rows * (wide / self.size), columns / (wide * self.size)

    def template(self, points: torch.Tensor) -> torch.Tensor:
        """What the template shows there when its ventricles are widened.

        Args:
            points: float32 (..., 3), template voxel coordinates.

        Returns:
            Points of the same shape; heights are kept.
        """
        if self.ventricles == 1:
            return points
        offset = (points - torch.tensor(VENTRICLES)) * SPACING_MM
        radius = offset[..., :2].square().sum(dim=-1, keepdim=True) / REGION_MM**2
        height = offset[..., 2:].square() / HEIGHT_MM**2
        near = torch.exp(-radius.square() - height.square())
        pulled = offset[..., :2] * ((1 - 1 / self.ventricles) / SPACING_MM * near)
        return torch.cat([points[..., :2] - pulled, points[..., 2:]], dim=-1)


#: the head that the subject has in the training population
USUAL = HeadShape()
