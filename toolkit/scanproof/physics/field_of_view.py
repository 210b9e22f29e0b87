"""Another field of view of k-space: fewer or more pixels of the same size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from scanproof.errors import ScanproofError
from scanproof.physics.fft import centred_fft, centred_ifft


def fit_field_of_view(kspace: torch.Tensor, matrix: Sequence[int]) -> torch.Tensor:
    """Crop or zero-pad the images behind k-space about their centre, and make k-space of them again.

    This is how readout oversampling is removed. The size of a pixel stays, and so does the standard deviation of white
    noise where images are cropped. An axis that has its length already is left alone, bit for bit; along others the
    samples are no longer those that were measured, but their interpolation.

    Args:
        kspace: complex, ``(..., *spatial)``, centred.
        matrix: the lengths of the last axes that are wanted.

    Returns:
        Complex of the same dtype, ``(..., *matrix)``.

    Raises:
        ScanproofError: k-space that is not complex or has fewer axes, a length below one.

    Example:
        >>> fit_field_of_view(torch.ones(2, 8, 6, dtype=torch.complex64), (4, 6)).shape
        torch.Size([2, 4, 6])
    """
    if not kspace.is_complex() or kspace.ndim < len(matrix):
        found = f"{kspace.dtype} {tuple(kspace.shape)}"
        raise ScanproofError(f"must be complex with at least {len(matrix)} axes", key="kspace", value=found)
    if min(matrix, default=1) < 1:
        raise ScanproofError("must hold positive sizes", key="matrix", value=tuple(matrix))
    for axis, size in zip(range(-len(matrix), 0), matrix, strict=True):
        if kspace.shape[axis] != size:
            image = _fit(centred_ifft(kspace, axes=(axis,)), axis=axis, size=size)
            kspace = centred_fft(image, axes=(axis,))
    return kspace


def _fit(image: torch.Tensor, *, axis: int, size: int) -> torch.Tensor:
    """The pixel at index n // 2 stays there."""
    first = image.shape[axis] // 2 - size // 2
    if first >= 0 and first + size <= image.shape[axis]:
        return image.narrow(axis, first, size)
    # pads come in pairs from the last axis on; negative ones crop
    pads = [0, 0] * (-axis - 1) + [-first, first + size - image.shape[axis]]
    return F.pad(image, pads)
