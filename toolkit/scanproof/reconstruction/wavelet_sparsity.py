"""Compressed sensing with wavelets."""

from __future__ import annotations

import torch

from scanproof.errors import ScanproofError
from scanproof.reconstruction.compressed_sensing import CompressedSensing
from scanproof.reconstruction.proximal import Proximal, WaveletProximal
from scanproof.reconstruction.wavelet import MOST_VANISHING_MOMENTS, PeriodicWavelet


class WaveletSparsity(CompressedSensing):
    r"""SENSE with the l1 norm of orthogonal wavelet coefficients as penalty ("L1-ESPIRiT" of other packages).

    See :class:`~scanproof.reconstruction.compressed_sensing.CompressedSensing` for the problem and
    :class:`~scanproof.reconstruction.proximal.WaveletProximal` for the penalty and its random shifts. Images whose
    sides are no multiples of ``2**levels`` are extended by pixels that no data bind.

    Defaults were chosen on validation slices of the demo cohort's site north (96 x 80, 8 coils, acceleration 4,
    random and equispaced masks, signal-to-noise ratios 50, 25 and 12.5): the strength has the highest mean PSNR of
    seven from 0.15 to 1.1. With random shifts, themselves worth 2 dB, Haar's wavelet does best: 0.7 to 1.1 dB better
    than two vanishing moments and 1.1 to 1.7 dB better than four; on magnitude images of heads and a chest, 0 to
    1 dB. On test slices at acceleration 4 the method gains 4 dB over CG-SENSE.

    Args:
        iterations: FISTA steps; the last :attr:`averaged` of them are averaged.
        regularisation: λ in standard deviations of the noise in k-space.
        vanishing_moments: of the Daubechies wavelet, which has twice as many taps.
        levels: of the transform.
        random_shifts: shift the image anew in every step. Without, the result is the minimiser of a fixed
            objective, and a much worse image.
        seed: of the shifts.

    Raises:
        ScanproofError: fewer than one iteration or level, negative regularisation, vanishing moments outside [1, 10].

    Example:
        >>> from scanproof.physics.coils import birdcage_sensitivities
        >>> from scanproof.physics.sense import SenseOperator
        >>> maps, mask = birdcage_sensitivities(4, (32, 32)), torch.arange(32) % 2 == 0
        >>> image = torch.zeros(1, 32, 32)
        >>> image[0, 8:20, 10:25] = 1
        >>> kspace = SenseOperator(maps, mask).forward(image + 0j)
        >>> (WaveletSparsity()(kspace, mask, maps) - image).abs().max() < 0.05
        tensor(True)
    """

    name = "cs_wavelet"
    averaged = 10

    def __init__(
        self,
        *,
        iterations: int = 60,
        regularisation: float = 0.45,
        vanishing_moments: int = 1,
        levels: int = 3,
        random_shifts: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(iterations=iterations, regularisation=regularisation)
        self._at_least("levels", levels, 1)
        if not 1 <= vanishing_moments <= MOST_VANISHING_MOMENTS:
            rule = f"must be in [1, {MOST_VANISHING_MOMENTS}]"
            raise ScanproofError(rule, key=f"{self.name}.vanishing_moments", value=vanishing_moments)
        self.vanishing_moments = vanishing_moments
        self.levels = levels
        self.random_shifts = random_shifts
        self.seed = seed
        self.averaged = type(self).averaged if random_shifts else 0

    def padded(self, shape: tuple[int, int]) -> tuple[int, int]:
        """See :meth:`CompressedSensing.padded`."""
        height, width = (-(-n >> self.levels) << self.levels for n in shape)
        return height, width

    def proximal(self, shape: tuple[int, int]) -> Proximal:
        """See :meth:`CompressedSensing.proximal`."""
        wavelet = PeriodicWavelet(shape, levels=self.levels, vanishing_moments=self.vanishing_moments)
        generator = torch.Generator().manual_seed(self.seed) if self.random_shifts else None
        return WaveletProximal(wavelet, generator=generator)
