"""Larger voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.lowpass import low_pass
from scanproof.transforms.base import Shift
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: Hamming's window is ``_MEAN + (1 - _MEAN) * cos``
_MEAN = 0.54


class ResolutionLoss(Shift):
    r"""Loss of resolution: a blurred image, without ripples.

    Cause: a shorter scan, a weaker gradient system or a lower field, for which larger voxels are chosen, and the
    filter by which scanners keep the smaller k-space from ringing.

    Model: :math:`y'_c(k) = y_c(k) \prod_i w\big(k_i / (n_i / 2f)\big)` with the Hamming window :math:`w(t) = 0.54 +
    0.46 \cos \pi t` for :math:`|t| \le 1` and 0 beyond, for the sample :math:`k_i` counted from the centre of
    :math:`n_i` samples and the factor :math:`f`. K-space is cropped to :math:`1/f` of its width, apodised and filled
    with zeros up to the grid of before. The point spread along each axis has a full width at half maximum of
    :math:`1.81 f` pixels and side lobes below 1 % (Harris, Proc IEEE 1978;66:51), against :math:`1.21 f` pixels and
    22 % without the window.

    Severity: factors 1.2, 1.6, 2.2, 3, 4.

    Limits: the factor is nominal, the ratio of the voxel sizes; the blur of the window comes on top, at a factor
    near 1 as well. The gain in signal-to-noise ratio that larger voxels bring is that of a filter: noise becomes
    smoother, not weaker by new averages. In a volume all axes lose alike; for slices alone see
    :class:`~scanproof.transforms.SliceThickness`.

    Differs from MONAI's ``RandSimulateLowResolution``, which takes single pixels of the image (nearest neighbour) and
    interpolates linearly: it aliases, where a scanner does not. Differs from TorchIO's ``Blur`` in the point spread,
    there a Gaussian of a width in mm, which no sampling gives.

    Args:
        severity: 0 to 5.
        factor: nominal voxel size in that of the image, above 1.
        seed: without influence, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and factor, or a factor out of range.

    Example:
        >>> point = torch.zeros(1, 65, 65)
        >>> point[0, 32, 32] = 1
        >>> spread = ResolutionLoss(factor=3)(point)[0, 32]
        >>> int((spread > spread.max() / 2).sum())  # 1.81 * 3 pixels
        5
    """

    name: ClassVar[str] = "resolution_loss"
    acts_on: ClassVar[Literal["any"]] = "any"

    def __init__(self, *, severity: int | None = None, factor: float | None = None, seed: int = 0) -> None:
        super().__init__(severity, seed=seed, factor=factor)
        if factor is not None and not 1 < factor < math.inf:
            raise ScanproofError(
                "factor must be above 1 and finite", key=self.name, value=factor, hint="severity=0 is the identity"
            )

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Apodise k-space or filter real images ``(image, coil, *spatial)``."""
        axes = range(-len(spacing), 0)
        edges = [data.shape[axis] / (2 * self.parameters["factor"]) for axis in axes]

        def window(distances: Sequence[torch.Tensor]) -> torch.Tensor:
            weights = torch.ones((), dtype=torch.float64)
            for distance, edge in zip(distances, edges, strict=True):
                weights = weights * hamming(distance / edge)
            return weights

        result = low_pass(data, axes=axes, highest=edges, window=window)
        return result if result.is_complex() else result.abs_()


def hamming(position: torch.Tensor) -> torch.Tensor:
    """The Hamming window.

    Args:
        position: distance to the centre, in the half-width of the window.

    Returns:
        Weights of the same shape: 1 at the centre, 0.08 at the edge, 0 beyond.

    Example:
        >>> hamming(torch.tensor([0.0, 0.5, 1.0, 1.5]))
        tensor([1.0000, 0.5400, 0.0800, 0.0000])
    """
    weights = _MEAN + (1 - _MEAN) * torch.cos(math.pi * position)
    return torch.where(position.abs() <= 1, weights, torch.zeros_like(weights))


class ResolutionLossd(Shiftd):
    """Dictionary version of :class:`ResolutionLoss`.

    Example:
        >>> ResolutionLossd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = ResolutionLoss


class RandResolutionLoss(RandShift):
    """Random version of :class:`ResolutionLoss`, for augmentation."""

    shift = ResolutionLoss


class RandResolutionLossd(RandShiftd):
    """Dictionary version of :class:`RandResolutionLoss`."""

    transform_class = RandResolutionLoss
