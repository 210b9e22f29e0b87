"""Spikes in k-space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.steady import steady_sum
from scanproof.transforms.base import Shift, require_positive
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: distances from the k-space centre between which spikes fall, in half widths of k-space
_RING = (0.2, 0.6)


class Spike(Shift):
    r"""Spike: stripes over the whole image, one set for every disturbed k-space sample (herringbone, corduroy).

    Cause: an electrostatic discharge, from a loose screw, a wire or dry clothing, while one sample is taken.

    Model: :math:`y'_c(k_j) = y_c(k_j) + s\, Y\, e^{i\varphi_{jc}}` at the positions :math:`k_j`, with independent
    uniform phases :math:`\varphi_{jc}`: in the image, a plane wave is added to every coil. :math:`Y` is the largest
    k-space magnitude of the clean root-sum-of-squares image, :math:`N^{-1/2} \sum_r |x(r)|` with :math:`N` pixels. The
    largest magnitude of the coils' own k-space would depend on the phase of their images, and with it the strength of
    the stripes. Positions
    point in random directions from the centre, at distances of 0.2 to 0.6 half widths of k-space along every axis,
    where stripes are 10 to 3 pixels wide: nearer to the centre they would look like shading, farther out they cannot
    be seen. To a magnitude image the waves are added without a Fourier transform; the result is the same.

    Severity: 0.05, 0.1, 0.2, 0.35, 0.5 of the largest k-space magnitude.

    Limits: single samples; a discharge that lasts disturbs several neighbours.

    Differs from TorchIO's ``RandomSpike``, whose intensity has the same meaning, in the random phase, the ring (theirs
    may fall on the centre) and the magnitude (theirs is the real part, which loses half of the energy of the wave);
    from MONAI's ``RandKSpaceSpikeNoise``, which replaces the logarithm of the magnitude at the sample, so that its
    strength depends on the unit of the data, and also returns the real part.

    Args:
        severity: 0 to 5.
        intensity: magnitude that is added to the k-space of each coil, in the largest of the image's, above 0.
        spikes: number of disturbed samples.
        seed: of positions and phases.

    Raises:
        ScanproofError: both or neither of severity and intensity, or a value out of range.

    Example:
        >>> kspace = torch.ones(1, 16, 16) + 0j
        >>> changed = Spike(intensity=0.5, seed=1)(kspace) - kspace
        >>> int(changed.count_nonzero()), round(float(changed.abs().max()), 4)
        (1, 0.5)
    """

    name: ClassVar[str] = "spike"
    acts_on: ClassVar[Literal["any"]] = "any"

    def __init__(
        self, *, severity: int | None = None, intensity: float | None = None, spikes: int = 1, seed: int = 0
    ) -> None:
        super().__init__(severity, seed=seed, intensity=intensity)
        require_positive(self.name, **self.parameters)
        if not spikes >= 1:
            raise ScanproofError("spikes must be at least 1", key=self.name, value=spikes)
        self.spikes = spikes

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Add spikes to k-space or plane waves to magnitude images ``(image, coil, *spatial)``."""
        shape = data.shape[2:]
        offsets = spike_offsets(shape, self.spikes, generator=generator)
        turns = torch.rand(self.spikes, data.shape[1], generator=generator, dtype=torch.float64)
        units = torch.polar(torch.ones_like(turns), 2 * math.pi * turns).to(data.device)
        if not data.is_complex():
            return add_waves(data, offsets, self.parameters["intensity"] * units)
        result = data.clone()
        dims = len(shape)
        image = root_sum_of_squares(kspace_to_image(data, spatial_dims=dims), dim=1)
        largest = steady_sum(image[:, None], spatial_dims=dims).flatten(1) / math.sqrt(math.prod(shape))
        for offset, unit in zip(offsets, units, strict=True):
            sample = result
            for size, step in zip(shape, offset, strict=True):
                sample = sample.select(2, size // 2 + step)
            sample += self.parameters["intensity"] * largest * unit.to(data.dtype)
        return result


def spike_offsets(shape: Sequence[int], spikes: int, *, generator: torch.Generator) -> list[tuple[int, ...]]:
    """Positions of spikes relative to the k-space centre, in samples.

    Args:
        shape: spatial shape.
        spikes: number of positions.
        generator: CPU generator; positions in half widths of k-space depend on its state alone.

    Returns:
        One tuple per spike.

    Example:
        >>> offset = spike_offsets((64, 64), 1, generator=torch.Generator().manual_seed(1))[0]
        >>> 0.2 * 32 <= math.hypot(*offset) <= 0.6 * 32 + 2
        True
    """
    offsets = []
    for _ in range(spikes):
        direction = torch.randn(len(shape), generator=generator, dtype=torch.float64)
        radius = _RING[0] + (_RING[1] - _RING[0]) * torch.rand((), generator=generator, dtype=torch.float64)
        shares = (radius * direction / torch.linalg.vector_norm(direction)).tolist()
        offsets.append(tuple(_whole(share, size) for share, size in zip(shares, shape, strict=True)))
    return offsets


def _whole(share: float, size: int) -> int:
    """A share of the half width of k-space in samples, away from zero: no spike of a small image is at the centre."""
    samples = int(math.copysign(math.ceil(abs(share) * (size // 2)), share))
    # an even size has no sample at its positive half width
    return min(samples, (size - 1) // 2)


def add_waves(images: torch.Tensor, offsets: Sequence[Sequence[int]], strengths: torch.Tensor) -> torch.Tensor:
    r"""Magnitude of non-negative images with plane waves: what spikes in their k-space do.

    A spike of :math:`a` at the offset :math:`k` from the centre adds the wave :math:`a N^{-1/2} e^{2\pi i \sum_i k_i
    (r_i - c_i) / n_i}` with the centre :math:`c_i = \lfloor n_i / 2 \rfloor`, :math:`N` pixels and :math:`n_i` along
    axis :math:`i`. A wave is the product of one factor an axis; it is never held as a complex image.

    Args:
        images: real and non-negative, ``(image, 1, *spatial)``.
        offsets: of the spikes, samples from the k-space centre.
        strengths: complex ``(spike, 1)``, in the largest k-space magnitude of each image, the sum over pixels times
            :math:`N^{-1/2}`.

    Returns:
        Of the same shape and dtype.

    Example:
        >>> add_waves(torch.ones(1, 1, 1, 4), [(0, 2)], torch.ones(1, 1) + 0j).flatten().round().tolist()
        [2.0, 0.0, 2.0, 0.0]
    """
    shape = images.shape[2:]
    amplitude = steady_sum(images, spatial_dims=len(shape)) / math.prod(shape)
    empty = amplitude == 0
    # the magnitude has no derivative at zero, so an empty image gets waves, which are taken away again
    amplitude = amplitude.masked_fill(empty, 1.0)
    real = images
    imaginary = torch.zeros((), dtype=images.dtype, device=images.device)
    for offset, strength in zip(offsets, strengths, strict=True):
        factors = [
            _wave(size, step, axis=axis).to(images.device)
            for axis, (size, step) in enumerate(zip(shape, offset, strict=True), start=-len(shape))
        ]
        lead = amplitude * strength * factors[0]
        rest = math.prod(factors[1:], start=torch.ones((), dtype=lead.dtype, device=images.device))
        a, b, c, d = (part.to(images.dtype) for part in (lead.real, lead.imag, rest.real, rest.imag))
        real = torch.addcmul(torch.addcmul(real, a, c), b, d, value=-1)
        imaginary = torch.addcmul(torch.addcmul(imaginary, a, d), b, c)
    result = torch.hypot(real, imaginary)
    return result * ~empty if bool(empty.any()) else result


def _wave(size: int, step: int, *, axis: int) -> torch.Tensor:
    turns = step * (torch.arange(size, dtype=torch.float64) - size // 2) / size
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns).reshape(-1, *[1] * (-axis - 1))


class Spiked(Shiftd):
    """Dictionary version of :class:`Spike`.

    Example:
        >>> Spiked("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = Spike


class RandSpike(RandShift):
    """Random version of :class:`Spike`, for augmentation."""

    shift = Spike


class RandSpiked(RandShiftd):
    """Dictionary version of :class:`RandSpike`."""

    transform_class = RandSpike
