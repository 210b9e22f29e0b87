"""The one Fourier transform of the package: centred and orthonormal."""

from __future__ import annotations

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
    axes = _axes(image, spatial_dims)
    spectrum = torch.fft.fftn(torch.fft.ifftshift(image, dim=axes), dim=axes, norm="ortho")
    kspace: torch.Tensor = torch.fft.fftshift(spectrum, dim=axes)
    return kspace


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
    axes = _axes(kspace, spatial_dims)
    shifted = torch.fft.ifftn(torch.fft.ifftshift(kspace, dim=axes), dim=axes, norm="ortho")
    image: torch.Tensor = torch.fft.fftshift(shifted, dim=axes)
    return image


def _axes(x: torch.Tensor, spatial_dims: int) -> tuple[int, ...]:
    if not 1 <= spatial_dims <= x.ndim:
        raise ScanproofError(f"must have at least {spatial_dims} axes", key="shape", value=tuple(x.shape))
    return tuple(range(-spatial_dims, 0))
