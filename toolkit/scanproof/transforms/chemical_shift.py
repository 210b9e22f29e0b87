"""Fat that appears beside its place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.foreground import foreground, foreground_mean
from scanproof.transforms.base import Shift, require_positive, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: thickness of the rim of the object that is taken for fat, mm: around that of an adult's scalp
_RIM_MM = 6.0
#: fat is brighter than this share of the object's mean, which leaves skull, muscle and air out
_BRIGHT = 0.7


class ChemicalShift(Shift):
    r"""Chemical shift of the first kind: fat stands a few pixels beside its place along the readout axis.

    Cause: protons of fat precess about 3.5 ppm slower than those of water, 440 Hz at 3 T, and the readout takes
    frequency for position. The displacement is that difference over the bandwidth of a pixel
    (:func:`fat_displacement`): narrow bandwidths and high fields make it large.

    Model: :math:`x'_c(r) = (1 - f(r))\, x_c(r) + (f x_c)(r - d\, e)` with the fat fraction :math:`f`, the
    displacement :math:`d` and the readout direction :math:`e`. Where fat leaves water, a dark band appears, where it
    moves over water, a bright one. The displacement is a phase ramp in k-space along the readout, so fractions of a
    pixel are exact; whole pixels are the same without a transform.

    Severity: 1, 2, 3, 4, 6 pixels, along increasing indices.

    Limits: **the fat fraction is estimated** unless ``fat`` gives it: fat is what is brighter than 0.7 of the
    object's mean in the outermost 6 mm of the object, as seen along the axes of the image. That finds the fat under
    the skin of a head in most contrasts; it takes cortex for fat in an image whose skull was stripped, finds no
    fat between organs, in the orbits or in marrow, and fat-suppressed images have none. Where the object is cut by
    the edge of the field of view, that edge does not count as its skin, unless all of the field of view is object.
    Fat and water are in phase, as in a spin echo. Fat that leaves the field of view comes in on the other side. There
    is no shift of the slice, nor along the phase-encode axis, as echo-planar imaging has it.

    Differs from MONAI and TorchIO: they have no counterpart.

    Args:
        severity: 0 to 5.
        displacement: of fat along the readout axis, pixels, above 0.
        readout_axis: spatial axis along which k-space is read out; not the phase-encode axis.
        fat: fat fraction of every pixel, in [0, 1], of the image's spatial shape; by default it is estimated.
        seed: not used, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and displacement, or a value out of range.

    Example:
        >>> image, fat = torch.ones(1, 4, 5), torch.zeros(4, 5)
        >>> fat[0] = 1
        >>> ChemicalShift(displacement=2, fat=fat)(image)[0, :, 0].tolist()
        [0.0, 1.0, 2.0, 1.0]
    """

    name: ClassVar[str] = "chemical_shift"
    acts_on: ClassVar[Literal["image"]] = "image"
    note: ClassVar[str] = "The fat fraction is estimated from the bright rim of the object unless it is given."

    def __init__(
        self,
        *,
        severity: int | None = None,
        displacement: float | None = None,
        readout_axis: int = -2,
        fat: torch.Tensor | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, displacement=displacement)
        require_positive(self.name, **self.parameters)
        if fat is not None and not (fat.is_floating_point() and bool(((fat >= 0) & (fat <= 1)).all())):
            raise ScanproofError("fat must be a floating-point tensor with values in [0, 1]", key=self.name)
        self.readout_axis, self.fat = readout_axis, fat

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Displace the fat in coil images ``(image, coil, *spatial)``."""
        axis = spatial_axis(self.readout_axis, len(spacing), shift=self.name)
        fat = data * self._fraction(data, spacing)
        moved = displaced(fat, self.parameters["displacement"], axis=axis)
        result = moved.add_(data).sub_(fat)
        # the ringing of a fraction of a pixel may reach below zero; so may rounding
        return result if data.is_complex() else result.abs_()

    def _fraction(self, data: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
        if self.fat is None:
            magnitude = root_sum_of_squares(data, dim=1) if data.is_complex() else data[:, 0]
            return estimated_fat(magnitude.detach(), spacing=spacing)[:, None]
        if self.fat.shape != data.shape[2:]:
            raise ScanproofError(
                f"fat must have the spatial shape {tuple(data.shape[2:])}", key=self.name, value=tuple(self.fat.shape)
            )
        return self.fat.as_subclass(torch.Tensor).to(data.device, data.real.dtype)


def fat_displacement(*, tesla: float, bandwidth: float) -> float:
    """Displacement of fat against water along the readout axis.

    Args:
        tesla: field strength, T.
        bandwidth: of the readout, Hz per pixel.

    Returns:
        Pixels, for a difference of 3.5 ppm.

    Example:
        >>> round(fat_displacement(tesla=3, bandwidth=220), 1)
        2.0
    """
    return 3.5 * 42.577 * tesla / bandwidth


def displaced(x: torch.Tensor, pixels: float, *, axis: int) -> torch.Tensor:
    """Displace along one axis, periodically; fractions of a pixel by a phase ramp in k-space.

    Args:
        x: real or complex.
        pixels: towards increasing indices.
        axis: along which to displace.

    Returns:
        New tensor of the same shape and dtype.

    Example:
        >>> displaced(torch.tensor([1.0, 2.0, 3.0]), 1, axis=-1).tolist()
        [3.0, 1.0, 2.0]
    """
    if float(pixels).is_integer():
        return x.roll(int(pixels), dims=axis)
    size = x.shape[axis]
    frequencies = torch.fft.fftfreq(size, dtype=x.real.dtype, device=x.device)
    ramp = torch.polar(torch.ones_like(frequencies), (-2 * math.pi * pixels) * frequencies)
    if size % 2 == 0:
        # at the Nyquist frequency both signs are one sample: their mean keeps real signals real
        ramp[size // 2] = ramp[size // 2].real.clone()
    along = [1] * x.ndim
    along[axis] = -1
    shifted: torch.Tensor
    if x.is_complex():
        shifted = torch.fft.ifft(torch.fft.fft(x, dim=axis) * ramp.reshape(along), dim=axis)
    else:
        spectrum = torch.fft.rfft(x, dim=axis) * ramp[: size // 2 + 1].reshape(along)
        shifted = torch.fft.irfft(spectrum, n=size, dim=axis)
    return shifted


def estimated_fat(magnitude: torch.Tensor, *, spacing: Sequence[float]) -> torch.Tensor:
    """The bright rim of an object, where a head has the fat under its skin.

    Args:
        magnitude: real, ``(image, *spatial)``.
        spacing: voxel size in mm.

    Returns:
        Fat fraction in [0, 1], of the same shape and dtype; its edges fade over three pixels, as voxels hold both.

    Example:
        >>> box = torch.zeros(1, 40, 40)
        >>> box[:, 5:35, 5:35] = 1
        >>> estimated_fat(box, spacing=(2.0, 2.0))[0, 20, :10].tolist()
        [0.0, 0.0, 0.0, 0.0, 0.25, 0.75, 1.0, 0.75, 0.25, 0.0]
    """
    dims = len(spacing)
    mask = foreground(magnitude, spatial_dims=dims)
    bright = magnitude > _BRIGHT * foreground_mean(magnitude, mask, spatial_dims=dims)
    bright &= mask
    rim = _rim(mask, spacing, cut=True) & bright
    if not bool(rim.any()):
        rim = _rim(mask, spacing, cut=False) & bright
    fraction = rim.to(magnitude.dtype)
    for axis in range(-dims, 0):
        fraction = _faded(fraction, axis)
    return fraction


def _faded(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Half of every pixel and a quarter of either neighbour; the edge pixels are neighbours of themselves."""
    size = x.shape[axis]
    result = x * 0.5
    for target, source, count in ((1, 0, size - 1), (0, 1, size - 1), (0, 0, 1), (size - 1, size - 1, 1)):
        result.narrow(axis, target, count).add_(x.narrow(axis, source, count), alpha=0.25)
    return result


def _rim(mask: torch.Tensor, spacing: Sequence[float], *, cut: bool) -> torch.Tensor:
    """Pixels near the first or last object pixel along a line; with ``cut``, not near the edge of the field of view."""
    rim = torch.zeros_like(mask)
    short = mask.to(torch.int32 if max(mask.shape) > 30_000 else torch.int16)
    for axis, step in zip(range(-len(spacing), 0), spacing, strict=True):
        size, width = mask.shape[axis], max(1, round(_RIM_MM / step))
        index = torch.arange(1, size + 1, dtype=short.dtype, device=mask.device).reshape(-1, *[1] * (-axis - 1))
        last = (short * index).amax(dim=axis, keepdim=True)
        first = size + 1 - (short * index.flip(0)).amax(dim=axis, keepdim=True)
        low, high = first + width, last - width
        if cut:
            low = torch.where(first > 1, low, torch.zeros_like(low))
            high = torch.where(last < size, high, torch.full_like(high, size))
        rim |= index < low
        rim |= index > high
    return rim


class ChemicalShiftd(Shiftd):
    """Dictionary version of :class:`ChemicalShift`.

    Example:
        >>> ChemicalShiftd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = ChemicalShift


class RandChemicalShift(RandShift):
    """Random version of :class:`ChemicalShift`, for augmentation."""

    shift = ChemicalShift


class RandChemicalShiftd(RandShiftd):
    """Dictionary version of :class:`RandChemicalShift`."""

    transform_class = RandChemicalShift
