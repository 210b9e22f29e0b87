"""Networks with the arguments that a study may set, nothing pretrained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from scanproof.classification import CLASSIFIERS
from scanproof.classification.norms import Norm, check_norm, set_norm
from scanproof.classification.preact_resnet import Dimensions, PreActResNet
from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed


def resnet18(
    *,
    width: float = 1.0,
    stem_kernel: int = 7,
    stem_stride: int = 2,
    outputs: int = 1,
    dimensions: Dimensions = 2,
) -> nn.Module:
    """MONAI's ResNet-18 (He et al., CVPR 2016, arXiv 1512.03385) for one-channel images.

    Args:
        width: channels relative to the published 64, 128, 256, 512.
        stem_kernel: kernel of the first convolution.
        stem_stride: stride of the first convolution.
        outputs: number of logits.
        dimensions: number of spatial axes.
    """
    return _resnet("resnet18", width, stem_kernel, stem_stride, outputs, dimensions)


def resnet34(
    *,
    width: float = 1.0,
    stem_kernel: int = 7,
    stem_stride: int = 2,
    outputs: int = 1,
    dimensions: Dimensions = 2,
) -> nn.Module:
    """MONAI's ResNet-34; arguments as :func:`resnet18`."""
    return _resnet("resnet34", width, stem_kernel, stem_stride, outputs, dimensions)


def resnet50(
    *,
    width: float = 1.0,
    stem_kernel: int = 7,
    stem_stride: int = 2,
    outputs: int = 1,
    dimensions: Dimensions = 2,
) -> nn.Module:
    """MONAI's ResNet-50; arguments as :func:`resnet18`."""
    return _resnet("resnet50", width, stem_kernel, stem_stride, outputs, dimensions)


def preact_resnet18(
    *,
    width: float = 1.0,
    stem_stride: int = 1,
    stem_pool: bool = False,
    outputs: int = 1,
    dimensions: Dimensions = 2,
) -> nn.Module:
    """The pre-activation ResNet-18, with a 3x3 stem; see :class:`~scanproof.classification.preact_resnet.PreActResNet`.

    Args:
        width: channels relative to the published 64, 128, 256, 512.
        stem_stride: stride of the first convolution; 2 takes a quarter of the time.
        stem_pool: normalization, activation and pooling by two after it. Of small bright lesions, and with group or
            layer normalization, a narrow network learns within a few epochs with it, and hardly without.
        outputs: number of logits.
        dimensions: number of spatial axes.
    """
    return PreActResNet(
        (2, 2, 2, 2),
        width=width,
        stem_stride=stem_stride,
        stem_pool=stem_pool,
        outputs=outputs,
        dimensions=dimensions,
    )


def seresnet50(*, width: float = 1.0, outputs: int = 1, dimensions: Dimensions = 2) -> nn.Module:
    """MONAI's SE-ResNet-50 (Hu et al., CVPR 2018, arXiv 1709.01507) for one-channel images.

    Args:
        width: channels relative to the published 64, 128, 256, 512; at least 1/16.
        outputs: number of logits.
        dimensions: number of spatial axes.
    """
    from scanproof.classification.se_resnet import SEResNet

    return SEResNet((3, 4, 6, 3), width=width, outputs=outputs, dimensions=dimensions)


def densenet121(
    *, growth_rate: int = 32, init_features: int = 64, outputs: int = 1, dimensions: Dimensions = 2
) -> nn.Module:
    """MONAI's DenseNet-121 (Huang et al., CVPR 2017, arXiv 1608.06993) for one-channel images.

    Args:
        growth_rate: channels that each layer adds.
        init_features: channels of the stem.
        outputs: number of logits.
        dimensions: number of spatial axes.
    """
    from monai.networks.nets import DenseNet121

    return DenseNet121(
        spatial_dims=dimensions,
        in_channels=1,
        out_channels=outputs,
        growth_rate=growth_rate,
        init_features=init_features,
    )


