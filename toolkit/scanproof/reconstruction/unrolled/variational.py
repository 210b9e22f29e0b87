"""The unroll of MONAI's variational network, which goes from k-space to k-space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scanproof.errors import ScanproofError
from scanproof.physics.fft import kspace_to_image
from scanproof.reconstruction.unrolled.problem import Problem
from scanproof.reconstruction.unrolled.unrolls import Unroll


class VariationalStep(Unroll):
    r"""MONAI's ``VarNetBlock`` with its ``ComplexUnet``: :math:`k \leftarrow k - \eta M (k - y) - F S R(S^H F^H k)`.

    Source: Sriram et al., End-to-End Variational Networks, MICCAI 2020, arXiv 2004.06688. What it improves is the
    k-space of all coils; the image is their combination by the sensitivities, where MONAI's model takes the root sum
    of squares.

    Args:
        features: channels of the six stages of MONAI's ``BasicUNet``.
        spatial_dims: 2 or 3.
    """

    def __init__(self, *, features: Sequence[int] = (8, 8, 16, 32, 64, 8), spatial_dims: int = 2) -> None:
        super().__init__()
        from monai.apps.reconstruction.networks.blocks.varnetblock import VarNetBlock
        from monai.apps.reconstruction.networks.nets.complex_unet import ComplexUnet

        unet = ComplexUnet(spatial_dims=spatial_dims, features=features)
        # MONAI's own model forgets to tell its blocks that they are three-dimensional
        self.block = VarNetBlock(unet, spatial_dims=spatial_dims)
        self.spatial_dims = spatial_dims

    @staticmethod
    def begin(problem: Problem) -> Tensor:
        """See :meth:`Unroll.begin`: the k-space as it was sampled."""
        return problem.kspace

    @staticmethod
    def image(state: Tensor, problem: Problem) -> Tensor:
        """See :meth:`Unroll.image`."""
        operator = problem.operator
        coils = kspace_to_image(state, spatial_dims=operator.encoded_dims)
        return (operator.sensitivities.conj() * coils).sum(dim=-operator.spatial_dims - 1, keepdim=True)

    def forward(self, image: Tensor, problem: Problem) -> Tensor:
        """See :meth:`Unroll.forward`; k-space, complex ``(batch, coil, *spatial)``.

        Raises:
            ScanproofError: images in time, which MONAI's block would transform along time, too.
        """
        operator = problem.operator
        if operator.encoded_dims != operator.spatial_dims:
            raise ScanproofError(
                "variational network must encode all axes", key="encoded_dims", value=operator.encoded_dims
            )
        mask = operator.mask.reshape((1,) * (image.ndim - operator.mask.ndim) + operator.mask.shape)
        maps = torch.view_as_real(operator.sensitivities.expand_as(image).contiguous())
        # MONAI's U-Net divides by the standard deviation of the image: what is empty is left out
        empty = image.detach().abs().flatten(1).amax(dim=1).reshape(-1, *(1,) * (image.ndim - 1)) == 0
        state = torch.where(empty, torch.ones_like(image), image)
        pairs, measured = (torch.view_as_real(one.contiguous()) for one in (state, problem.kspace))
        better: Tensor = self.block(pairs, measured, mask[..., None], maps)
        return torch.where(empty, torch.zeros_like(image), torch.view_as_complex(better.contiguous()))
