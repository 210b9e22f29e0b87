"""Thicker slices."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.fft import centred_fft, centred_ifft
from scanproof.physics.lowpass import along_axis
from scanproof.transforms.base import Shift, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: voxel sizes that differ by less, relatively, count as equal: an affine holds them up to rounding
_SAME_SIZE = 1e-3


class SliceThickness(Shift):
    r"""Thick slices: structures that are thinner than a slice, or run oblique to it, lose contrast and sharpness.

    Cause: partial volume. A 2D protocol with thick slices where the data that a model has learnt from came from thin
    ones or from a 3D sequence.

    Model: :math:`x' = L P x` along the slice axis. :math:`P` averages the complex signal over contiguous slices with
    a box profile of ``factor`` times the slice spacing, which lie symmetric about the middle of the volume; of the
    outermost ones, the part inside the volume counts. :math:`L` interpolates linearly between their centres, back to
    the grid of before, and holds the value of the outermost slices beyond their centres. On k-space the same acts as
    :math:`F L P F^H`.

    Severity: factors 1.5, 2, 3, 4, 5.

    Limits: volumes only. The box has no soft flanks, slices neither gap nor overlap, do not disturb each other and do
    not gain signal with their thickness. Magnitude images have lost the phase, hence the dephasing across a slice.

    Differs from TorchIO's ``RandomAnisotropy``, which takes single slices (nearest neighbour) of the volume: its
    slices get farther apart, not thicker. MONAI has no such transform.

    Args:
        severity: 0 to 5.
        factor: slice thickness in that of the volume, above 1.
        slice_axis: spatial axis across the slices; by default that with the largest voxel size, and the last one of
            several whose size is the same within a thousandth.
        seed: without influence, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and factor, or a factor out of range.

    Example:
        >>> volume = torch.rand(1, 16, 16, 12)
        >>> thick = SliceThickness(factor=3)(volume)
        >>> torch.allclose(thick[..., 4], volume[..., 3:6].mean(dim=-1), atol=1e-6)
        True
    """

    name: ClassVar[str] = "slice_thickness"
    acts_on: ClassVar[Literal["any"]] = "any"
    dimensions: ClassVar[tuple[int, ...]] = (3,)

    def __init__(
        self,
        *,
        severity: int | None = None,
        factor: float | None = None,
        slice_axis: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, factor=factor)
        if factor is not None and not 1 < factor < math.inf:
            raise ScanproofError(
                "factor must be above 1 and finite", key=self.name, value=factor, hint="severity=0 is the identity"
            )
        self.slice_axis = slice_axis

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Mix the slices of k-space or real images ``(image, coil, *spatial)``."""
        if self.slice_axis is None:
            axis = thickest_axis(spacing)
        else:
            axis = spatial_axis(self.slice_axis, len(spacing), shift=self.name)
        matrix = thick_slices(data.shape[axis], factor=self.parameters["factor"])
        if data.is_complex():
            matrix = centred_ifft(centred_fft(matrix, axes=(0,)), axes=(1,))
        return along_axis(data, matrix.to(data), axis=axis).contiguous()


def thickest_axis(spacing: tuple[float, ...]) -> int:
    """The axis with the largest voxel size, counted from the end; the last one of several.

    Example:
        >>> thickest_axis((3.0, 1.0, 1.0)), thickest_axis((1.0, 1.0, 1.0))
        (-3, -1)
    """
    largest = max(spacing)
    return max(i for i, size in enumerate(spacing) if size >= largest * (1 - _SAME_SIZE)) - len(spacing)


def thick_slices(slices: int, *, factor: float) -> torch.Tensor:
    """Matrix that averages over thick slices and interpolates back.

    Args:
        slices: number of thin slices.
        factor: thickness of the thick ones in thin slices, above 1.

    Returns:
        float64 ``(slices, slices)``; not negative, and all rows sum to 1.

    Example:
        >>> thick_slices(4, factor=2)
        tensor([[0.5000, 0.5000, 0.0000, 0.0000],
                [0.3750, 0.3750, 0.1250, 0.1250],
                [0.1250, 0.1250, 0.3750, 0.3750],
                [0.0000, 0.0000, 0.5000, 0.5000]], dtype=torch.float64)
    """
    thick = math.ceil(slices / factor)
    begin = (slices - thick * factor) / 2 + factor * torch.arange(thick, dtype=torch.float64)
    thin = torch.arange(slices, dtype=torch.float64)
    end = torch.minimum(begin[:, None] + factor, thin + 1)
    overlap = (end - torch.maximum(begin[:, None], thin)).clamp_min(0)
    average = overlap / overlap.sum(dim=1, keepdim=True)
    place = ((thin + 0.5 - begin[0]) / factor - 0.5).clamp(0, thick - 1)
    # hat functions: linear interpolation between neighbouring centres
    interpolate = (1 - (place[:, None] - torch.arange(thick)).abs()).clamp_min(0)
    return along_axis(interpolate, average.mT, axis=-1)


class SliceThicknessd(Shiftd):
    """Dictionary version of :class:`SliceThickness`.

    Example:
        >>> SliceThicknessd("image", severity=1)({"image": torch.rand(1, 8, 8, 8)})["image"].shape
        torch.Size([1, 8, 8, 8])
    """

    shift = SliceThickness


class RandSliceThickness(RandShift):
    """Random version of :class:`SliceThickness`, for augmentation."""

    shift = SliceThickness


class RandSliceThicknessd(RandShiftd):
    """Dictionary version of :class:`RandSliceThickness`."""

    transform_class = RandSliceThickness
