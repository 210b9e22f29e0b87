"""What an unrolled network is given: an acquisition, scaled to a common size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scanproof.physics.sense import SenseOperator


@dataclass(frozen=True)
class Problem:
    """An acquisition, or a batch of them.

    Args:
        operator: A, the acquisition.
        kspace: y, complex ``(batch, coil, *spatial)``, zero where not sampled.
        zero_filled: Aᴴy, complex ``(batch, 1, *spatial)``, of a 95th percentile magnitude of one.
        scale: what images are multiplied by to get the data's unit, ``(batch, 1, 1, ...)``.
    """

    operator: SenseOperator
    kspace: Tensor
    zero_filled: Tensor
    scale: Tensor

    @classmethod
    def of(
        cls,
        kspace: Tensor,
        mask: Tensor,
        sensitivities: Tensor,
        *,
        spatial_dims: int = 2,
        encoded_dims: int | None = None,
    ) -> Problem:
        """Of k-space, complex ``(batch, coil, *spatial)``, zero where not sampled; see :class:`SenseOperator`.

        An acquisition that is zero keeps its unit.

        Example:
            >>> maps = torch.ones(1, 1, 4, 4, dtype=torch.complex64)
            >>> problem = Problem.of(8 * maps, torch.ones(1, 1, 1, 4, dtype=torch.bool), maps)
            >>> problem.zero_filled.abs().sum() > 0
            tensor(True)
        """
        operator = SenseOperator(sensitivities, mask, spatial_dims=spatial_dims, encoded_dims=encoded_dims)
        image = operator.adjoint(kspace)
        size = torch.quantile(image.abs().flatten(1), 0.95, dim=1)
        # most of a sparse image is zero
        size = torch.where(size > 0, size, image.abs().flatten(1).amax(dim=1))
        size = torch.where(size > 0, size, 1.0).reshape(-1, *(1,) * (image.ndim - 1))
        return cls(operator, kspace / size, image / size, size)

    def gradient(self, image: Tensor) -> Tensor:
        """AᴴAx − Aᴴy, that of half the squared residual."""
        return self.operator.normal(image) - self.zero_filled
