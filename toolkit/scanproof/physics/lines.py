"""Linear maps along one axis of an image, by matrix products in parts that the processor's cache holds.

For the few hundred samples of an image axis, a matrix product is faster than a Fourier transform there and back, and
it needs no complex copy of the image.
"""

from __future__ import annotations

import torch

from scanproof.physics.lowpass import along_axis

#: numbers in one part
_PART = 2**20


def part_length(x: torch.Tensor, axis: int) -> int:
    """How many samples along an axis, at least one, make a part of ``x``.

    Example:
        >>> part_length(torch.empty(100, 512, 512), 0)
        4
    """
    return max(1, _PART * x.shape[axis] // x.numel())


def weigh_lines(image: torch.Tensor, weights: torch.Tensor, *, axis: int) -> torch.Tensor:
    r"""Magnitude of an image whose k-space lines are weighted.

    :math:`|F^{-1} \operatorname{diag}(w)\, F x|`, where the matrix is circulant: its columns are the transform of
    :math:`w`, each a pixel further.

    Args:
        image: real, ``(..., *spatial)``.
        weights: real or complex, double precision, one for each line of the centred k-space along the axis.
        axis: counted from the end.

    Returns:
        Real and non-negative, of the same shape; differentiable in the image.

    Example:
        >>> image = torch.rand(1, 6, 5)
        >>> mean_only = weigh_lines(image, torch.tensor([0.0, 0, 1, 0, 0], dtype=torch.float64), axis=-1)
        >>> torch.allclose(mean_only, image.mean(dim=-1, keepdim=True))
        True
    """
    kernel = torch.fft.ifft(torch.fft.ifftshift(weights))
    pixel = torch.arange(len(weights), device=weights.device)
    circulant = kernel[(pixel[:, None] - pixel) % len(weights)]
    # real and imaginary part below each other, as the image is real
    matrix = torch.cat([circulant.real, circulant.imag]).to(image)
    # parts that lie together in memory as far as can be
    along = next((a for a in range(-image.ndim, 0) if a != axis and image.shape[a] > 1), -image.ndim)
    parts = []
    for part in torch.split(image, part_length(image, along), dim=along):
        real, imaginary = along_axis(part, matrix, axis=axis).chunk(2, dim=axis)
        parts.append(torch.complex(real, imaginary).abs())
    return torch.cat(parts, dim=along)
