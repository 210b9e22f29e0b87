"""CG-SENSE: regularised least squares by conjugate gradients."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from scanproof.errors import ScanproofError
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.base import Reconstructor


class CgSense(Reconstructor):
    r"""Solves (AᴴA + λI) x = Aᴴy by conjugate gradients, A the SENSE operator.

    Source: Pruessmann et al., Magn Reson Med 2001, doi:10.1002/mrm.1241. Deviations: Cartesian sampling needs no
    density compensation, sensitivities are normalised instead of intensity-corrected, and Tikhonov's λ is added.

    Args:
        iterations: conjugate gradient steps; they regularise, too.
        regularisation: λ, relative to the largest eigenvalue of AᴴA, which is one.

    Raises:
        ScanproofError: fewer than one iteration, negative regularisation.
    """

    differentiable: ClassVar[bool] = True

    def __init__(self, *, iterations: int = 12, regularisation: float = 0.01) -> None:
        if iterations < 1:
            raise ScanproofError("must be at least 1", key="cg_sense.iterations", value=iterations)
        if regularisation < 0:
            raise ScanproofError("must not be negative", key="cg_sense.regularisation", value=regularisation)
        self.iterations = iterations
        self.regularisation = regularisation

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`."""
        return self.solve(kspace, mask, sensitivities).abs()

    def solve(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """The complex image, complex64 (..., 1, H, W); arguments as in :meth:`reconstruct`."""
        operator = SenseOperator(sensitivities, mask)
        residual = operator.adjoint(kspace)
        image, direction = torch.zeros_like(residual), residual
        energy = _energy(residual)
        for _ in range(self.iterations):
            forward = operator.normal(direction) + self.regularisation * direction
            step = _ratio(energy, (direction.conj() * forward).real.sum(dim=(-3, -2, -1), keepdim=True))
            image = image + step * direction
            residual = residual - step * forward
            previous, energy = energy, _energy(residual)
            direction = residual + _ratio(energy, previous) * direction
        return image


def _energy(x: Tensor) -> Tensor:
    """Squared norm of each slice (..., 1, H, W)."""
    return (x.real**2 + x.imag**2).sum(dim=(-3, -2, -1), keepdim=True)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient; zero where the denominator is: a slice that has converged, or is empty, stays as it is."""
    positive = denominator > 0
    # a denominator of zero must not reach the quotient, whose gradient it would make NaN
    return torch.where(positive, numerator / torch.where(positive, denominator, 1), torch.zeros_like(numerator))
