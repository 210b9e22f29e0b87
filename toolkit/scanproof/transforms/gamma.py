"""Contrast that follows a power law."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.transforms.base import Shift
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: of the maximum: below, the gain no longer changes
_FLOOR = 1e-6


class GammaUp(Shift):
    r"""Contrast by a gamma above 1: middle intensities darker, the brightest as before.

    Cause: what sequence parameters, contrast agent or a scanner's post-processing make of the same anatomy differs
    in more than a factor. A power law is the simplest such change that keeps the order of intensities.

    Model: coil images are multiplied by a gain that depends on their root-sum-of-squares,

    .. math:: x'_c = x_c \Big(\frac{|x|}{\max |x|}\Big)^{\gamma - 1} ,

    so that :math:`|x'| = \max|x|\, (|x| / \max|x|)^\gamma` while phases and the ratios of the coils, hence the
    sensitivities, stay. Where :math:`|x|` is below a millionth of the maximum, the gain is that of a millionth: so
    the gradient is finite also where there is no signal.

    Severity: gamma 1.4, 1.8, 2.2, 2.6, 3.

    Limits: a proxy for contrast, blind to tissue: no change of sequence maps intensities by one curve. The maximum is
    that of the brightest voxel, so an image with little that is far brighter than the rest, such as scalp fat or
    vessels, changes more. Background noise is changed as well; a gamma below 1 lifts it.

    Differs from MONAI's ``AdjustContrast``, with which it agrees on magnitude images of minimum 0, in not
    subtracting the minimum, as zero signal is physical; from TorchIO's ``RandomGamma``, which raises intensities to
    the power as they are, in not depending on their scale; and from both in accepting several coils.

    Args:
        severity: 0 to 5.
        gamma: exponent, above 1.
        seed: without effect, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and gamma, or a gamma out of range.

    Example:
        >>> GammaUp(gamma=2)(torch.tensor([[[0.5, 1.0]]]))
        tensor([[[0.2500, 1.0000]]])
    """

    name: ClassVar[str] = "gamma_up"
    acts_on: ClassVar[Literal["image"]] = "image"

    def __init__(self, *, severity: int | None = None, gamma: float | None = None, seed: int = 0) -> None:
        super().__init__(severity, seed=seed, gamma=gamma)
        if gamma is not None and not 1 < gamma < math.inf:
            raise ScanproofError(
                "gamma must be above 1 and finite", key=self.name, value=gamma, hint="severity=0 is the identity"
            )

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Multiply coil images ``(image, coil, *spatial)`` by the gain."""
        return power_law(data, self.parameters["gamma"])


class GammaDown(Shift):
    r"""Contrast by a gamma below 1: middle intensities brighter; model and limits as for :class:`GammaUp`.

    Severity: gamma 0.86, 0.72, 0.58, 0.44, 0.3.

    Args:
        severity: 0 to 5.
        gamma: exponent, in (0, 1).
        seed: without effect, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and gamma, or a gamma out of range.

    Example:
        >>> GammaDown(gamma=0.5)(torch.tensor([[[0.25, 1.0]]]))
        tensor([[[0.5000, 1.0000]]])
    """

    name: ClassVar[str] = "gamma_down"
    acts_on: ClassVar[Literal["image"]] = "image"

    def __init__(self, *, severity: int | None = None, gamma: float | None = None, seed: int = 0) -> None:
        super().__init__(severity, seed=seed, gamma=gamma)
        if gamma is not None and not 0 < gamma < 1:
            raise ScanproofError(
                "gamma must be in (0, 1)", key=self.name, value=gamma, hint="severity=0 is the identity"
            )

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Multiply coil images ``(image, coil, *spatial)`` by the gain."""
        return power_law(data, self.parameters["gamma"])


def power_law(images: torch.Tensor, gamma: float) -> torch.Tensor:
    """Raise the root-sum-of-squares to a power, relative to its maximum, and keep phases and ratios of the coils.

    Args:
        images: ``(image, coil, *spatial)``, complex, or real and non-negative.
        gamma: exponent, positive.

    Returns:
        Of the same shape and dtype; every image keeps its maximum.

    Example:
        >>> power_law(torch.tensor([[[3j, 1j], [4.0 + 0j, 0j]]]), 2.0)[0, :, 0]
        tensor([0.+3.j, 4.+0.j])
    """
    # one real coil is its own magnitude
    magnitude = root_sum_of_squares(images, dim=1, keepdim=True) if images.is_complex() else images
    largest = magnitude.amax(dim=tuple(range(1, images.ndim)), keepdim=True)
    ratio = magnitude / torch.where(largest > 0, largest, torch.ones_like(largest))
    # as exp(log) and not as a power: on the CPU the last bit of that depends on the number of threads
    gain = ratio.clamp_(min=_FLOOR).log_().mul_(gamma - 1).exp_()
    return gain * images


class GammaUpd(Shiftd):
    """Dictionary version of :class:`GammaUp`.

    Example:
        >>> GammaUpd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = GammaUp


class RandGammaUp(RandShift):
    """Random version of :class:`GammaUp`, for augmentation."""

    shift = GammaUp


class RandGammaUpd(RandShiftd):
    """Dictionary version of :class:`RandGammaUp`."""

    transform_class = RandGammaUp


class GammaDownd(Shiftd):
    """Dictionary version of :class:`GammaDown`.

    Example:
        >>> GammaDownd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = GammaDown


class RandGammaDown(RandShift):
    """Random version of :class:`GammaDown`, for augmentation."""

    shift = GammaDown


class RandGammaDownd(RandShiftd):
    """Dictionary version of :class:`RandGammaDown`."""

    transform_class = RandGammaDown
