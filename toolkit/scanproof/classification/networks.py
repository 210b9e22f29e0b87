"""MONAI networks with the arguments that a study may set: one logit per image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from scanproof.classification import CLASSIFIERS
from scanproof.classification.norms import Norm, set_norm
from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed


def resnet18(*, width: float = 1.0, stem_kernel: int = 7, stem_stride: int = 2) -> nn.Module:
    """MONAI's ResNet-18 (He et al., CVPR 2016, arXiv 1512.03385) for one-channel 2D images.

    Args:
        width: channels relative to the published 64, 128, 256, 512.
        stem_kernel: kernel of the first convolution.
        stem_stride: stride of the first convolution.
    """
    return _resnet("resnet18", width=width, stem_kernel=stem_kernel, stem_stride=stem_stride)


def resnet34(*, width: float = 1.0, stem_kernel: int = 7, stem_stride: int = 2) -> nn.Module:
    """MONAI's ResNet-34; arguments as :func:`resnet18`."""
    return _resnet("resnet34", width=width, stem_kernel=stem_kernel, stem_stride=stem_stride)


def resnet50(*, width: float = 1.0, stem_kernel: int = 7, stem_stride: int = 2) -> nn.Module:
    """MONAI's ResNet-50; arguments as :func:`resnet18`."""
    return _resnet("resnet50", width=width, stem_kernel=stem_kernel, stem_stride=stem_stride)


def densenet121(*, growth_rate: int = 32, init_features: int = 64) -> nn.Module:
    """MONAI's DenseNet-121 (Huang et al., CVPR 2017, arXiv 1608.06993) for one-channel 2D images."""
    from monai.networks.nets import DenseNet121

    return DenseNet121(
        spatial_dims=2, in_channels=1, out_channels=1, growth_rate=growth_rate, init_features=init_features
    )


def _resnet(name: str, *, width: float, stem_kernel: int, stem_stride: int) -> nn.Module:
    from monai.networks import nets

    if width <= 0:
        raise ScanproofError("must be positive", key=f"{name}.width", value=width)
    network: nn.Module = getattr(nets, name)(
        spatial_dims=2,
        n_input_channels=1,
        num_classes=1,
        widen_factor=width,
        conv1_t_size=stem_kernel,
        conv1_t_stride=stem_stride,
    )
    return network


def build_classifier(
    name: str, *, norm: Norm, seed: int, options: Mapping[str, object] | None = None
) -> tuple[nn.Module, dict[str, int]]:
    """Build a registered classifier with a normalization.

    Args:
        name: a name of :data:`~scanproof.classification.CLASSIFIERS`.
        norm: the normalization of every layer that has one.
        seed: seed of the initial weights; they are equal between normalizations of the same seed.
        options: the network's arguments.

    Returns:
        The network, (batch, 1, H, W) to one logit (batch, 1), and its count of normalization layers.

    Raises:
        ScanproofError: unknown name, norm or option.

    Example:
        >>> _, counts = build_classifier("resnet18", norm="group", seed=1, options={"width": 0.125})
        >>> counts
        {'GroupNorm': 20}
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial weights"))
        network = CLASSIFIERS.create(name, options)
    return network, set_norm(network, norm)
