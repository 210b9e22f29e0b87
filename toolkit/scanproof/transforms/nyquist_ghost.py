"""Half a field of view away: the ghost of echo-planar imaging."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.transforms.base import Shift, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class NyquistGhost(Shift):
    r"""Nyquist (N/2) ghost: one copy of the object, half a field of view away along the phase-encode axis.

    Cause: echo-planar imaging reads its lines in alternate directions. Eddy currents and gradient delays shift the
    echoes of the two directions against each other, and the field they leave turns their phases apart.

    Model: every other line is delayed by ``delay`` readout samples and turned by ``phase``. A delay is a linear phase
    along the readout in the image, so with :math:`n` readout samples, the position :math:`x` from the centre and
    :math:`\theta(x) = \mathrm{phase} + 2\pi\, \mathrm{delay}\, x / n` these lines are multiplied by
    :math:`e^{i\theta(x)}`. In the image,

    .. math:: m'(x, y) = e^{i\theta/2} \left(\cos\tfrac{\theta}{2}\; m(x, y) - i \sin\tfrac{\theta}{2}\;
        m(x, y - \mathrm{FOV}/2) \right)

    (Bruder et al., Magn Reson Med 1992;23:311; Buonocore and Gao, 1997;38:89): the phase makes an even ghost, the
    delay one that is stronger towards the ends of the readout axis. The k-space centre line is left as it is.

    Severity: delays of 0.1, 0.2, 0.3, 0.45, 0.6 readout samples with phases of 0.1, 0.2, 0.35, 0.5, 0.7 radians.
    The ghost has 5, 10, 17, 25 and 34 % of the object's signal in the middle of the readout axis, and 13, 25, 40, 57
    and 73 % a quarter of the field of view to the side where delay and phase add up.

    Limits: the two directions differ in nothing else (no oblique cross terms, no distortion or blurring of
    echo-planar imaging). A magnitude image has no phase, so that object and ghost are a quarter turn apart and add
    up in squares where they overlap; with the phase of real k-space they interfere in fringes.

    MONAI and TorchIO have no counterpart; TorchIO's ``RandomGhosting`` with two ghosts weakens every other line and
    makes a ghost of the same strength everywhere.

    Args:
        severity: 0 to 5.
        delay: readout samples, not negative.
        phase: radians, in [0, pi]; not zero together with ``delay``.
        axis: spatial axis along which lines are phase-encoded.
        readout_axis: spatial axis along which lines are read; by default the last one that is not ``axis``.
        seed: of nothing, as no part of it is random; for the sake of a uniform signature.

    Raises:
        ScanproofError: both or neither of severity and physical parameters, one out of range, or one axis given twice.

    Example:
        >>> image = torch.zeros(1, 8, 8)
        >>> image[0, 4, 2] = 1.0
        >>> ghost = NyquistGhost(delay=0, phase=1.0)(image)
        >>> [round(float(value), 3) for value in (ghost[0, 4, 2], ghost[0, 4, 6])]  # cos and sin of half a radian
        [0.878, 0.479]
    """

    name: ClassVar[str] = "nyquist_ghost"
    # not "lines": images of an even number of lines need no transform at all
    acts_on: ClassVar[Literal["any"]] = "any"

    def __init__(
        self,
        *,
        severity: int | None = None,
        delay: float | None = None,
        phase: float | None = None,
        axis: int = -1,
        readout_axis: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, delay=delay, phase=phase)
        if delay is not None and not 0 <= delay < math.inf:
            raise ScanproofError("delay must be finite and at least 0", key=self.name, value=delay)
        if phase is not None and not 0 <= phase <= math.pi:
            raise ScanproofError("phase must be in [0, pi]", key=self.name, value=phase)
        if delay == phase == 0:
            raise ScanproofError("delay and phase must not both be 0", key=self.name, hint="severity=0 is the identity")
        self.axis, self.readout_axis = axis, readout_axis

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Delay and turn every other line of k-space or images ``(image, coil, *spatial)``."""
        dims = len(spacing)
        lines = spatial_axis(self.axis, dims, shift=self.name)
        other = -1 if lines != -1 else -2
        readout = other if self.readout_axis is None else spatial_axis(self.readout_axis, dims, shift=self.name)
        if readout == lines:
            raise ScanproofError("readout_axis must be another axis than axis", key=self.name, value=self.readout_axis)
        samples = data.shape[readout]
        # positions from the centre in the order of the transform, zero first
        position = torch.fft.fftfreq(samples, dtype=torch.float64)
        angle = self.parameters["phase"] + 2 * math.pi * self.parameters["delay"] * position
        if data.is_complex():
            return _turn_lines(data, angle, lines=lines, readout=readout)
        return _add_ghost(data, torch.fft.fftshift(angle), lines=lines, readout=readout)


def _turn_lines(kspace: torch.Tensor, angle: torch.Tensor, *, lines: int, readout: int) -> torch.Tensor:
    """Turn every other line of k-space by angles along the readout in the image, its centre first."""
    chosen = [slice(None)] * kspace.ndim
    chosen[lines] = slice((kspace.shape[lines] // 2 + 1) % 2, None, 2)
    turn = torch.polar(torch.ones_like(angle), angle).to(kspace).reshape(-1, *[1] * (-readout - 1))
    result = kspace.clone()
    # k-space is not brought to zero first: that would turn its transform by a phase, which cancels on the way back
    result[tuple(chosen)] = torch.fft.fft(torch.fft.ifft(kspace[tuple(chosen)], dim=readout) * turn, dim=readout)
    return result


def _add_ghost(image: torch.Tensor, angle: torch.Tensor, *, lines: int, readout: int) -> torch.Tensor:
    """The same for real images, up to the phase ``angle / 2``, which their magnitude does not show."""
    half = (angle / 2).to(image).reshape(-1, *[1] * (-readout - 1))
    parts = torch.cos(half) * image, torch.sin(half) * _half_field_away(image, axis=lines)
    # hypot gives the magnitude bit for bit in a quarter of the time, but no gradient where it is zero
    return torch.complex(*parts) if image.requires_grad and torch.is_grad_enabled() else torch.hypot(*parts)


def _half_field_away(image: torch.Tensor, *, axis: int) -> torch.Tensor:
    """Real images whose k-space changes sign at every other line, the centre line excepted."""
    size = image.shape[axis]
    if size % 2 == 0:
        return image.roll(size // 2, dims=axis)
    # half a field of view is no whole number of pixels
    spectrum = torch.fft.rfft(image, dim=axis)
    signs = 1 - 2 * (torch.arange(spectrum.shape[axis], device=image.device) % 2)
    moved: torch.Tensor = torch.fft.irfft(spectrum * signs.to(image).reshape(-1, *[1] * (-axis - 1)), n=size, dim=axis)
    return moved


class NyquistGhostd(Shiftd):
    """Dictionary version of :class:`NyquistGhost`.

    Example:
        >>> NyquistGhostd("image", severity=1)({"image": torch.rand(1, 32, 32)})["image"].shape
        torch.Size([1, 32, 32])
    """

    shift = NyquistGhost


class RandNyquistGhost(RandShift):
    """Random version of :class:`NyquistGhost`, for augmentation."""

    shift = NyquistGhost


class RandNyquistGhostd(RandShiftd):
    """Dictionary version of :class:`RandNyquistGhost`."""

    transform_class = RandNyquistGhost
