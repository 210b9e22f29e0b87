"""CG-SENSE: regularised least squares by conjugate gradients."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from scanproof.errors import ScanproofError
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.base import Reconstructor
from scanproof.reconstruction.conjugate_gradients import conjugate_gradients


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
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)

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
        """The complex image, complex64 (..., 1, *spatial); arguments as in :meth:`reconstruct`."""
        operator = SenseOperator(sensitivities, mask, spatial_dims=self.spatial_dims)
        return conjugate_gradients(
            lambda x: operator.normal(x) + self.regularisation * x,
            operator.adjoint(kspace),
            iterations=self.iterations,
            spatial_dims=self.spatial_dims,
        )
