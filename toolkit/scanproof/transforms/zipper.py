"""Lines of radio-frequency interference."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import centred_fft
from scanproof.transforms.base import Shift, require_positive, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: share of the readout around its centre that stays free
_FREE_CENTER = 0.1
#: multiples of this, modulo one, never come close to each other
_GOLDEN = (5**0.5 - 1) / 2


class Zipper(Shift):
    r"""Zipper: a dashed line of interference across the image, along the phase-encode axis.

    Cause: a radio wave from outside, e.g. from a monitor or through an open door of the cabin, that the receiver takes
    for signal. Its one frequency is one position along the readout; as it does not keep step with the sequence, its
    phase is another at every phase-encode line, so that it spreads over all positions along the phase encoding.

    Model: to the samples of line :math:`\ell` at the readout position :math:`k` of coil :math:`c`,
    :math:`a\, s_c\, e^{i\varphi_\ell} e^{-2\pi i k p / n}` is added for every frequency, with independent uniform
    phases :math:`\varphi_\ell`, complex Gaussian coil factors :math:`s_c` of unit mean square, the position
    :math:`p` and :math:`n` readout samples. In the image this is white noise on the pixels at :math:`p` and nothing
    elsewhere, and it is written there. In a volume with two phase-encode axes it is a plane of noise, which every
    slice that holds the readout axis shows as a line.

    Severity: 1, 1, 2, 3, 4 lines with the amplitudes 0.1, 0.2, 0.4, 0.6, 0.8, the root-mean-square along a line and
    over coils, in maxima of the clean root-sum-of-squares image: that is also about what the line measures in an
    image combined with coil sensitivities. Lines of a lower severity are among those of a
    higher. None is within the middle tenth of the readout: a zipper there comes from the scanner itself.

    Limits: a continuous wave of one frequency that falls on a pixel, hence lines that are one pixel wide; amplitude
    modulation and drifting frequencies make them broader.

    Differs from MONAI and TorchIO: they have no counterpart.

    Args:
        severity: 0 to 5.
        lines: number of interfering frequencies, at least 1.
        amplitude: of each, in the maximum of the image, above 0.
        readout_axis: spatial axis along which k-space is read out; lines stand across it.
        seed: of positions, phases and coil factors.

    Raises:
        ScanproofError: both or neither of severity and physical parameters, or one out of range.

    Example:
        >>> image = torch.ones(1, 32, 24)
        >>> changed = (Zipper(lines=2, amplitude=0.5, seed=1)(image) != image)[0].all(dim=1)
        >>> int(changed.sum())
        2
    """

    name: ClassVar[str] = "zipper"
    acts_on: ClassVar[Literal["image"]] = "image"
    counts: ClassVar[frozenset[str]] = frozenset({"lines"})

    def __init__(
        self,
        *,
        severity: int | None = None,
        lines: int | None = None,
        amplitude: float | None = None,
        readout_axis: int = -2,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, lines=lines, amplitude=amplitude)
        if lines is not None and not lines >= 1:
            raise ScanproofError("lines must be at least 1", key=self.name, value=lines)
        require_positive(self.name, **{name: value for name, value in self.parameters.items() if name == "amplitude"})
        self.readout_axis = readout_axis

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Add the lines to coil images ``(image, coil, *spatial)``."""
        dims = len(spacing)
        axis = spatial_axis(self.readout_axis, dims, shift=self.name)
        magnitude = root_sum_of_squares(data, dim=1) if data.is_complex() else data[:, 0]
        peak = magnitude.amax(dim=tuple(range(-dims, 0))).reshape(-1, *[1] * dims)
        encodes = [size for i, size in enumerate(data.shape[2:], start=-dims) if i != axis]
        start = float(torch.rand((), generator=generator, dtype=torch.float64))
        result = data.clone()
        for position in zipper_positions(data.shape[axis], int(self.parameters["lines"]), start=start):
            noise = interference(data.shape[1], encodes, generator=generator).to(data.device)
            line = result.select(axis, position)
            noisy = line + self.parameters["amplitude"] * peak * noise.to(torch.promote_types(data.dtype, torch.cfloat))
            line.copy_(noisy if data.is_complex() else noisy.abs())
        return result


def zipper_positions(size: int, lines: int, *, start: float) -> list[int]:
    """Readout positions of the lines: nested, apart from each other and from the centre.

    Args:
        size: number of readout positions.
        lines: number of lines.
        start: position of the first in the free range, in [0, 1).

    Returns:
        One index per line; fewer lines stand at the first of these.

    Raises:
        ScanproofError: two lines would share a position.

    Example:
        >>> zipper_positions(100, 3, start=0.0)
        [0, 65, 21]
    """
    shares = [(start + i * _GOLDEN) % 1 * (1 - _FREE_CENTER) for i in range(lines)]
    low = (1 - _FREE_CENTER) / 2
    positions = [int((share if share < low else share + _FREE_CENTER) * size) for share in shares]
    if len(set(positions)) < lines:
        raise ScanproofError(
            "lines must be few enough to stand apart", key="zipper", value=lines, hint=f"{size} readout positions"
        )
    return positions


def interference(coils: int, encodes: list[int], *, generator: torch.Generator) -> torch.Tensor:
    """What one frequency of interference leaves on its pixels: the transform of random phases.

    Args:
        coils: number of coils.
        encodes: numbers of phase-encode lines, of one axis or two.
        generator: CPU generator.

    Returns:
        complex128 ``(coil, *encodes)``; the squared magnitudes are one in the mean over coils and pixels.

    Example:
        >>> noise = interference(4, [64], generator=torch.Generator().manual_seed(1))
        >>> round(float(noise.abs().square().mean()), 6)
        1.0
    """
    factors = torch.randn(coils, generator=generator, dtype=torch.complex128)
    turns = torch.rand(encodes, generator=generator, dtype=torch.float64)
    waves = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)
    noise = centred_fft(waves, axes=range(-len(encodes), 0))
    units: torch.Tensor = factors / factors.abs().square().mean().sqrt()
    return units.reshape(-1, *[1] * len(encodes)) * noise


class Zipperd(Shiftd):
    """Dictionary version of :class:`Zipper`.

    Example:
        >>> Zipperd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = Zipper


class RandZipper(RandShift):
    """Random version of :class:`Zipper`, for augmentation."""

    shift = Zipper


class RandZipperd(RandShiftd):
    """Dictionary version of :class:`RandZipper`."""

    transform_class = RandZipper
