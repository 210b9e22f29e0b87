"""Thermal noise."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import torch

from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.noise import complex_gaussian
from scanproof.transforms.base import Shift, require_positive
from scanproof.transforms.dictionary import Shiftd


class ComplexNoise(Shift):
    r"""White complex noise in k-space: a lower field, smaller voxels, a shorter scan or a worse coil.

    Cause: the thermal noise of subject and receiver, Gaussian and equally strong at every k-space sample and in both
    channels.

    Model: :math:`y'_c = y_c + \sigma (n_r + i\,n_i)` with independent standard normal :math:`n_r, n_i` in every coil
    :math:`c` and sample, and :math:`\sigma = \mathrm{level} \cdot \mathrm{std}(|x|)`, where :math:`|x|` is the clean
    root-sum-of-squares image over the whole field of view, background included. The transform being orthonormal,
    :math:`\sigma` is the standard deviation of each channel in the image as well. Magnitude images become Rician
    with one coil and non-central chi after root-sum-of-squares with several.

    Severity: levels 0.05, 0.1, 0.2, 0.3, 0.4.

    Limits: no correlation between coils, no spatially varying noise from parallel imaging (that arises in the
    reconstruction), and noise that is in the data already stays and adds up.

    Differs from MONAI's ``RandRicianNoise`` in that the noise is in k-space and per coil, its strength is not drawn
    but fixed, and the input is not changed. With ``relative=True`` that transform refers to the same standard
    deviation.

    Args:
        severity: 0 to 5.
        level: noise standard deviation of each channel in standard deviations of the clean image, above 0.

    Raises:
        ScanproofError: both or neither of severity and level, or a level that is not positive.

    Example:
        >>> noise = ComplexNoise(severity=3).set_random_state(seed=1)
        >>> noise.parameters
        {'level': 0.2}
        >>> noise(torch.rand(1, 32, 32)).shape
        torch.Size([1, 32, 32])
    """

    name: ClassVar[str] = "complex_noise"
    acts_on: ClassVar[Literal["kspace", "image"]] = "kspace"

    def __init__(self, *, severity: int | None = None, level: float | None = None) -> None:
        super().__init__(severity, level=level)
        require_positive(self.name, **self.parameters)

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Add the noise to k-space ``(image, coil, *spatial)``."""
        dims = len(spacing)
        image = root_sum_of_squares(kspace_to_image(data, spatial_dims=dims), dim=1)
        # in double precision, as the order of a parallel sum, hence its rounding, depends on the number of threads
        spread = image.double().flatten(1).std(dim=1, correction=0).to(image)
        unit = complex_gaussian(data.shape, std=1.0, generator=generator).to(data.device, data.dtype)
        if not bool((spread > 0).all()):
            # also keeps the gradient finite: that of a standard deviation of zero is not
            warnings.warn("complex_noise: a constant image has no standard deviation, no noise was added", stacklevel=2)
            spread = torch.zeros_like(spread)
        std = self.parameters["level"] * spread
        return data + unit * std.reshape(-1, *[1] * (dims + 1))


class ComplexNoised(Shiftd):
    """Dictionary version of :class:`ComplexNoise`; entries of the same shape get the same unit noise.

    Example:
        >>> ComplexNoised("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = ComplexNoise
