"""Receiver coils: simulated sensitivities and their combination."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from scanproof.errors import ScanproofError


def birdcage_sensitivities(coils: int, shape: Sequence[int], *, radius: float = 1.5) -> torch.Tensor:
    r"""Sensitivities of coil elements that stand evenly on a circle around the field of view.

    Element :math:`c` of :math:`C` stands at the angle :math:`\alpha = 2\pi c / C`. With pixel coordinates scaled
    such that the field of view reaches from -1 to 1, and :math:`(\Delta_x, \Delta_y)` the vector from the element to
    the pixel, its sensitivity is :math:`e^{i(\phi - \alpha)} / \sqrt{\Delta_x^2 + \Delta_y^2}` with
    :math:`\phi = \operatorname{atan2}(\Delta_x, -\Delta_y)`. All are then divided by their root-sum-of-squares.
    This is the model of ``sigpy.mri.birdcage_maps``: magnitude falls with distance, phase turns with direction. It
    knows neither wavelength, loading nor coupling.

    Args:
        coils: number of elements.
        shape: spatial shape ``(H, W)`` or ``(D, H, W)``; along further leading axes the maps are constant, as for
            rungs that run along them.
        radius: of the circle, in half fields of view; above sqrt(2), so that no element stands in the image.

    Returns:
        complex64 ``(coil, *shape)`` with root-sum-of-squares one in every pixel; the magnitude of a single coil is
        one everywhere.

    Raises:
        ScanproofError: fewer than one coil, fewer than two spatial axes, an empty axis or too small a radius.

    Example:
        >>> maps = birdcage_sensitivities(8, (96, 112))
        >>> maps.shape, maps.dtype
        (torch.Size([8, 96, 112]), torch.complex64)
    """
    if coils < 1:
        raise ScanproofError("coils must be at least 1", value=coils)
    if len(shape) < 2 or min(shape) < 1:
        raise ScanproofError("shape must hold at least two positive sizes", value=tuple(shape))
    if not radius > math.sqrt(2):
        raise ScanproofError("radius must be above sqrt(2) half fields of view", value=radius)
    angle = 2 * math.pi * torch.arange(coils, dtype=torch.float64)[:, None, None] / coils
    y, x = (_coordinates(size) for size in shape[-2:])
    dx = x[None, None, :] - radius * torch.cos(angle)
    dy = y[None, :, None] - radius * torch.sin(angle)
    maps = torch.polar(1 / torch.hypot(dx, dy), torch.atan2(dx, -dy) - angle)
    maps = maps / root_sum_of_squares(maps, dim=0, keepdim=True)
    lead = [1] * (len(shape) - 2)
    return maps.to(torch.complex64).reshape(coils, *lead, *shape[-2:]).expand(coils, *shape).contiguous()


def root_sum_of_squares(x: torch.Tensor, dim: int, *, keepdim: bool = False) -> torch.Tensor:
    """Square root of the sum of squared magnitudes along one axis.

    Args:
        x: real or complex, any shape.
        dim: axis that is summed, the coils as a rule.
        keepdim: keep that axis with size one.

    Returns:
        Real and non-negative; its gradient is zero, not NaN, where all coils are zero.

    Example:
        >>> root_sum_of_squares(torch.tensor([3.0 + 0j, 4j]), dim=0)
        tensor(5.)
    """
    magnitude: torch.Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=keepdim)
    return magnitude


def _coordinates(size: int) -> torch.Tensor:
    return (torch.arange(size, dtype=torch.float64) - size / 2) / (size / 2)
