"""Deep image prior: an encoder-decoder that turns full-size noise into the image."""

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
    concatenate,
    convolution,
    normalisation,
    resize,
)
from scanproof.reconstruction.untrained.network import UntrainedNetwork

#: slope of the activations for negative values, as in the source
SLOPE = 0.2


class DeepImagePriorNetwork(UntrainedNetwork):
    """Stride-2 convolutions down, upsampling and convolutions up, optional 1x1 skips, noise of full size as input.

    Source: Ulyanov, Vedaldi and Lempitsky, "Deep image prior", CVPR 2018, arXiv 1711.10925, in the form compared with
    in arXiv 2007.02471: with 256 channels at 8 scales and skips at the deepest two it has the published 31,514,182
    parameters for 15 coils.

    Args:
        output_channels: of the image, e.g. twice the number of coils.
        output_size: spatial size of the image.
        spatial_dims: 2 or 3.
        members: networks side by side.
        channels: of every scale and of the input.
        scales: how often the size is halved, at least once.
        skip_channels: of the skip at each scale, from the full size down; 0 for none. One number stands for all
            scales, fewer numbers than scales stand for the deepest.
        kernel_down: edge length of the encoder's convolutions, odd; published: 5.
        kernel_up: edge length of the decoder's; published: 3.
        upsampling: ``"nearest"`` (published) or ``"bilinear"``.
        norm: normalisation; published: ``"batch"``.
        bias: convolutions add a constant (published).
        learn_input: the input is fitted, too.

    Raises:
        ScanproofError: a number out of range, an unknown norm or upsampling, more scales than the image has.

    Example:
        >>> network = DeepImagePriorNetwork(
        ...     output_channels=4, output_size=(40, 36), channels=8, scales=3, skip_channels=(4,)
        ... )
        >>> network.skip_channels, network().shape
        ((0, 0, 4), torch.Size([1, 4, 40, 36]))
    """

    def __init__(
        self,
        *,
        output_channels: int,
        output_size: Sequence[int],
        spatial_dims: SpatialDims = 2,
        members: int = 1,
        channels: int = 48,
        scales: int = 4,
        skip_channels: int | Sequence[int] = 0,
        kernel_down: int = 3,
        kernel_up: int = 3,
        upsampling: Upsampling = "nearest",
        norm: Norm = "batch",
        bias: bool = True,
        learn_input: bool = False,
    ) -> None:
        super().__init__(
            output_channels=output_channels,
            output_size=output_size,
            input_channels=channels,
            input_size=tuple(output_size),
            spatial_dims=spatial_dims,
            members=members,
            learn_input=learn_input,
        )
        check_upsampling(upsampling)
        self.skip_channels = _skips(skip_channels, scales=scales)
        self.sizes = [halved(self.output_size, times=k) for k in range(scales + 1)]
        # normalisation over one pixel would make every image zero
        if norm in ("batch", "instance") and max(self.sizes[-1]) < 2:
            raise ScanproofError(
                f"scales must leave more than one pixel of an image of {self.output_size}",
                key="scales",
                value=scales,
                hint=f"use at most {(max(self.output_size) - 1).bit_length() - 1}",
            )
        self.upsampling: Upsampling = upsampling

        def layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
            return nn.Sequential(
                convolution(
                    inputs,
                    outputs,
                    kernel,
                    members=members,
                    spatial_dims=spatial_dims,
                    bias=bias,
                    stride=stride,
                ),
                normalisation(norm, outputs, members=members, spatial_dims=spatial_dims),
                nn.LeakyReLU(SLOPE, inplace=True),
            )

        self.down = nn.ModuleList(
            nn.Sequential(layer(channels, channels, kernel_down, 2), layer(channels, channels, kernel_down))
            for _ in range(scales)
        )
        self.skip = nn.ModuleList(layer(channels, k, 1) if k else nn.Identity() for k in self.skip_channels)
        self.up = nn.ModuleList(
            nn.Sequential(
                normalisation(norm, channels + k, members=members, spatial_dims=spatial_dims),
                layer(channels + k, channels, kernel_up),
                layer(channels, channels, 1),
            )
            for k in self.skip_channels
        )
        self.last = convolution(channels, output_channels, 1, members=members, spatial_dims=spatial_dims, bias=bias)

    def compute(self, x: Tensor) -> Tensor:
        """See :meth:`UntrainedNetwork.compute`."""
        seen = []
        for down in self.down:
            seen.append(x)
            x = down(x)
        for k in reversed(range(len(self.down))):
            x = resize(x, self.sizes[k], upsampling=self.upsampling)
            if self.skip_channels[k]:
                x = concatenate([self.skip[k](seen[k]), x], members=self.members)
            x = self.up[k](x)
        image: Tensor = self.last(x)
        return image


def _skips(skip_channels: int | Sequence[int], *, scales: int) -> tuple[int, ...]:
    if scales < 1:
        raise ScanproofError("scales must be at least 1", value=scales)
    given = (skip_channels,) * scales if isinstance(skip_channels, int) else tuple(skip_channels)
    if len(given) > scales or min(given, default=0) < 0:
        raise ScanproofError(
            f"skip_channels must hold at most {scales} numbers, none negative", key="skip_channels", value=given
        )
    return (0,) * (scales - len(given)) + given
