"""Zero filling: the coil-combined inverse FFT of what was sampled."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.base import Reconstructor


class ZeroFilled(Reconstructor):
    """Adjoint of the SENSE operator: missing lines stay zero, coils are combined with their sensitivities.

    Source: Roemer et al., Magn Reson Med 1990, doi:10.1002/mrm.1910160203 (coil combination).
    """

    differentiable: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`."""
        return SenseOperator(sensitivities, mask, spatial_dims=self.spatial_dims).adjoint(kspace).abs()


class FullySampled(ZeroFilled):
    """The reference chain: the same combination of k-space in which every line was acquired.

    What it loses under a shift is the artifact's doing alone; what other methods lose beyond it comes from
    undersampling and reconstruction.
    """

    undersampled: ClassVar[bool] = False
