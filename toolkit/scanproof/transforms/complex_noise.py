"""Thermal noise."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import torch

from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.lines import part_length
from scanproof.physics.noise import complex_gaussian, rician
from scanproof.physics.steady import steady_sum
from scanproof.transforms.base import Shift, require_positive
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class ComplexNoise(Shift):
    r"""White complex noise in k-space: a lower field, smaller voxels, a shorter scan or a worse coil.

    Cause: the thermal noise of subject and receiver, Gaussian and equally strong at every k-space sample and in both
    channels.

    Model: :math:`y'_c = y_c + \sigma (n_r + i\,n_i)` with independent standard normal :math:`n_r, n_i` in every coil
    :math:`c` and sample, and :math:`\sigma = \mathrm{level} \cdot \mathrm{std}(|x|)`, where :math:`|x|` is the clean
    root-sum-of-squares image over the whole field of view, background included. The transform being orthonormal,
    :math:`\sigma` is the standard deviation of each channel in the image as well, and magnitude images need not go to
    k-space: :math:`|x + \sigma (n_r + i\,n_i)|`. They become Rician with one coil and non-central chi after
    root-sum-of-squares with several.

    Severity: levels 0.05, 0.1, 0.2, 0.3, 0.4.

    Limits: no correlation between coils, no spatially varying noise from parallel imaging (that arises in the
    reconstruction), and noise that is in the data already stays and adds up.

    Differs from MONAI's ``RandRicianNoise`` in taking k-space of several coils, in a strength that is fixed, not drawn,
    and in leaving the input as it is. With ``relative=True`` that transform refers to the same standard deviation.
    Differs from TorchIO's ``Noise``, which is real and Gaussian, so that its background is negative in places.

    Args:
        severity: 0 to 5.
        level: noise standard deviation of each channel in standard deviations of the clean image, above 0.
        seed: of the noise.

    Raises:
        ScanproofError: both or neither of severity and level, or a level that is not positive.

    Example:
        >>> noise = ComplexNoise(severity=3, seed=1)
        >>> noise.parameters
        {'level': 0.2}
        >>> noise(torch.rand(1, 32, 32)).shape
        torch.Size([1, 32, 32])
    """

    name: ClassVar[str] = "complex_noise"
    acts_on: ClassVar[Literal["any"]] = "any"

    def __init__(self, *, severity: int | None = None, level: float | None = None, seed: int = 0) -> None:
        super().__init__(severity, seed=seed, level=level)
        require_positive(self.name, **self.parameters)

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Add the noise to k-space or to magnitude images ``(image, coil, *spatial)``."""
        dims = len(spacing)
        image = kspace_to_image(data, spatial_dims=dims) if data.is_complex() else data
        single = not data.is_complex() and data.shape[1] == 1
        spread = _standard_deviation(image[:, 0] if single else root_sum_of_squares(image, dim=1))
        if bool((spread == 0).any()) and bool((spread > 0).any()):
            warnings.warn("complex_noise: a constant image has no standard deviation, it got no noise", stacklevel=2)
        std = self.parameters["level"] * spread
        if data.dtype == torch.float32 and data.device.type == "cpu" and not data.requires_grad:
            return rician(data, std=std.tolist(), generator=generator)
        unit = torch.stack([complex_gaussian(one.shape, std=1.0, generator=generator) for one in data])
        return data + unit.to(std.device) * std.reshape(-1, *[1] * (dims + 1))


def _standard_deviation(images: torch.Tensor) -> torch.Tensor:
    """Standard deviation of the pixels of each image; zero, with a gradient of zero, for a constant one."""
    dims, count = images.ndim - 1, images[0].numel()
    mean = (steady_sum(images, spatial_dims=dims) / count).to(images.dtype)
    parts = torch.split(images, part_length(images, 1), dim=1)
    squares = torch.stack([steady_sum((part - mean).square(), spatial_dims=dims).flatten() for part in parts]).sum(
        dim=0
    )
    # what rounding leaves of a constant image is no spread
    constant = squares <= count * (1e-6 * mean.double().flatten()).square()
    spread: torch.Tensor = torch.where(constant, 1.0, squares / count).sqrt()
    return torch.where(constant, 0.0, spread).to(images.dtype)


class ComplexNoised(Shiftd):
    """Dictionary version of :class:`ComplexNoise`.

    Example:
        >>> ComplexNoised("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = ComplexNoise


class RandComplexNoise(RandShift):
    """Random version of :class:`ComplexNoise`, for augmentation."""

    shift = ComplexNoise


class RandComplexNoised(RandShiftd):
    """Dictionary version of :class:`RandComplexNoise`."""

    transform_class = RandComplexNoise