def efficientnet_b0(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.2,
    drop_connect: float = 0.2,
    outputs: int = 1,
    dimensions: Dimensions = 2,
) -> nn.Module:
    """MONAI's EfficientNet-B0 (Tan and Le, ICML 2019, arXiv 1905.11946) for one-channel images.

    Its batch normalization takes in only 1 % of a batch's statistics at a step: after a short training, those that it
    reads with are behind its weights. Without normalization, its initial weights let nearly nothing through. Images
    must have 32 pixels a side or more.

    Args:
        width: channels relative to those published; they are rounded to multiples of eight, at least eight.
        depth: number of blocks relative to that published.
        dropout: share of features left out before the last layer, in training.
        drop_connect: largest probability of leaving a residual block out, in training.
        outputs: number of logits.
        dimensions: number of spatial axes.
    """
    from monai.networks.nets import EfficientNet

    if min(width, depth) <= 0:
        raise ScanproofError("width and depth must be positive", key="efficientnet_b0", value=(width, depth))
    stages = (
        "r1_k3_s11_e1_i32_o16_se0.25",
        "r2_k3_s22_e6_i16_o24_se0.25",
        "r2_k5_s22_e6_i24_o40_se0.25",
        "r3_k3_s22_e6_i40_o80_se0.25",
        "r3_k5_s11_e6_i80_o112_se0.25",
        "r4_k5_s22_e6_i112_o192_se0.25",
        "r1_k3_s11_e6_i192_o320_se0.25",
    )
    return EfficientNet(
        list(stages),
        spatial_dims=dimensions,
        in_channels=1,
        num_classes=outputs,
        width_coefficient=width,
        depth_coefficient=depth,
        dropout_rate=dropout,
        drop_connect_rate=drop_connect,
    )


def _resnet(
    name: str, width: float, stem_kernel: int, stem_stride: int, outputs: int, dimensions: Dimensions
) -> nn.Module:
    from monai.networks import nets

    if width <= 0:
        raise ScanproofError("must be positive", key=f"{name}.width", value=width)
    network: nn.Module = getattr(nets, name)(
        spatial_dims=dimensions,
        n_input_channels=1,
        num_classes=outputs,
        widen_factor=width,
        conv1_t_size=stem_kernel,
        conv1_t_stride=stem_stride,
    )
    return network


def build_classifier(
    name: str,
    *,
    norm: Norm,
    seed: int,
    options: Mapping[str, object] | None = None,
    outputs: int = 1,
    dimensions: int = 2,
) -> tuple[nn.Module, dict[str, int]]:
    """Build a registered classifier with a normalization.

    Args:
        name: a name of :data:`~scanproof.classification.CLASSIFIERS`.
        norm: the normalization of every layer that has one.
        seed: seed of the initial weights; they are equal between normalizations of the same seed.
        options: the network's arguments.
        outputs: number of logits: 1 for a binary label, else one a target.
        dimensions: number of spatial axes, 2 or 3.

    Returns:
        The network, (batch, 1, *spatial) to logits (batch, outputs), and its count of normalization layers.

    Raises:
        ScanproofError: unknown name, norm or option; no output; a wrong number of dimensions.

    Example:
        >>> _, counts = build_classifier("resnet18", norm="group", seed=1, options={"width": 0.125})
        >>> counts
        {'GroupNorm': 20}
    """
    check_norm(norm)
    if outputs < 1:
        raise ScanproofError("outputs must be at least 1", key=name, value=outputs)
    if dimensions not in (2, 3):
        raise ScanproofError("dimensions must be 2 or 3", key=name, value=dimensions)
    chosen = dict(options or {})
    # a network from elsewhere that has one logit and two dimensions need not know these arguments
    for argument, value, usual in (("outputs", outputs, 1), ("dimensions", dimensions, 2)):
        if argument in chosen:
            rule = f"{argument} follow from the data and must not be an option"
            raise ScanproofError(rule, key=name, value=chosen[argument])
        if value != usual:
            chosen[argument] = value
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial weights"))
        network = CLASSIFIERS.create(name, chosen)
    return network, set_norm(network, norm)
