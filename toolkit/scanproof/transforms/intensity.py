"""Intensity scale."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.transforms.base import Shift
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

_NOTE = "invisible to a pipeline that normalises intensities; it shows whether one does"


class IntensityUp(Shift):
    r"""All signal brighter by one factor.

    Cause: MR intensities have no unit. Receiver gain, coil load, reconstruction software and export scale them
    differently from scanner to scanner.

    Model: :math:`y' = \mathrm{factor} \cdot y`, the same in k-space and image, noise included.

    Severity: factors 1.1, 1.25, 1.5, 1.75, 2.

    Limits: the image holds the same information, so **a pipeline that normalises intensities does not see it at
    all**. It is there to show whether a pipeline does, everywhere: a curve that falls tells of a missing
    normalisation, not of a worse image. No digitiser saturates here; in half precision large values may overflow.

    Differs from MONAI's ``ScaleIntensity(minv=None, maxv=None, factor=...)``, whose factor is ours minus one.

    Args:
        severity: 0 to 5.
        factor: of the signal, above 1.
        seed: without effect, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and factor, or a factor out of range.

    Example:
        >>> IntensityUp(factor=2)(torch.full((1, 1, 2), 0.5)).tolist()
        [[[1.0, 1.0]]]
    """

    name: ClassVar[str] = "intensity_up"
    acts_on: ClassVar[Literal["any"]] = "any"
    note: ClassVar[str] = _NOTE

    def __init__(self, *, severity: int | None = None, factor: float | None = None, seed: int = 0) -> None:
        super().__init__(severity, seed=seed, factor=factor)
        if factor is not None and not 1 < factor < math.inf:
            raise ScanproofError(
                "factor must be above 1 and finite", key=self.name, value=factor, hint="severity=0 is the identity"
            )

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Scale k-space or images."""
        return data * self.parameters["factor"]


class IntensityDown(Shift):
    r"""All signal darker by one factor; cause, model and limits as for :class:`IntensityUp`.

    Severity: factors 0.9, 0.75, 0.6, 0.45, 0.3.

    Args:
        severity: 0 to 5.
        factor: of the signal, in (0, 1).
        seed: without effect, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and factor, or a factor out of range.

    Example:
        >>> IntensityDown(factor=0.5)(torch.ones(1, 1, 2)).tolist()
        [[[0.5, 0.5]]]
    """

    name: ClassVar[str] = "intensity_down"
    acts_on: ClassVar[Literal["any"]] = "any"
    note: ClassVar[str] = _NOTE

    def __init__(self, *, severity: int | None = None, factor: float | None = None, seed: int = 0) -> None:
        super().__init__(severity, seed=seed, factor=factor)
        if factor is not None and not 0 < factor < 1:
            raise ScanproofError(
                "factor must be in (0, 1)", key=self.name, value=factor, hint="severity=0 is the identity"
            )

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Scale k-space or images."""
        return data * self.parameters["factor"]


class IntensityUpd(Shiftd):
    """Dictionary version of :class:`IntensityUp`.

    Example:
        >>> IntensityUpd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = IntensityUp


class RandIntensityUp(RandShift):
    """Random version of :class:`IntensityUp`, for augmentation."""

    shift = IntensityUp


class RandIntensityUpd(RandShiftd):
    """Dictionary version of :class:`RandIntensityUp`."""

    transform_class = RandIntensityUp


class IntensityDownd(Shiftd):
    """Dictionary version of :class:`IntensityDown`.

    Example:
        >>> IntensityDownd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = IntensityDown


class RandIntensityDown(RandShift):
    """Random version of :class:`IntensityDown`, for augmentation."""

    shift = IntensityDown


class RandIntensityDownd(RandShiftd):
    """Dictionary version of :class:`RandIntensityDown`."""

    transform_class = RandIntensityDown
