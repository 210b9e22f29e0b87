"""Synthetic k-space from magnitude images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace
from scanproof.physics.noise import complex_gaussian

#: highest number of half periods of the phase along one axis
_HALF_PERIODS = 3


def smooth_phase(shape: Sequence[int], *, generator: torch.Generator, scale: float = math.pi) -> torch.Tensor:
    r"""A random phase map that varies slowly over the field of view.

    Sum of the cosines :math:`\prod_i \cos(\pi k_i (x_i + 1/2) / n_i)` with at most three half periods in all,
    :math:`\sum_i k_i \le 3`, and Gaussian weights, brought to a largest magnitude of ``scale``. The weights alone
    are random, so the same generator state gives the same pattern at every resolution.

    Args:
        shape: spatial shape, any number of axes.
        generator: CPU generator.
        scale: largest magnitude of the phase in radians.

    Returns:
        float32 of the given shape, radians, within ``[-scale, scale]``.

    Raises:
        ScanproofError: an empty shape or a negative scale.

    Example:
        >>> phase = smooth_phase((32, 48), generator=torch.Generator().manual_seed(1), scale=1.0)
        >>> round(float(phase.abs().max()), 4)
        1.0
    """
    if not shape or min(shape) < 1:
        raise ScanproofError("shape must hold positive sizes", value=tuple(shape))
    if not 0 <= scale < float("inf"):
        raise ScanproofError("scale must be finite and at least 0", value=scale)
    phase = torch.zeros(*shape, dtype=torch.float64)
    for orders in itertools.product(range(_HALF_PERIODS + 1), repeat=len(shape)):
        if not 0 < sum(orders) <= _HALF_PERIODS:
            continue
        term = torch.randn((), generator=generator, dtype=torch.float64)
        for axis, (order, size) in enumerate(zip(orders, shape, strict=True)):
            wave = torch.cos(math.pi * order * (torch.arange(size, dtype=torch.float64) + 0.5) / size)
            term = term * wave.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        phase = phase + term
    largest = phase.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
    return (scale * phase / largest).to(torch.float32)


def synthetic_kspace(
    magnitude: torch.Tensor,
    sensitivities: torch.Tensor,
    *,
    generator: torch.Generator,
    noise_std: float = 0.0,
) -> torch.Tensor:
    """Multi-coil k-space that *could* have led to a magnitude image. It is **synthetic**, not measured.

    The magnitude is given a smooth random phase (:func:`smooth_phase`), weighted by the coil sensitivities,
    Fourier transformed, and white complex noise is added. There is no true phase, noise level, relaxation,
    off-resonance or coil coupling in it, and what the scanner's own reconstruction did to the image (filtering,
    interpolation, coil combination) stays in it. Reconstruction scores on such data are **optimistic** (Shimron et
    al., PNAS 2022;119:e2117203119) and must be reported as obtained on synthetic k-space.

    Args:
        magnitude: real, ``(1, *spatial)``, finite and non-negative.
        sensitivities: complex, ``(coil, *spatial)``.
        generator: CPU generator of phase and noise; the phase does not depend on ``noise_std``.
        noise_std: standard deviation of the real and of the imaginary part of the noise, each, in units of
            ``magnitude``.

    Returns:
        complex64 ``(coil, *spatial)``, on the CPU.

    Raises:
        ScanproofError: a wrong shape or dtype, negative or non-finite values.

    Example:
        >>> from scanproof.physics.coils import birdcage_sensitivities
        >>> maps = birdcage_sensitivities(4, (32, 40))
        >>> kspace = synthetic_kspace(torch.ones(1, 32, 40), maps, generator=torch.Generator().manual_seed(1))
        >>> kspace.shape, kspace.dtype
        (torch.Size([4, 32, 40]), torch.complex64)
    """
    if magnitude.is_complex():
        raise ScanproofError("must be real", key="magnitude", value=str(magnitude.dtype))
    if not sensitivities.is_complex():
        raise ScanproofError("must be complex", key="sensitivities", value=str(sensitivities.dtype))
    spatial = tuple(sensitivities.shape[1:])
    if tuple(magnitude.shape) != (1, *spatial) or len(spatial) < 2:
        raise ScanproofError(
            f"must be (1, *spatial) with the sensitivities' spatial shape {spatial}",
            key="magnitude",
            value=tuple(magnitude.shape),
        )
    if not bool(torch.isfinite(magnitude).all()) or bool((magnitude < 0).any()):
        raise ScanproofError("must be finite and non-negative everywhere", key="magnitude")
    phase = smooth_phase(spatial, generator=generator)
    image = torch.polar(magnitude.to(torch.float32), phase.expand_as(magnitude))
    kspace = image_to_kspace(sensitivities.to(torch.complex64) * image, spatial_dims=len(spatial))
    return kspace + complex_gaussian(kspace.shape, std=noise_std, generator=generator)
