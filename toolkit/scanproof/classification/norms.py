"""The normalization of a network, chosen after it was built.

MONAI 1.6.1 builds a ``ResNet(norm=...)`` whose stem alone follows the argument: all other layers stay batch
normalization. Replacing the layers of the finished network treats every architecture alike, keeps the initial
weights of all other layers equal between choices, and can be counted.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

from scanproof.errors import unknown_name

#: what stands in a network
LayerNorm = Literal["batch", "group", "layer", "instance", "none"]
#: what a study may compare: layers, and ways to train or read batch normalization that practitioners use against shifts
Norm = Literal[
    "batch",
    "group",
    "layer",
    "instance",
    "none",
    "batch_frozen",
    "batch_site",
    "batch_condition",
    "batch_entropy",
    "unknown",
]
NORMS: tuple[LayerNorm, ...] = ("batch", "group", "layer", "instance", "none")
#: see :mod:`scanproof.classification.freezing` and :mod:`scanproof.classification.adaptation`
BATCH_RESCUES: tuple[Norm, ...] = ("batch_frozen", "batch_site", "batch_condition", "batch_entropy")
ALL_NORMS: tuple[Norm, ...] = (*NORMS, *BATCH_RESCUES)
#: rescues at test time, of a network trained with plain batch normalization
TEST_TIME: tuple[Norm, ...] = ("batch_site", "batch_condition", "batch_entropy")

#: of somebody else's network that does not show what it has
UNKNOWN: Norm = "unknown"

#: most groups of group normalization, as in Wu and He, ECCV 2018, arXiv 1803.08494
GROUPS = 32


class InstanceNorm(nn.GroupNorm):
    """Instance normalization of any number of spatial axes: over space, with a scale and offset for each channel.

    On a map of a single place there is no spread to divide by: PyTorch's instance normalization raises an error, and
    a group normalization of single channels gives zero whatever comes in, so that a deep network on a small image
    would see nothing. Here such a map is only scaled and offset. (Ulyanov et al. 2016, arXiv 1607.08022, do not treat
    this case.)

    Args:
        channels: of the input.
        eps: added to the variance.

    Example:
        >>> import torch
        >>> InstanceNorm(2)(torch.tensor([[[[3.0]], [[4.0]]]])).flatten().tolist()
        [3.0, 4.0]
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, channels, eps=eps)

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (batch, channels, *spatial)."""
        if input.shape[2:].numel() > 1:
            return super().forward(input)
        shape = (1, -1, *[1] * (input.ndim - 2))
        return input * self.weight.reshape(shape) + self.bias.reshape(shape)


class NoNorm(nn.Module):
    """No normalization: hands the input on, so that the place can be counted and watched.

    There is no scale or offset either. The output is a copy, since activations behind it may work in place, which
    would change what a residual or dense connection takes from before the normalization.

    Args:
        channels: of the input.

    Attributes:
        num_channels: of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_channels = channels

    def forward(self, input: Tensor) -> Tensor:
        """A copy of the input."""
        return input.clone()


BATCH_LAYERS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
#: every layer that counts as a normalization
NORM_LAYERS = (
    *BATCH_LAYERS,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    NoNorm,
)


def check_norm(norm: str) -> None:
    """Refuse a name that is no normalization of a study.

    Raises:
        ScanproofError: the text lists the known ones.
    """
    if norm not in ALL_NORMS:
        raise unknown_name("norm", norm, ALL_NORMS)


def training_norm(norm: Norm) -> Norm:
    """The normalization that a network is trained with to be read with another.

    Raises:
        ScanproofError: unknown normalization.

    Example:
        >>> [training_norm(norm) for norm in ("group", "batch_frozen", "batch_site")]
        ['group', 'batch_frozen', 'batch']
    """
    if norm == UNKNOWN:
        return norm
    check_norm(norm)
    return "batch" if norm in TEST_TIME else norm


def set_norm(network: nn.Module, norm: Norm) -> dict[str, int]:
    """Replace every batch normalization of a network in place.

    - ``batch``, and all names that begin so: left as it is.
    - ``group``: 32 groups of at least two channels; layers with fewer than 64 channels, or a number that 32 does not
      divide, take the largest smaller power of two. (One channel a group would be instance normalization.)
    - ``layer``: ``GroupNorm(1, C)``, the layer normalization of convolutional networks: over channels and space,
      with a scale and offset for each channel.
    - ``instance``: :class:`InstanceNorm`, over space, with a scale and offset for each channel.
    - ``none``: :class:`NoNorm`, the identity.

    The small number that is added to variances stays that of the layer replaced (1e-3 in EfficientNet, else 1e-5).

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
    check_norm(norm)
    before = count_norms(network)
    total = sum(before.values())
    if not total or any("BatchNorm" not in kind for kind in before):
        raise RuntimeError(f"network must be built with batch normalization throughout, got {before}")
    if norm == "batch" or norm in BATCH_RESCUES:
        return before
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BATCH_LAYERS):
                setattr(parent, name, _layer(norm, channels=child.num_features, eps=child.eps))
    after = count_norms(network)
    wanted = {{"instance": "InstanceNorm", "none": "NoNorm"}.get(norm, "GroupNorm"): total}
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
        if isinstance(module, NORM_LAYERS):
            kind = type(module).__name__
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def _layer(norm: Norm, *, channels: int, eps: float) -> nn.Module:
    if norm == "instance":
        return InstanceNorm(channels, eps=eps)
    if norm == "none":
        return NoNorm(channels)
    return nn.GroupNorm(1 if norm == "layer" else group_count(channels), channels, eps=eps)
