"""The residual network that normalizes before every convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from scanproof.errors import ScanproofError

Dimensions = Literal[2, 3]


class PreActResNet(nn.Module):
    """Residual network with full pre-activation (He et al., ECCV 2016, arXiv 1603.05027) of basic blocks.

    As the authors', with a normalization and activation after the last block, which some public copies leave out. The
    stem is a 3x3 convolution of stride 1 without pooling, as for small images; with ``stem_pool`` it goes on as the
    authors' for large ones does. Weights are drawn as in He et al., ICCV 2015, arXiv 1502.01852, by the number of
    outputs.

    Args:
        blocks: number of residual blocks of every stage; all stages but the first halve the image.
        width: channels of the first stage relative to 64; each stage doubles them.
        stem_stride: stride of the first convolution.
        stem_pool: normalization, activation and 3x3 maximum of stride 2 after the first convolution.
        outputs: number of logits.
        dimensions: number of spatial axes.

    Raises:
        ScanproofError: a width or stride that is not positive.

    Example:
        >>> import torch
        >>> PreActResNet((1, 1), width=0.125)(torch.zeros(2, 1, 16, 12)).shape
        torch.Size([2, 1])
    """

    def __init__(
        self,
        blocks: Sequence[int],
        *,
        width: float = 1.0,
        stem_stride: int = 1,
        stem_pool: bool = False,
        outputs: int = 1,
        dimensions: Dimensions = 2,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("stem_stride", stem_stride)):
            if value <= 0:
                raise ScanproofError("must be positive", key=f"preact_resnet.{name}", value=value)
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        normalization = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d
        maximum = nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d
        channels = max(1, round(64 * width))
        self.stem = nn.Sequential(convolution(1, channels, 3, stride=stem_stride, padding=1, bias=False))
        if stem_pool:
            self.stem.extend([normalization(channels), nn.ReLU(), maximum(3, stride=2, padding=1)])
        stages: list[nn.Module] = []
        for stage, count in enumerate(blocks):
            wide = max(1, round(64 * width)) * 2**stage
            for number in range(count):
                stride = 2 if stage and not number else 1
                stages.append(PreActBlock(channels, wide, stride=stride, dimensions=dimensions))
                channels = wide
        self.blocks = nn.Sequential(*stages)
        self.norm = normalization(channels)
        self.activation = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1) if dimensions == 2 else nn.AdaptiveAvgPool3d(1)
        self.head = nn.Linear(channels, outputs)
        for module in self.modules():
            if isinstance(module, convolution):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, outputs) of images (batch, 1, *spatial)."""
        features: Tensor = self.activation(self.norm(self.blocks(self.stem(images))))
        logits: Tensor = self.head(self.pool(features).flatten(1))
        return logits


class PreActBlock(nn.Module):
    """Two convolutions, each after a normalization and activation, beside a connection past them (figure 4e).

    Where the shape changes, the connection is a 1x1 convolution of the activated input.

    Args:
        channels: of the input.
        wide: channels of the output.
        stride: of the first convolution.
        dimensions: number of spatial axes.
    """

    def __init__(self, channels: int, wide: int, *, stride: int = 1, dimensions: Dimensions = 2) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        normalization = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d
        self.norm1 = normalization(channels)
        self.conv1 = convolution(channels, wide, 3, stride=stride, padding=1, bias=False)
        self.norm2 = normalization(wide)
        self.conv2 = convolution(wide, wide, 3, padding=1, bias=False)
        self.activation = nn.ReLU()
        same = stride == 1 and channels == wide
        self.shortcut = None if same else convolution(channels, wide, 1, stride=stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels, *spatial) to (batch, wide, *spatial / stride)."""
        activated = self.activation(self.norm1(features))
        past = features if self.shortcut is None else self.shortcut(activated)
        result: Tensor = self.conv2(self.activation(self.norm2(self.conv1(activated)))) + past
        return result
