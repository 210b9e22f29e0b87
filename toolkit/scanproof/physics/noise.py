"""Thermal receiver noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from scanproof.errors import ScanproofError


def complex_gaussian(shape: Sequence[int], *, std: float, generator: torch.Generator) -> torch.Tensor:
    r"""White circular complex Gaussian noise.

    Thermal noise of an MR receiver is Gaussian with the same variance in the real and the imaginary channel. As the
    Fourier transform of the package is orthonormal, noise of some ``std`` in k-space has the same ``std`` in the
    image. The magnitude of signal plus noise is then Rician in one coil (Gudbjartsson and Patz, Magn Reson Med
    1995;34:910) and non-central chi after root-sum-of-squares of several.

    Args:
        shape: of the result.
        std: standard deviation of the real part **and** of the imaginary part, each; the magnitude squared has
            the mean ``2 * std**2``.
        generator: CPU generator; the same state gives the same noise.

    Returns:
        complex64 of the given shape.

    Raises:
        ScanproofError: a negative or non-finite ``std``.

    Example:
        >>> noise = complex_gaussian((64, 64), std=2.0, generator=torch.Generator().manual_seed(1))
        >>> 1.9 < noise.real.std() < 2.1, noise.dtype
        (tensor(True), torch.complex64)
    """
    if not 0 <= std < float("inf"):
        raise ScanproofError("std must be finite and at least 0", value=std)
    parts = torch.randn(*shape, 2, generator=generator, dtype=torch.float32)
    return torch.view_as_complex(parts) * std
