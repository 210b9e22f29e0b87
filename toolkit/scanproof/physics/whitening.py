"""Receiver noise that is alike in all coils and in none correlated with another's."""

from __future__ import annotations

import torch

from scanproof.errors import ScanproofError


def noise_covariance(noise: torch.Tensor) -> torch.Tensor:
    r"""Covariance of the noise of receive coils, :math:`\Psi = \frac{1}{n} \sum_j \eta_j \eta_j^H`.

    Args:
        noise: complex ``(coil, sample)``, measured without excitation: its mean is zero.

    Returns:
        complex128 ``(coil, coil)``, Hermitian, of the complex values: half of it belongs to the real part.

    Raises:
        ScanproofError: not complex, not finite, or fewer samples than ten times the coils.

    Example:
        >>> from scanproof.physics.noise import complex_gaussian
        >>> noise = complex_gaussian((2, 4096), std=1.0, generator=torch.Generator().manual_seed(1))
        >>> noise_covariance(noise).diagonal().real.round().tolist()
        [2.0, 2.0]
    """
    if not noise.is_complex() or noise.ndim != 2:
        found = f"{noise.dtype} {tuple(noise.shape)}"
        raise ScanproofError("must be complex (coil, sample)", key="noise", value=found)
    coils, samples = noise.shape
    if samples < 10 * coils:
        raise ScanproofError(f"must have at least {10 * coils} samples for {coils} coils", key="noise", value=samples)
    if not bool(torch.view_as_real(noise).isfinite().all()):
        raise ScanproofError("must be finite", key="noise", value="NaN or infinite")
    values = noise.to(torch.complex128)
    covariance: torch.Tensor = values @ values.mH / samples
    return covariance


def whitening_matrix(covariance: torch.Tensor) -> torch.Tensor:
    r"""The matrix that makes noise white: :math:`W = L^{-1}` with :math:`\Psi = L L^H` (Cholesky).

    Coils weighted by it have noise of covariance one (Roemer et al., Magn Reson Med 1990;16:192; Pruessmann et al.,
    Magn Reson Med 2001;46:638, section "Decorrelation of noise").

    Args:
        covariance: complex ``(coil, coil)``, from :func:`noise_covariance`.

    Returns:
        complex128 ``(coil, coil)``, to be multiplied from the left with data ``(coil, sample)``.

    Raises:
        ScanproofError: noise that is zero in a coil, or in one coil what it is in others.

    Example:
        >>> whitening_matrix(torch.diag(torch.tensor([4.0, 1.0])) + 0j).real.tolist()
        [[0.5, 0.0], [0.0, 1.0]]
    """
    values = covariance.to(torch.complex128)
    scale = float(values.diagonal().real.max())
    lower, failed = torch.linalg.cholesky_ex(values / scale if scale > 0 else values)
    if int(failed) or float(lower.diagonal().real.min()) < 1e-6:
        rule = "noise of the coils must be positive and independent"
        raise ScanproofError(rule, key="noise", value=f"variances {[f'{v:.2g}' for v in values.diagonal().real]}")
    one = torch.eye(len(values), dtype=torch.complex128)
    inverse: torch.Tensor = torch.linalg.solve_triangular(lower, one, upper=False) / scale**0.5
    return inverse
