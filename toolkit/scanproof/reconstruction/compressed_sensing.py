"""What the classical compressed-sensing methods share: data term, scale, strength and solver."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from scanproof.errors import ScanproofError
from scanproof.physics.noise_level import noise_level
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.base import Reconstructor, as_slices
from scanproof.reconstruction.proximal import Proximal, fista

#: noise counts as at least this share of the image's amplitude: no image is exactly sparse
LEAST_NOISE = 0.002
_SLICE = (-3, -2, -1)


class CompressedSensing(Reconstructor):
    r"""Solves :math:`\min_x \tfrac12 \lVert A x - y \rVert^2 + \lambda R(x)` for the complex image x.

    A is the SENSE operator and R a penalty that is small for images that are sparse in some sense (Lustig et al.,
    Magn Reson Med 2007;58:1182). The best λ is proportional to the noise: it is ``regularisation`` times the
    standard deviation of the noise as :func:`~scanproof.physics.noise_level.noise_level` reads it off k-space, or
    times :data:`LEAST_NOISE` of the image's amplitude where there is less. Hence intensity scales through, and
    nobody needs to tune λ again when a scanner has more noise. The solver is FISTA with a fixed number of iterations.

    Args:
        iterations: FISTA steps.
        regularisation: λ in standard deviations of the noise in k-space (of the real part).

    Raises:
        ScanproofError: fewer than one iteration, negative regularisation.
    """

    differentiable: ClassVar[bool] = True
    #: what errors call the method
    name: str
    #: last FISTA steps whose mean is the result
    averaged = 0

    def __init__(self, *, iterations: int, regularisation: float) -> None:
        self._at_least("iterations", iterations, 1)
        self._at_least("regularisation", regularisation, 0)
        self.iterations = iterations
        self.regularisation = regularisation

    @abstractmethod
    def proximal(self, shape: tuple[int, int]) -> Proximal:
        """A fresh proximal operator of R for images of this shape (H, W)."""

    def padded(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Shape, at least the image's, on which R is defined; A does not see the pixels that are added."""
        return shape

    def reconstruct(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """See :meth:`Reconstructor.reconstruct`."""
        return self.solve(kspace, mask, sensitivities).abs()

    def solve(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        """The complex image, complex64 (..., 1, H, W); arguments as in :meth:`reconstruct`."""
        # one after the other: the solver's arrays of one slice stay in the cache, a batch's do not
        slices = zip(*(as_slices(x, kspace.shape[:-3]) for x in (kspace, mask, sensitivities)), strict=True)
        images = torch.stack([self._solve_slice(*arrays) for arrays in slices])
        return images.reshape(*kspace.shape[:-3], *images.shape[1:])

    def _solve_slice(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        operator = SenseOperator(sensitivities, mask)
        target = operator.adjoint(kspace)
        amplitude = _amplitude(target)
        # numbers of the order of one, whatever the scanner's unit: squares of very small ones would vanish
        scale = torch.where(amplitude > 0, amplitude, torch.ones_like(amplitude))
        # without gradient: that of a median is a single sample's, and so steep that it hides all others
        noise = noise_level(kspace.detach(), operator.mask) / scale
        height, width = target.shape[-2:]
        rows, columns = self.padded((height, width))
        margin = (0, columns - width, 0, rows - height)
        start = F.pad(target / scale, margin)

        def gradient(image: Tensor) -> Tensor:
            return F.pad(operator.normal(image[..., :height, :width]), margin) - start

        image = fista(
            gradient,
            self.proximal((rows, columns)),
            start=start,
            step=1 / _lipschitz(operator.sensitivities),
            weight=self.regularisation * noise.clamp(min=LEAST_NOISE),
            iterations=self.iterations,
            averaged=min(self.averaged, self.iterations),
        )
        return image[..., :height, :width] * scale

    def _at_least(self, option: str, value: float, least: int) -> None:
        if not value >= least:
            rule = "must not be negative" if least == 0 else f"must be at least {least}"
            raise ScanproofError(rule, key=f"{self.name}.{option}", value=value)


def _amplitude(image: Tensor) -> Tensor:
    """Mean magnitude, every pixel weighted by its magnitude, so that the size of the field of view has no say."""
    magnitude = image.abs()
    total = magnitude.sum(dim=_SLICE, keepdim=True)
    tiny = torch.finfo(magnitude.dtype).tiny
    # divided first: squares of very small numbers would vanish
    return (magnitude * (magnitude / total.clamp(min=tiny))).sum(dim=_SLICE, keepdim=True)


def _lipschitz(sensitivities: Tensor) -> Tensor:
    """Bound of the largest eigenvalue of AᴴA, (..., 1, 1, 1): one for normalised maps."""
    power = (sensitivities.real**2 + sensitivities.imag**2).sum(dim=-3, keepdim=True)
    return power.amax(dim=_SLICE, keepdim=True).clamp(min=torch.finfo(power.dtype).tiny)
