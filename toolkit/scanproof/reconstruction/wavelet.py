"""Orthogonal wavelet transform of periodic images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scanproof.errors import ScanproofError

#: above it the spectral factorisation loses digits
MOST_VANISHING_MOMENTS = 10


class PeriodicWavelet:
    """Two-dimensional Daubechies wavelet transform, periodic and orthonormal.

    One level turns a block of (h, w) into the approximation (top left) and three details of (h/2, w/2); the next
    level turns the approximation, and so on (Mallat, IEEE TPAMI 1989;11:674). Coefficients keep the image's shape.
    Filtering and decimation of an axis are one orthogonal matrix: at the sizes of MR slices a matrix product is as
    quick as filters, and short axes need no special case.

    Args:
        shape: (H, W) of the images, multiples of ``2**levels``.
        levels: at least 1.
        vanishing_moments: p of the Daubechies filter, which has 2p taps: 1 is Haar's, 2 is D4.

    Raises:
        ScanproofError: a shape that cannot be halved that often, fewer than one level, or vanishing moments outside
            [1, 10].

    Example:
        >>> wavelet = PeriodicWavelet((32, 48), levels=3, vanishing_moments=2)
        >>> image = torch.rand(32, 48)
        >>> coefficients = wavelet.forward(image)
        >>> torch.allclose(wavelet.inverse(coefficients), image, atol=1e-5)
        True
        >>> torch.allclose(coefficients.norm(), image.norm())
        True
    """

    def __init__(self, shape: Sequence[int], *, levels: int, vanishing_moments: int) -> None:
        if levels < 1:
            raise ScanproofError("must be at least 1", key="levels", value=levels)
        if min(shape) < 1 or any(n % 2**levels for n in shape):
            raise ScanproofError(f"shape must hold multiples of 2**levels = {2**levels}", value=tuple(shape))
        height, width = shape
        self._steps = [
            (_analysis_matrix(height >> level, vanishing_moments), _analysis_matrix(width >> level, vanishing_moments))
            for level in range(levels)
        ]
        #: shape of the coarsest approximation, in the top left corner of the coefficients
        self.coarsest = (height >> levels, width >> levels)

    def forward(self, image: Tensor) -> Tensor:
        """Coefficients of images, real (..., H, W), of the same shape and precision."""
        coefficients = image.clone()
        for rows, columns in self._steps:
            block = coefficients[..., : len(rows), : len(columns)]
            block.copy_(rows.to(block) @ block @ columns.to(block).mT)
        return coefficients

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Images of coefficients: inverse and adjoint of :meth:`forward`."""
        image = coefficients.clone()
        for rows, columns in reversed(self._steps):
            block = image[..., : len(rows), : len(columns)]
            block.copy_(rows.to(block).mT @ block @ columns.to(block))
        return image


@lru_cache(maxsize=16)
def daubechies(vanishing_moments: int) -> tuple[float, ...]:
    r"""Low-pass filter of Daubechies' orthogonal wavelet with the shortest support and extremal phase.

    With :math:`y = (2 - z - z^{-1})/4`, :math:`|H(z)|^2 = 2 (1 - y)^p \sum_{k<p} \binom{p-1+k}{k} y^k`; H takes the
    roots outside the unit circle (Daubechies, Comm Pure Appl Math 1988;41:909, section 4).

    Args:
        vanishing_moments: p, in [1, 10].

    Returns:
        2p coefficients of norm one and sum sqrt(2).

    Raises:
        ScanproofError: p outside [1, 10].

    Example:
        >>> [round(c, 3) for c in daubechies(2)]
        [0.483, 0.837, 0.224, -0.129]
    """
    p = vanishing_moments
    if not 1 <= p <= MOST_VANISHING_MOMENTS:
        raise ScanproofError(f"must be in [1, {MOST_VANISHING_MOMENTS}]", key="vanishing_moments", value=p)
    taps = np.ones(1)
    for y in np.roots([math.comb(p - 1 + k, k) for k in reversed(range(p))]):
        middle = 1 - 2 * y
        root = middle + np.sqrt(middle**2 - 1 + 0j)
        taps = np.convolve(taps, [1, -1 / root if abs(root) > 1 else -root])
    for _ in range(p):
        taps = np.convolve(taps, [1, 1])
    real = taps.real * (math.sqrt(2) / taps.real.sum())
    return tuple(real.tolist())


@lru_cache(maxsize=64)
def _analysis_matrix(size: int, vanishing_moments: int) -> Tensor:
    """Orthogonal (size, size): rows of the low-pass filter at every second position, then those of the high-pass."""
    low: npt.NDArray[np.float64] = np.array(daubechies(vanishing_moments))
    taps = len(low)
    high = low[::-1] * (-1.0) ** np.arange(taps)
    matrix = np.zeros((size, size))
    for row in range(size // 2):
        # centred, so that coefficients stay where the image is; a filter longer than the axis goes round it again
        columns = (2 * row + np.arange(taps) - (vanishing_moments - 1)) % size
        np.add.at(matrix[row], columns, low)
        np.add.at(matrix[size // 2 + row], columns, high)
    return torch.from_numpy(matrix)
