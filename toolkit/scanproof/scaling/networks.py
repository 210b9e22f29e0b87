"""The U-Nets of the published scaling laws, by width."""

from __future__ import annotations

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanproof.errors import ScanproofError, unknown_name
from scanproof.seeds import derive_seed

Task = Literal["denoising", "mri", "super_resolution"]
TASKS: tuple[Task, ...] = ("denoising", "mri", "super_resolution")
#: how often a task's network halves the image
POOLINGS: dict[Task, int] = {"denoising": 2, "mri": 4, "super_resolution": 2}
#: clamp of normalised images (Zbontar et al., arXiv 1811.08839)
_CLAMP = 6.0


class ScalingUnet(nn.Module):
    """The U-Net of Zbontar et al. (fastMRI, arXiv 1811.08839) with any number of poolings.

    A stage is twice a 3 x 3 convolution without bias, instance normalization without weights and a LeakyReLU of slope
    0.2. Average pooling halves the image and channels double; on the way up a transposed 2 x 2 convolution, normalised
    likewise, halves the channels, and a 1 x 1 convolution with bias ends the network. With two poolings and the three
    channels of colour images it has the parameters that Klug and Heckel (ICLR 2023, arXiv 2209.13435) print for
    denoising, with four poolings and one channel those for MRI.

    Deviations: dropout, which is off there, is left out; an image whose sides are no multiple of ``2 ** poolings`` is
    padded by its edge and cropped afterwards, where fastMRI pads within the network.

    Args:
        width: channels of the first stage.
        poolings: how often the image is halved.
        channels: of images, in and out.
        residual: the network's output is added to its input.
        normalised: an image is brought to mean zero and standard deviation one and clamped to plus or minus six before
            the network, and back after it (see :class:`~torch.nn.InstanceNorm2d`; the published MRI protocol).

    Raises:
        ScanproofError: a number below one.

    Example:
        >>> sum(parameter.numel() for parameter in ScalingUnet(16, poolings=2, channels=3).parameters())
        116707
    """

    def __init__(
        self, width: int, *, poolings: int, channels: int = 1, residual: bool = True, normalised: bool = False
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("poolings", poolings), ("channels", channels)):
            if value < 1:
                raise ScanproofError("must be at least 1", key=name, value=value)
        self.poolings, self.residual, self.normalised = poolings, residual, normalised
        widths = [width * 2**level for level in range(poolings + 1)]
        self.down = nn.ModuleList(_stage(a, b) for a, b in zip([channels, *widths], widths, strict=False))
        self.rise = nn.ModuleList(_rise(b, a) for a, b in reversed(list(itertools.pairwise(widths))))
        self.up = nn.ModuleList(_stage(2 * a, a) for a in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """From degraded images, float32 (batch, channels, H, W), to estimates of the same shape."""
        if not self.normalised:
            return self._restore(image)
        mean = image.mean((1, 2, 3), keepdim=True)
        std = image.std((1, 2, 3), keepdim=True) + 1e-11
        return self._restore(((image - mean) / std).clamp(-_CLAMP, _CLAMP)) * std + mean

    def _restore(self, image: Tensor) -> Tensor:
        rows, columns = image.shape[-2:]
        step = 2**self.poolings
        x = F.pad(image, (0, -columns % step, 0, -rows % step), mode="replicate")
        skipped: list[Tensor] = []
        for level, stage in enumerate(self.down):
            x = stage(F.avg_pool2d(x, 2) if level else x)
            skipped.append(x)
        for rise, stage, skip in zip(self.rise, self.up, reversed(skipped[:-1]), strict=True):
            x = stage(torch.cat([rise(x), skip], dim=1))
        estimate: Tensor = self.last(x)[..., :rows, :columns]
        return image + estimate if self.residual else estimate


def build_network(task: Task, width: int, *, seed: int) -> ScalingUnet:
    """The network of a task for images of one channel, with initial weights drawn from a seed.

    Denoising and super-resolution: two poolings and a residual. MRI: four poolings, no residual, images normalised.

    Args:
        task: what it is for.
        width: channels of the first stage.
        seed: of PyTorch's usual initial weights.

    Raises:
        ScanproofError: unknown task, a width below one.

    Example:
        >>> network = build_network("denoising", 4, seed=1)
        >>> network(torch.zeros(1, 1, 18, 16)).shape, count_parameters(network)
        (torch.Size([1, 1, 18, 16]), 7305)
    """
    if task not in POOLINGS:
        raise unknown_name("scaling task", task, TASKS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights", task, width))
        return ScalingUnet(width, poolings=POOLINGS[task], residual=task != "mri", normalised=task == "mri")


def count_parameters(network: nn.Module) -> int:
    """Number of trained numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        parts += [nn.Conv2d(channels, channels_out, kernel_size=3, padding=1, bias=False), *_after(channels_out)]
    return nn.Sequential(*parts)


def _rise(channels_in: int, channels_out: int) -> nn.Sequential:
    rise = nn.ConvTranspose2d(channels_in, channels_out, kernel_size=2, stride=2, bias=False)
    return nn.Sequential(rise, *_after(channels_out))


def _after(channels: int) -> tuple[nn.Module, ...]:
    return nn.InstanceNorm2d(channels), nn.LeakyReLU(0.2)
