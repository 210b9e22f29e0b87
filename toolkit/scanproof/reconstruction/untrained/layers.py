"""Layers in which several networks of one architecture are computed at once.

The networks, called members, lie side by side in the channel axis of a batch of one: a tensor is
``(1, members · C, *spatial)``, convolutions have one group a member, and normalisations never mix members. Each
member has its own weights, so that is the same mathematics as one network after the other. Every parameter has the
members in its first axis, in blocks of equal size, which is what makes picking and dropping members easy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanproof.errors import ScanproofError, unknown_name

Norm = Literal["batch", "group", "layer", "instance", "none"]
Upsampling = Literal["nearest", "bilinear"]
SpatialDims = Literal[2, 3]

#: most groups of group normalisation; the networks are narrow
GROUPS = 8


def convolution(
    channels: int,
    outputs: int,
    kernel: int,
    *,
    members: int,
    spatial_dims: SpatialDims,
    bias: bool,
    stride: int = 1,
) -> nn.Module:
    """Convolution with zero padding that keeps the size (divided by ``stride``, rounded up).

    Args:
        channels: of one member's input.
        outputs: of one member's output.
        kernel: edge length, odd.
        members: networks side by side.
        spatial_dims: 2 or 3.
        bias: whether a constant is added.
        stride: of the output grid.

    Returns:
        A module from ``(1, members · channels, *spatial)`` to ``(1, members · outputs, *spatial)``.

    Raises:
        ScanproofError: a kernel that is not odd and positive.

    Example:
        >>> layer = convolution(4, 6, 3, members=2, spatial_dims=2, bias=False)
        >>> layer(torch.rand(1, 8, 5, 7)).shape
        torch.Size([1, 12, 5, 7])
    """
    if kernel < 1 or kernel % 2 == 0:
        raise ScanproofError("kernel must be odd and positive", value=kernel)
    kind = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
    return kind(
        members * channels,
        members * outputs,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=members,
        bias=bias,
    )


def normalisation(norm: Norm, channels: int, *, members: int, spatial_dims: SpatialDims) -> nn.Module:
    """Normalisation of each member by itself, with a scale and an offset a channel.

    An un-trained network sees a batch of one, always in training mode: batch and instance normalisation are the same
    there, and both are offered because studies name either.

    Args:
        norm: ``batch`` or ``instance``: each channel over space; ``layer``: all channels of a member and space;
            ``group``: the largest power of two of groups, at most eight, that divides the channels; ``none``.
        channels: of one member.
        members: networks side by side.
        spatial_dims: 2 or 3.

    Raises:
        ScanproofError: unknown normalisation.

    Example:
        >>> normalisation("group", 12, members=2, spatial_dims=2).num_groups
        8
    """
    total = members * channels
    if norm == "batch":
        batch = nn.BatchNorm2d if spatial_dims == 2 else nn.BatchNorm3d
        return batch(total, track_running_stats=False)
    if norm == "instance":
        instance = nn.InstanceNorm2d if spatial_dims == 2 else nn.InstanceNorm3d
        return instance(total, affine=True)
    if norm == "layer":
        return nn.GroupNorm(members, total)
    if norm == "group":
        return nn.GroupNorm(members * math.gcd(GROUPS, channels), total)
    if norm == "none":
        return nn.Identity()
    raise unknown_name("norm", norm, get_args(Norm), key="norm")


def check_upsampling(upsampling: str) -> None:
    """Refuse an unknown interpolation.

    Raises:
        ScanproofError: listing the known ones.
    """
    if upsampling not in get_args(Upsampling):
        raise unknown_name("upsampling", upsampling, get_args(Upsampling), key="upsampling")


def resize(x: Tensor, size: Sequence[int], *, upsampling: Upsampling, align_corners: bool = False) -> Tensor:
    """Interpolate to a size.

    Args:
        x: real, ``(1, C, *spatial)``.
        size: of the result.
        upsampling: ``"nearest"``, or ``"bilinear"`` (trilinear in three dimensions).
        align_corners: of the linear interpolation; see ``torch.nn.functional.interpolate``.

    Example:
        >>> resize(torch.tensor([[[[1.0, 2.0]]]]), (1, 4), upsampling="nearest").tolist()
        [[[[1.0, 1.0, 2.0, 2.0]]]]
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    if upsampling == "nearest":
        return F.interpolate(x, size=tuple(size), mode="nearest")
    mode = "bilinear" if x.ndim == 4 else "trilinear"
    return F.interpolate(x, size=tuple(size), mode=mode, align_corners=align_corners)


def concatenate(tensors: Sequence[Tensor], *, members: int) -> Tensor:
    """Join channels, member by member.

    Args:
        tensors: ``(1, members · C_i, *spatial)`` each.
        members: networks side by side.

    Returns:
        ``(1, members · ΣC_i, *spatial)``.

    Example:
        >>> a, b = torch.tensor([1, 2]).reshape(1, 2, 1), torch.tensor([3, 4]).reshape(1, 2, 1)
        >>> concatenate([a, b], members=2).flatten().tolist()
        [1, 3, 2, 4]
    """
    apart = [x.reshape(members, -1, *x.shape[2:]) for x in tensors]
    joined = torch.cat(apart, dim=1)
    return joined.reshape(1, -1, *joined.shape[2:])


def layer_sizes(input_size: Sequence[int], output_size: Sequence[int], *, layers: int) -> list[tuple[int, ...]]:
    r"""Sizes to which a decoder upsamples, from the first to the full one, in equal ratios.

    .. math:: s_n = \lceil s_0 (s_{L-1} / s_0)^{n / (L - 1)} \rceil, \qquad 1 \le n < L

    Args:
        input_size: :math:`s_0`, an axis a number.
        output_size: :math:`s_{L-1}`.
        layers: :math:`L`, at least two.

    Returns:
        :math:`L - 1` sizes.

    Raises:
        ScanproofError: fewer than two layers, sizes that do not match.

    Example:
        >>> layer_sizes((8, 4), (640, 368), layers=8)
        [(15, 8), (28, 15), (53, 28), (98, 53), (183, 102), (343, 193), (640, 368)]
    """
    if layers < 2:
        raise ScanproofError("layers must be at least 2", value=layers)
    if len(input_size) != len(output_size) or min(input_size) < 1:
        raise ScanproofError(
            f"input_size must hold {len(output_size)} positive sizes", key="input_size", value=tuple(input_size)
        )
    steps = layers - 1
    sizes = []
    for n in range(1, steps):
        exact = [a * (b / a) ** (n / steps) for a, b in zip(input_size, output_size, strict=True)]
        # a power that is whole but for rounding must not be rounded up
        sizes.append(tuple(math.ceil(value * (1 - 1e-12)) for value in exact))
    return [*sizes, tuple(output_size)]
