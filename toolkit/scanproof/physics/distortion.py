"""Displacement of signal by an inhomogeneous main field."""

from __future__ import annotations

import itertools

import torch

#: elements that are displaced at a time: the intermediate results, eight times as many, stay in the cache
_BLOCK = 1 << 17


def displace_signal(images: torch.Tensor, displacement: torch.Tensor, *, axis: int) -> torch.Tensor:
    r"""Displace signal along one axis and keep its amount: stretched signal is darker, piled-up signal brighter.

    With the displacement :math:`d(u)`, given where the signal arrives, and the image :math:`m`,

    .. math:: m'(u) = m\big(u - d(u)\big)\, \Big(1 - \frac{\partial d}{\partial u}\Big)

    (Jezzard and Balaban, Magn Reson Med 1995;34:65). The discrete form moves the edges of the pixels: with the
    signal :math:`M` up to an edge, pixel :math:`u` receives
    :math:`M(e_{u + 1/2} - d_{u+1/2}) - M(e_{u-1/2} - d_{u-1/2})`. So the sum along the axis is kept but for what
    leaves the field of view, and the Jacobian needs no derivative. :math:`M` is interpolated by the cubic of Catmull
    and Rom; for a uniform displacement this is cubic interpolation of the image. It may undershoot beside sharp edges.

    Args:
        images: real or complex, ``(..., *spatial)``. There is no signal outside.
        displacement: real, in pixels; broadcastable to the images, with their size along all spatial axes. Signal
            of order is kept where it rises by less than one pixel per pixel; beyond, the image folds back and signal
            turns negative.
        axis: along which signal is displaced, counted from the end.

    Returns:
        Of the same shape and dtype.

    Example:
        >>> image = torch.tensor([[0.0, 0, 2, 2, 0, 0]])
        >>> displace_signal(image, torch.full((1, 6), 1.0), axis=-1)
        tensor([[0., 0., 0., 2., 2., 0.]])
        >>> displace_signal(torch.ones(1, 8), torch.linspace(1.75, -1.75, 8)[None], axis=-1)
        tensor([[0.0000, 1.0000, 1.5000, 1.5000, 1.5000, 1.5000, 1.0000, 0.0000]])
    """
    across = max(range(images.ndim), key=lambda dim: (dim != images.ndim + axis) * images.shape[dim])
    field = displacement.reshape(*[1] * (images.ndim - displacement.ndim), *displacement.shape)
    step = max(1, _BLOCK * images.shape[across] // images.numel())
    parts = zip(
        torch.split(images, step, dim=across),
        # one displacement for all, or its own for every part
        torch.split(field, step, dim=across) if field.shape[across] > 1 else itertools.repeat(field),
        strict=False,
    )
    return torch.cat([_displace(image, part, axis) for image, part in parts], dim=across)


def _displace(images: torch.Tensor, displacement: torch.Tensor, axis: int) -> torch.Tensor:
    size = images.shape[axis]
    inner = (displacement.narrow(axis, 1, size - 1) + displacement.narrow(axis, 0, size - 1)) / 2
    edges = torch.cat([displacement.narrow(axis, 0, 1), inner, displacement.narrow(axis, size - 1, 1)], dim=axis)
    places = torch.arange(size + 1, dtype=edges.dtype, device=edges.device).reshape(-1, *[1] * (-axis - 1))
    places = (places - edges).clamp(0, size)
    left = places.detach().floor().clamp(max=size - 1)
    t = places - left

    index = left.long()
    index = index.expand(*images.shape[:axis], size + 1, *images.shape[images.ndim + axis + 1 :])
    zeros = torch.zeros_like(images.narrow(axis, 0, 1))
    padded = torch.cat([zeros, images, zeros], dim=axis)
    before, here, after = (padded.gather(axis, index + k) for k in range(3))
    below = padded.cumsum(axis).gather(axis, index)
    rest = 1 - t
    slope = (before * rest - after * t) * (t * rest / 2)
    signal = below + here * (t * (1 + 3 * t - 2 * t * t) / 2) + slope
    return signal.diff(dim=axis)
