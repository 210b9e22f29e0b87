"""The contract of a reconstruction method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from pathlib import Path

    from scanproof.training.engine import Handler, TrainingResult

#: what acquisition gives for one slice; see :mod:`scanproof.data.keys`
Sample = Mapping[str, Tensor]


class Reconstructor(ABC):
    """Turns k-space into a magnitude image.

    It works in slices, (coil, H, W), and, where :attr:`dimensions` says so, in volumes, (coil, D, H, W), once
    :meth:`in_dimensions` has been told: a stack of slices has as many axes as a volume.

    A method that learns sets ``trainable`` and implements :meth:`fit`, :meth:`weights` and :meth:`load`.
    """

    #: learns from a training set before it can reconstruct
    trainable: ClassVar[bool] = False
    #: reads undersampled k-space; False for the fully sampled reference chain
    undersampled: ClassVar[bool] = True
    #: gradients flow from :meth:`differentiable_image` back to k-space
    differentiable: ClassVar[bool] = False
    #: numbers of spatial axes in which it works
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    #: that of what it is given now
    spatial_dims: int = 2

    def in_dimensions(self, spatial_dims: int) -> Self:
        """This method for slices (2) or volumes (3), to be said before it learns or is given weights.

        Raises:
            ScanproofError: it does not work in them.
        """
        if spatial_dims not in self.dimensions:
            works = " or ".join(map(str, self.dimensions))
            raise ScanproofError(f"{type(self).__name__} must be used in {works} dimensions", value=spatial_dims)
        self.spatial_dims = spatial_dims
        return self

    def __call__(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """Check the input, reconstruct, check the output; arguments as in :meth:`reconstruct`.

        Raises:
            ScanproofError: shapes that do not fit, or values that are not finite.
        """
        check_kspace(kspace, mask, sensitivities, spatial_dims=self.spatial_dims)
        image = self.reconstruct(kspace, mask, sensitivities)
        if not image.isfinite().all():
            raise ScanproofError(f"{type(self).__name__} must give a finite image", value="NaN or infinite")
        return image

    @abstractmethod
    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """Reconstruct one slice or a batch.

        Args:
            kspace: complex64 (..., coil, H, W), or (..., coil, D, H, W) in volumes; zero where not sampled.
            mask: bool, broadcastable to ``kspace``.
            sensitivities: complex64, coil maps of the same shape as ``kspace`` or without batch axes.

        Returns:
            float32 (..., 1, H, W) or (..., 1, D, H, W), magnitude.
        """

    def differentiable_image(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """The image of :meth:`reconstruct`, and gradients flow, where :attr:`differentiable` holds.

        A method that cuts them off in :meth:`reconstruct` overrides this one. Arguments as there.
        """
        return self.reconstruct(kspace, mask, sensitivities)

    def stand_in(self) -> Reconstructor:
        """The differentiable method through which adversarial perturbations of this one are sought.

        It is the method itself where it is :attr:`differentiable`. In place of others stands compressed sensing with
        wavelets: what it reacts to moves every method that makes its image agree with k-space, but not, say, a network
        that only corrects a zero-filled image. A method that knows a nearer relative names it here.
        """
        if self.differentiable:
            return self
        from scanproof.reconstruction.wavelet_sparsity import WaveletSparsity

        return WaveletSparsity()

    def fit(
        self,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        *,
        seed: int,
        handlers: Sequence[Handler] = (),
        checkpoint: Path | None = None,
    ) -> TrainingResult:
        """Learn from samples with ``kspace``, ``mask``, ``sensitivities`` and ``reference``.

        Args:
            training: what it learns from.
            validation: what chooses the best epoch.
            seed: of everything random.
            handlers: MONAI handlers that watch.
            checkpoint: file from which an interrupted training can go on; see
                :func:`~scanproof.training.engine.train`.
        """
        raise ScanproofError("method does not learn", key=type(self).__name__)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the weights that :meth:`fit` returned."""
        raise ScanproofError("method has no weights", key=type(self).__name__)


def check_kspace(kspace: Tensor, mask: Tensor, sensitivities: Tensor, *, spatial_dims: int = 2) -> None:
    """Check what a reconstruction is given; arguments as in :meth:`Reconstructor.reconstruct`.

    Raises:
        ScanproofError: shapes that do not fit, or values that are not finite.
    """
    axes = spatial_dims + 1
    if kspace.ndim < axes or not kspace.is_complex():
        expected = "..., coil, H, W" if spatial_dims == 2 else "..., coil, D, H, W"
        raise ScanproofError(f"k-space must be complex ({expected})", value=f"{kspace.dtype} {tuple(kspace.shape)}")
    if sensitivities.shape[-axes:] != kspace.shape[-axes:]:
        raise ScanproofError(
            f"sensitivities must match k-space {tuple(kspace.shape[-axes:])}", value=tuple(sensitivities.shape[-axes:])
        )
    if not mask.any():
        raise ScanproofError("mask must sample at least one line", value=int(mask.sum()))
    if not torch.view_as_real(kspace.contiguous()).isfinite().all():
        raise ScanproofError("k-space must be finite", value="NaN or infinite")


def as_slices(x: Tensor, batch: Sequence[int], *, spatial_dims: int = 2) -> Tensor:
    """Flatten a batch: one array a slice (or volume), without copying what they share.

    Args:
        x: (..., coil, H, W) or (..., coil, D, H, W), or fewer axes, as masks have.
        batch: the batch axes of the k-space.
        spatial_dims: 2 for slices, 3 for volumes.

    Returns:
        (slice, coil, H, W) or (volume, coil, D, H, W), the axes after the first as they were, of length one where
        there was none.

    Example:
        >>> as_slices(torch.zeros(5), [2, 3]).shape
        torch.Size([6, 1, 1, 5])
    """
    axes = spatial_dims + 1
    x = x.reshape((1,) * (axes - x.ndim) + x.shape)
    return x.expand(*batch, *x.shape[-axes:]).reshape(-1, *x.shape[-axes:])
