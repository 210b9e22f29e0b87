"""Receive coils that fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.transforms.base import Shift
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class CoilDropout(Shift):
    r"""Coil dropout: some elements of the receive array give no signal, and their side of the object goes dark.

    Cause: a connector that is not plugged in, a broken element or preamplifier, or elements that were not selected.

    Model: :math:`y'_c = w_c\, y_c`. Of :math:`C` coils, :math:`\lfloor \mathrm{lost} \cdot C \rfloor` have
    :math:`w_c = 0`, one more has 1 less the remainder of :math:`\mathrm{lost} \cdot C`, so that the shift grows
    steadily whatever the number of coils, and the others have 1. Lost coils are neighbours in the order of the coils,
    around a random first one to either side in turn, as elements that fail together share a plug; the coils of a
    smaller share are among those of a larger. K-space is changed coil by coil. A magnitude image is seen by
    ``coils`` virtual elements :math:`S_c` on a circle around the field of view
    (:func:`~scanproof.physics.coils.birdcage_sensitivities`) and combined by root-sum-of-squares without the lost
    ones: :math:`x' = x \sqrt{\sum_c w_c^2 |S_c|^2}`, where all coils together have one.

    Severity: 0.06, 0.125, 0.19, 0.25, 0.375 of the coils.

    Limits: that neighbours in the data are neighbours in space is true of the package's simulated coils and of many,
    not all, arrays. Noise is lost along with the signal. Sensitivities that were estimated before are not changed:
    they then tell a reconstruction of a coil that is silent, as in a scanner whose calibration is older than the
    fault. The virtual coils do not vary along the first axis of a volume.

    Differs from MONAI and TorchIO: they have no counterpart.

    Args:
        severity: 0 to 5.
        lost: share of the coils, in (0, 1).
        coils: number of virtual elements around a magnitude image, at least 2; k-space has its own.
        seed: of the first coil that is lost.

    Raises:
        ScanproofError: both or neither of severity and lost, a value out of range, or k-space of a single coil.

    Example:
        >>> kspace = torch.ones(4, 16, 16) + 0j
        >>> sorted(CoilDropout(lost=0.375, seed=1)(kspace)[:, 0, 0].real.tolist())
        [0.0, 0.5, 1.0, 1.0]
    """

    name: ClassVar[str] = "coil_dropout"
    acts_on: ClassVar[Literal["any"]] = "any"

    def __init__(
        self, *, severity: int | None = None, lost: float | None = None, coils: int = 8, seed: int = 0
    ) -> None:
        super().__init__(severity, seed=seed, lost=lost)
        if lost is not None and not 0 < lost < 1:
            raise ScanproofError("lost must be in (0, 1)", key=self.name, value=lost, hint="severity=0 is the identity")
        if not coils >= 2:
            raise ScanproofError("coils must be at least 2", key=self.name, value=coils)
        self.coils = coils

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Weight the coils of k-space, or shade magnitude images, ``(image, coil, *spatial)``."""
        first = float(torch.rand((), generator=generator, dtype=torch.float64))
        coils = data.shape[1] if data.is_complex() else self.coils
        if coils < 2:
            raise ScanproofError("k-space must have at least 2 coils", key=self.name, value=coils)
        weights = coil_weights(coils, self.parameters["lost"], first=int(first * coils))
        if data.is_complex():
            return data * weights.to(data.real).reshape(-1, *[1] * len(spacing))
        return data * coil_shading(weights, data.shape[-2:]).to(data)


def coil_weights(coils: int, lost: float, *, first: int) -> torch.Tensor:
    """What is left of every coil.

    Args:
        coils: their number.
        lost: share of them, in [0, 1].
        first: the coil that is lost first.

    Returns:
        float64 ``(coil,)``, in [0, 1], with the sum ``coils * (1 - lost)``.

    Example:
        >>> coil_weights(8, 0.3125, first=0).tolist()
        [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    """
    whole = math.floor(lost * coils)
    # first, the next, the one before, the second next, ...
    order = [(first + (-1) ** (i + 1) * ((i + 1) // 2)) % coils for i in range(coils)]
    weights = torch.ones(coils, dtype=torch.float64)
    weights[order[:whole]] = 0
    if whole < coils:
        weights[order[whole]] = 1 - (lost * coils - whole)
    return weights


def coil_shading(weights: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Root-sum-of-squares of weighted birdcage coils, which is one where all weights are.

    Args:
        weights: real ``(coil,)``.
        shape: in-plane shape.

    Returns:
        float64 of that shape.

    Example:
        >>> bool(coil_shading(torch.ones(8), (16, 18)).allclose(torch.ones(16, 18).double()))
        True
    """
    power = birdcage_sensitivities(len(weights), shape).abs().double().square()
    return (weights.square().reshape(-1, 1, 1) * power).sum(dim=0).sqrt()


class CoilDropoutd(Shiftd):
    """Dictionary version of :class:`CoilDropout`.

    Example:
        >>> CoilDropoutd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = CoilDropout


class RandCoilDropout(RandShift):
    """Random version of :class:`CoilDropout`, for augmentation."""

    shift = CoilDropout


class RandCoilDropoutd(RandShiftd):
    """Dictionary version of :class:`RandCoilDropout`."""

    transform_class = RandCoilDropout
