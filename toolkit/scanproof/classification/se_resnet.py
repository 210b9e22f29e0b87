"""MONAI's SE-ResNet with a choice of width."""

from __future__ import annotations

from monai.networks.nets.senet import SENet
from torch import nn

from scanproof.classification.preact_resnet import Dimensions
from scanproof.errors import ScanproofError


class SEResNet(SENet):
    """SE-ResNet of bottleneck blocks (Hu et al., CVPR 2018, arXiv 1709.01507).

    MONAI's class has the published channels alone; this one scales them.

    Args:
        layers: number of blocks of the four stages.
        width: channels relative to the published 64, 128, 256, 512.
        outputs: number of logits.
        dimensions: number of spatial axes.

    Raises:
        ScanproofError: a width below 1/16, where no channel is left in the squeeze.
    """

    def __init__(
        self, layers: tuple[int, int, int, int], *, width: float = 1.0, outputs: int = 1, dimensions: Dimensions = 2
    ) -> None:
        if width < 1 / 16:
            raise ScanproofError("must be at least 1/16", key="se_resnet.width", value=width)
        self._width = width
        super().__init__(
            spatial_dims=dimensions,
            in_channels=1,
            block="se_resnet_bottleneck",
            layers=layers,
            groups=1,
            reduction=16,
            dropout_prob=None,
            inplanes=self._scaled(64),
            downsample_kernel_size=1,
            input_3x3=False,
            num_classes=outputs,
        )
        self.last_linear = nn.Linear(self.inplanes, outputs)
        nn.init.zeros_(self.last_linear.bias)

    def _make_layer(self, block: object, planes: int, **options: int) -> nn.Sequential:  # type: ignore[override]
        stage: nn.Sequential = super()._make_layer(block, self._scaled(planes), **options)  # type: ignore[arg-type]
        return stage

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self._width))
