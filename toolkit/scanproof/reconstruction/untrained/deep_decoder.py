"""Deep Decoder: pixel-wise linear combinations of channels and upsampling, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.conv_decoder import halved
from scanproof.reconstruction.untrained.layers import (
    Norm,
    SpatialDims,
    Upsampling,
    check_upsampling,
    convolution,
    layer_sizes,
    normalisation,
    resize,
)
from scanproof.reconstruction.untrained.network import UntrainedNetwork


class DeepDecoderNetwork(UntrainedNetwork):
    """L - 1 blocks of 1x1 convolution, upsampling, ReLU, normalisation; one without upsampling; a 1x1 convolution.

    Source: Heckel and Hand, "Deep Decoder", ICLR 2019, arXiv 1810.03982, in the form compared with in arXiv 2007.02471:
    with 368 channels, 10 layers and 15 coils it has the published 1,372,640 parameters.

    Args:
        output_channels: of the image, e.g. twice the number of coils.
        output_size: spatial size of the image.
        spatial_dims: 2 or 3.
        members: networks side by side.
        channels: of every layer.
        layers: L, at least 2.
        input_size: of the random input; without it, the image's size halved ``layers - 1`` times, rounded up, but
            no smaller than four.
        kernel: edge length of the convolutions, odd; published: 1.
        upsampling: ``"bilinear"`` with aligned corners (published) or ``"nearest"``.
        norm: normalisation; published: ``"batch"``.
        bias: convolutions add a constant.
        learn_input: the input is fitted, too.

    Raises:
        ScanproofError: a number out of range, an unknown norm or upsampling.

    Example:
        >>> DeepDecoderNetwork(
        ...     output_channels=30, output_size=(640, 368), channels=368, layers=10, input_size=(16, 16)
        ... ).parameter_count()
        1372640
    """

    def __init__(
        self,
        *,
        output_channels: int,
        output_size: Sequence[int],
        spatial_dims: SpatialDims = 2,
        members: int = 1,
        channels: int = 128,
        layers: int = 5,
        input_size: Sequence[int] | None = None,
        kernel: int = 1,
        upsampling: Upsampling = "bilinear",
        norm: Norm = "batch",
        bias: bool = False,
        learn_input: bool = False,
    ) -> None:
        if layers < 2:
            raise ScanproofError("layers must be at least 2", value=layers)
        check_upsampling(upsampling)
        usual = tuple(
            min(n, max(4, m)) for n, m in zip(output_size, halved(output_size, times=layers - 1), strict=True)
        )
        start = tuple(input_size) if input_size is not None else usual
        super().__init__(
            output_channels=output_channels,
            output_size=output_size,
            input_channels=channels,
            input_size=start,
            spatial_dims=spatial_dims,
            members=members,
            learn_input=learn_input,
        )
        self.sizes = layer_sizes(start, self.output_size, layers=layers)
        self.upsampling: Upsampling = upsampling
        self.mixes = nn.ModuleList(
            convolution(channels, channels, kernel, members=members, spatial_dims=spatial_dims, bias=bias)
            for _ in range(layers)
        )
        self.norms = nn.ModuleList(
            normalisation(norm, channels, members=members, spatial_dims=spatial_dims) for _ in range(layers)
        )
        self.last = convolution(channels, output_channels, 1, members=members, spatial_dims=spatial_dims, bias=bias)

    def compute(self, x: Tensor) -> Tensor:
        """See :meth:`UntrainedNetwork.compute`."""
        for size, mix, norm in zip([*self.sizes, self.output_size], self.mixes, self.norms, strict=True):
            x = resize(mix(x), size, upsampling=self.upsampling, align_corners=True)
            x = norm(x.relu())
        image: Tensor = self.last(x)
        return image
