"""ConvDecoder: upsampling and convolutions, no encoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.layers import (
    Norm,
    SpatialDims,
    Upsampling,
    check_upsampling,
    concatenate,
    convolution,
    layer_sizes,
    normalisation,
    resize,
)
from scanproof.reconstruction.untrained.network import UntrainedNetwork


class ConvDecoderNetwork(UntrainedNetwork):
    """L - 1 blocks of upsampling, convolution, ReLU, normalisation; one block more at full size; a 1x1 convolution.

    Source: Darestani and Heckel, "Accelerated MRI with un-trained neural networks", IEEE Trans Comput Imaging 2021,
    arXiv 2007.02471. With 160 channels, 8 layers and 15 coils it has the published 1,850,560 parameters.

    Args:
        output_channels: of the image, e.g. twice the number of coils.
        output_size: spatial size of the image.
        spatial_dims: 2 or 3.
        members: networks side by side.
        channels: of every layer.
        layers: L, at least 2.
        input_size: of the random input; without it, the image's size halved ``layers - 1`` times, rounded up.
        kernel: edge length of the convolutions, odd.
        upsampling: ``"nearest"`` (published) or ``"bilinear"``.
        norm: normalisation; published: ``"batch"``.
        skips: every block's output, brought to full size, is an input of the last block.
        extra_block: the block at full size (published); without it the 1x1 convolution follows at once.
        bias: convolutions add a constant.
        learn_input: the input is fitted, too.

    Raises:
        ScanproofError: a number out of range, an unknown norm or upsampling.

    Example:
        >>> ConvDecoderNetwork(
        ...     output_channels=30, output_size=(640, 368), channels=160, layers=8, input_size=(8, 4)
        ... ).parameter_count()
        1850560
    """

    def __init__(
        self,
        *,
        output_channels: int,
        output_size: Sequence[int],
        spatial_dims: SpatialDims = 2,
        members: int = 1,
        channels: int = 64,
        layers: int = 5,
        input_size: Sequence[int] | None = None,
        kernel: int = 3,
        upsampling: Upsampling = "nearest",
        norm: Norm = "batch",
        skips: bool = False,
        extra_block: bool = True,
        bias: bool = False,
        learn_input: bool = False,
    ) -> None:
        if layers < 2:
            raise ScanproofError("layers must be at least 2", value=layers)
        check_upsampling(upsampling)
        start = tuple(input_size) if input_size is not None else halved(output_size, times=layers - 1)
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
        self.skips = skips

        def block(inputs: int) -> nn.Sequential:
            return nn.Sequential(
                convolution(inputs, channels, kernel, members=members, spatial_dims=spatial_dims, bias=bias),
                nn.ReLU(inplace=True),
                normalisation(norm, channels, members=members, spatial_dims=spatial_dims),
            )

        self.blocks = nn.ModuleList(block(channels) for _ in self.sizes)
        joined = channels * len(self.sizes) if skips else channels
        self.full_size = block(joined) if extra_block else nn.Identity()
        self.last = convolution(
            channels if extra_block else joined,
            output_channels,
            1,
            members=members,
            spatial_dims=spatial_dims,
            bias=bias,
        )

    def compute(self, x: Tensor) -> Tensor:
        """See :meth:`UntrainedNetwork.compute`."""
        outputs = []
        for size, block in zip(self.sizes, self.blocks, strict=True):
            x = block(resize(x, size, upsampling=self.upsampling))
            outputs.append(x)
        if self.skips:
            full = [resize(y, self.output_size, upsampling=self.upsampling) for y in outputs]
            x = concatenate(full, members=self.members)
        image: Tensor = self.last(self.full_size(x))
        return image


def halved(size: Sequence[int], *, times: int) -> tuple[int, ...]:
    """A size divided by a power of two, rounded up.

    Example:
        >>> halved((96, 81), times=4)
        (6, 6)
    """
    return tuple(-(-n // 2**times) for n in size)
