"""The one Fourier transform of the package: centred and orthonormal."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from scanproof.errors import ScanproofError


def image_to_kspace(image: torch.Tensor, *, spatial_dims: int = 2) -> torch.Tensor:
    r"""Centred orthonormal discrete Fourier transform over the last axes.

    With :math:`n` pixels along an axis and both origins at index :math:`c = \lfloor n/2 \rfloor`,

    .. math:: k_u = n^{-1/2} \sum_x m_x \, e^{-2\pi i (u - c)(x - c)/n} .

    The transform is unitary: energy is kept (Parseval) and its adjoint is :func:`kspace_to_image`.

    Args:
        image: real or complex, ``(..., *spatial)``, any even or odd size.
        spatial_dims: how many of the last axes are transformed.

    Returns:
        k-space of the same shape: complex64, or complex128 for float64 and complex128 input.

    Raises:
        ScanproofError: fewer axes than ``spatial_dims``.

    Example:
        >>> image_to_kspace(torch.ones(1, 4, 4))[0, 2, 2]
        tensor(4.+0.j)
    """
    return centred_fft(image, axes=_axes(image, spatial_dims))


def kspace_to_image(kspace: torch.Tensor, *, spatial_dims: int = 2) -> torch.Tensor:
    """Inverse, and adjoint, of :func:`image_to_kspace`.

    Args:
        kspace: real or complex, ``(..., *spatial)``.
        spatial_dims: how many of the last axes are transformed.

    Returns:
        Complex image of the same shape: complex64, or complex128 for float64 and complex128 input.

    Raises:
        ScanproofError: fewer axes than ``spatial_dims``.

    Example:
        >>> image = torch.rand(8, 5, 6)
        >>> torch.allclose(kspace_to_image(image_to_kspace(image)).real, image, atol=1e-6)
        True
    """
    return centred_ifft(kspace, axes=_axes(kspace, spatial_dims))


def centred_fft(x: torch.Tensor, *, axes: Sequence[int]) -> torch.Tensor:
    """The transform of :func:`image_to_kspace` over any axes.

    Args:
        x: real or complex.
        axes: which to transform.

    Returns:
        Complex of the same shape.

    Example:
        >>> centred_fft(torch.ones(2, 4), axes=(-1,))[0].real.tolist()
        [0.0, 0.0, 2.0, 0.0]
    """
    chosen = tuple(axes)
    spectrum = torch.fft.fftn(torch.fft.ifftshift(x, dim=chosen), dim=chosen, norm="ortho")
    centred: torch.Tensor = torch.fft.fftshift(spectrum, dim=chosen)
    return centred


def centred_ifft(x: torch.Tensor, *, axes: Sequence[int]) -> torch.Tensor:
    """Inverse, and adjoint, of :func:`centred_fft`.

    Args:
        x: real or complex.
        axes: which to transform.

    Returns:
        Complex of the same shape.

    Example:
        >>> x = torch.rand(2, 5)
        >>> torch.allclose(centred_ifft(centred_fft(x, axes=(0, 1)), axes=(0, 1)).real, x, atol=1e-6)
        True
    """
    chosen = tuple(axes)
    shifted = torch.fft.ifftn(torch.fft.ifftshift(x, dim=chosen), dim=chosen, norm="ortho")
    centred: torch.Tensor = torch.fft.fftshift(shifted, dim=chosen)
    return centred


def _axes(x: torch.Tensor, spatial_dims: int) -> tuple[int, ...]:
    if not 1 <= spatial_dims <= x.ndim:
        raise ScanproofError(f"must have at least {spatial_dims} axes", key="shape", value=tuple(x.shape))
    return tuple(range(-spatial_dims, 0))
