"""The normalization of a network, chosen after it was built.

MONAI 1.6.1 builds a ``ResNet(norm=...)`` whose stem alone follows the argument: all other layers stay batch
normalization. Replacing the layers of the finished network treats every architecture alike, keeps the initial
weights of all other layers equal between choices, and can be counted.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from scanproof.errors import unknown_name

Norm = Literal["batch", "group", "layer"]
NORMS: tuple[Norm, ...] = ("batch", "group", "layer")

#: most groups of group normalization, as in Wu and He, ECCV 2018, arXiv 1803.08494
GROUPS = 32

_BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_KNOWN = (*_BATCH, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.LayerNorm)


def set_norm(network: nn.Module, norm: Norm) -> dict[str, int]:
    """Replace every batch normalization of a network in place.

    - ``batch``: left as it is.
    - ``group``: 32 groups of at least two channels; layers with fewer than 64 channels, or a number that 32 does not
      divide, take the largest smaller power of two. (One channel a group would be instance normalization.)
    - ``layer``: ``GroupNorm(1, C)``, the layer normalization of convolutional networks: over channels and space,
      with a scale and offset for each channel.

    Args:
        network: a network built with batch normalization.
        norm: the wanted normalization.

    Returns:
        How many layers of each normalization the network has now, e.g. ``{"GroupNorm": 20}``.

    Raises:
        ScanproofError: unknown normalization.
        RuntimeError: the network has no batch normalization, or not all layers could be replaced.

    Example:
        >>> set_norm(nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)), "layer")
        {'GroupNorm': 1}
    """
    if norm not in NORMS:
        raise unknown_name("norm", norm, NORMS)
    before = count_norms(network)
    total = sum(before.values())
    if not total or any("BatchNorm" not in kind for kind in before):
        raise RuntimeError(f"network must be built with batch normalization throughout, got {before}")
    if norm != "batch":
        for parent in list(network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BATCH):
                    channels = child.num_features
                    groups = 1 if norm == "layer" else group_count(channels)
                    setattr(parent, name, nn.GroupNorm(groups, channels, eps=child.eps))
    after = count_norms(network)
    wanted = before if norm == "batch" else {"GroupNorm": total}
    if after != wanted:
        raise RuntimeError(f"network must have the normalization layers {wanted}, got {after}")
    return after


def group_count(channels: int) -> int:
    """Groups of group normalization for this many channels.

    Example:
        >>> [group_count(c) for c in (512, 64, 48, 16, 7)]
        [32, 32, 16, 8, 1]
    """
    groups = math.gcd(GROUPS, channels)
    while groups > 1 and channels // groups < 2:
        groups //= 2
    return groups


def count_norms(network: nn.Module) -> dict[str, int]:
    """How many normalization layers of each class a network has."""
    counts: dict[str, int] = {}
    for module in network.modules():
        if isinstance(module, _KNOWN):
            kind = type(module).__name__
            counts[kind] = counts.get(kind, 0) + 1
    return counts
