"""Fewer virtual coils in place of many."""

from __future__ import annotations

import torch

from scanproof.errors import ScanproofError


def compress_coils(kspace: torch.Tensor, coils: int) -> tuple[torch.Tensor, float]:
    """The combinations of coils that hold most of the signal (Buehrer et al., Magn Reson Med 2007;57:1131).

    They are the first left singular vectors of k-space as a matrix of coils and samples, found through its products of
    coil by coil. Combinations are orthonormal, so white noise stays white.

    Args:
        kspace: complex64 ``(coil, H, W)``.
        coils: number of virtual coils, at most that of the coils.

    Returns:
        complex64 ``(coils, H, W)``, the strongest first, and the share of the energy that they hold, in [0, 1].

    Raises:
        ScanproofError: a wrong shape, or more virtual coils than there are coils.

    Example:
        >>> one = torch.rand(1, 8, 6) + 0j
        >>> virtual, kept = compress_coils(torch.cat([one, 2 * one, -one]), 1)
        >>> virtual.shape, round(kept, 6)
        (torch.Size([1, 8, 6]), 1.0)
    """
    if kspace.ndim != 3 or not kspace.is_complex():
        found = f"{kspace.dtype} {tuple(kspace.shape)}"
        raise ScanproofError("must be complex (coil, H, W)", key="kspace", value=found)
    if not 1 <= coils <= len(kspace):
        raise ScanproofError(f"must be in [1, {len(kspace)}], the number of coils", key="coils", value=coils)
    samples = kspace.flatten(1).to(torch.complex128)
    energy, vectors = torch.linalg.eigh(samples @ samples.mH)
    chosen = vectors[:, -coils:].flip(-1)
    total = float(energy.sum())
    kept = float(energy[-coils:].sum()) / total if total > 0 else 1.0
    return (chosen.mH @ samples).reshape(coils, *kspace.shape[1:]).to(torch.complex64), kept
