"""The inhomogeneous rest of the main field."""

from __future__ import annotations

import itertools
import math

import torch

from scanproof.physics.extent import object_extent

#: most half periods of the smooth part in the field of view
_HALF_PERIODS = 2
#: distance of the cavity from the object's centre and its width (standard deviation), in half extents of the object
_CAVITY_AT, _CAVITY_WIDTH = 0.85, 0.3


def off_resonance(images: torch.Tensor, *, axis: int, generator: torch.Generator) -> torch.Tensor:
    r"""A random field: smooth where shimming left a rest, with a peak where a cavity holds air.

    The smooth part is the sum of the cosines :math:`\prod_i \cos(\pi k_i (x_i + 1/2) / n_i)` of at most two half
    periods in all, :math:`1 \le \sum_i k_i \le 2`, with Gaussian weights whose magnitudes sum to one. The cavity is a
    Gaussian of amplitude 1 or -1 near the edge of the object, in a random direction from its centre. Places and
    widths are relative to the field of view and to the object, so that a generator state means the same field at
    every resolution.

    Args:
        images: real or complex, ``(image, coil, *spatial)``, of which only the extent of the object matters.
        axis: spatial axis, counted from the end. The field does not depend on it; for the last axis it is made fastest.
        generator: CPU generator. What is drawn from it depends on the number of spatial axes alone.

    Returns:
        Real, of the images' precision, ``(image, 1, *spatial)``, magnitudes of about 1 at most; no gradient.

    Example:
        >>> images = torch.rand(2, 4, 16, 20)
        >>> off_resonance(images, axis=-1, generator=torch.Generator().manual_seed(1)).shape
        torch.Size([2, 1, 16, 20])
    """
    shape = images.shape[2:]
    axes = range(-len(shape), 0)
    orders = [o for o in itertools.product(range(_HALF_PERIODS + 1), repeat=len(shape)) if 0 < sum(o) <= _HALF_PERIODS]
    weights = torch.randn(len(orders), generator=generator, dtype=torch.float64)
    weights = weights / weights.abs().sum()
    direction = torch.randn(len(shape), generator=generator, dtype=torch.float64)
    direction = direction / direction.norm()
    sign = 1 if torch.rand((), generator=generator) < 0.5 else -1

    # products of a function of one axis and one of the others, so that few operations run over all voxels
    smooth = torch.zeros(1, 1, *shape, dtype=images.real.dtype, device=images.device)
    product = torch.empty_like(smooth)
    for half_periods in range(_HALF_PERIODS + 1):
        others = torch.zeros(1, 1, *(1 if a == axis else shape[a] for a in axes), dtype=torch.float64)
        for weight, order in zip(weights, orders, strict=True):
            if order[axis] == half_periods:
                others = others + weight * math.prod(_wave(order[a], shape, a) for a in axes if a != axis)
        smooth.add_(torch.mul(others.to(smooth), _wave(half_periods, shape, axis).to(smooth), out=product))
    cavity = {a: _cavity(images, a, towards=float(direction[a])) for a in axes}
    across = math.prod((cavity[a] for a in axes if a != axis), start=torch.tensor(sign, dtype=torch.float64))
    return torch.mul(across.to(smooth), cavity[axis].to(smooth)).add_(smooth)


def _wave(half_periods: int, shape: torch.Size, axis: int) -> torch.Tensor:
    places = (torch.arange(shape[axis], dtype=torch.float64) + 0.5) / shape[axis]
    return torch.cos(math.pi * half_periods * places).reshape(-1, *[1] * (-axis - 1))


def _cavity(images: torch.Tensor, axis: int, *, towards: float) -> torch.Tensor:
    """The factor of the Gaussian that belongs to one axis, ``(image, 1, ..., size, ..., 1)``."""
    size = images.shape[axis]
    extent = torch.tensor(object_extent(images, axis=axis), dtype=torch.float64)
    half = (extent[:, 1:] - extent[:, :1]) / 2
    place = extent[:, :1] + half * (1 + _CAVITY_AT * towards)
    distance = (torch.arange(size, dtype=torch.float64) + 0.5 - place) / (_CAVITY_WIDTH * half)
    return torch.exp(-(distance**2) / 2).reshape(-1, *[1] * (images.ndim - 1 + axis), size, *[1] * (-axis - 1))
