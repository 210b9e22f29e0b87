"""Shape variation: smooth random diffeomorphisms of the template."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from scanproof.data.demo.anatomy import SPACING_MM, sample

#: voxel size of the grid on which velocity fields live: they are smooth, so a coarse grid loses nothing
COARSE_MM = 8.0


def smooth_noise(shape: tuple[int, ...], *, width: float, generator: torch.Generator) -> torch.Tensor:
    """Gaussian random field of unit standard deviation.

    Args:
        shape: (C, *spatial), two or three spatial axes.
        width: standard deviation of the smoothing kernel in grid points.
        generator: source of randomness.

    Returns:
        float32 of this shape, channels independent.
    """
    field = torch.randn(shape, generator=generator)
    radius = int(3 * width) + 1
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / width) ** 2)
    taps = taps / taps.sum()
    dims = len(shape) - 1
    conv = F.conv3d if dims == 3 else F.conv2d
    field = field.unsqueeze(1)
    for axis in range(dims):
        size, padding = [1] * dims, [0] * dims
        size[axis], padding[axis] = len(taps), radius
        field = conv(field, taps.reshape(1, 1, *size), padding=padding)
    field = field.squeeze(1)
    unit: torch.Tensor = field / field.std()
    return unit


def random_diffeomorphism(
    grid: tuple[int, int, int], *, amplitude_mm: float, width_mm: float, generator: torch.Generator
) -> torch.Tensor:
    """Displacement of a random diffeomorphism: a stationary velocity field integrated by scaling and squaring.

    Source: Arsigny et al., MICCAI 2006, doi:10.1007/11866565_113.

    Args:
        grid: (X, Y, Z) of the template grid of :data:`~scanproof.data.demo.anatomy.SPACING_MM`.
        amplitude_mm: standard deviation of the velocity.
        width_mm: standard deviation of its smoothing kernel.
        generator: source of randomness.

    Returns:
        float32 (3, X', Y', Z'), displacement in mm on the grid of :data:`COARSE_MM`.
    """
    coarse = tuple(round((n - 1) * SPACING_MM / COARSE_MM) + 1 for n in grid)
    displacement: torch.Tensor = amplitude_mm * smooth_noise(
        (3, *coarse), width=width_mm / COARSE_MM, generator=generator
    )
    steps = 6
    displacement = displacement / float(2**steps)
    axes = [torch.arange(n, dtype=torch.float32) for n in coarse]
    identity = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    for _ in range(steps):
        points = identity + displacement.movedim(0, -1) / COARSE_MM
        displacement = displacement + sample(displacement, points)
    return displacement


def displace(points: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """Move template points (..., 3, voxel coordinates) by a displacement from :func:`random_diffeomorphism`."""
    offset = sample(displacement, points * (SPACING_MM / COARSE_MM))
    return points + offset.movedim(0, -1) / SPACING_MM
