"""Wraparound of an object that is larger than the field of view."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.extent import object_extent
from scanproof.physics.fft import centred_fft, centred_ifft
from scanproof.transforms.base import Shift, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class Wraparound(Shift):
    r"""Wraparound, fold-over or aliasing: what lies outside the field of view appears on its other side.

    Cause: phase-encode lines at distances :math:`1 / \mathrm{FOV}` cannot tell positions apart that differ by the
    field of view. Prescribed smaller than the object along that axis, or off its centre, it folds.

    Model: of an object that covers :math:`E` pixels along the phase-encode axis, the field of view keeps
    :math:`W = E - n` with :math:`n = \mathrm{round}(\mathrm{fold} \cdot E)`, at least 1, and

    .. math:: x'_c(u) = \sum_k x_c(u + k W) \quad \text{inside it, 0 outside,}

    which is a coarser sampling of the lines of k-space. The matrix is kept, so that the image can be compared with
    the clean one. Of the :math:`n` pixels a random share lies before the field of view, the others behind it; both
    parts grow with :math:`n`. Along the axis, the object is where the root-mean-square over coils and the other axes
    exceeds a fifth of its maximum; fainter signal folds as well, but does not count.

    Severity: 0.05, 0.1, 0.15, 0.2, 0.3 of the object outside.

    Limits: whole pixels. Fold-over along the slice axis of a three-dimensional slab is had with that axis as
    ``axis``. Coil images interfere with their phases; magnitude images, whose phases are lost, add up. Coil
    sensitivities that were estimated from other data do not know that the field of view has shrunk, so that parallel
    imaging cannot unfold it.

    Differs from MONAI and TorchIO in that neither has it. Undersampling of lines in a full field of view aliases
    too, but coherently over the whole image and to be undone by parallel imaging.

    Args:
        severity: 0 to 5.
        fold: share of the object's extent that lies outside the field of view, in (0, 0.5].
        axis: spatial axis along which lines are phase-encoded.
        seed: of the offset of the field of view.

    Raises:
        ScanproofError: both or neither of severity and fold, or a fold out of range.

    Example:
        >>> image = torch.zeros(1, 8, 20)
        >>> image[..., 5:15] = 1
        >>> Wraparound(fold=0.2, seed=1)(image)[0, 0].tolist()[4:16]
        [0.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """

    name: ClassVar[str] = "wraparound"
    acts_on: ClassVar[Literal["any"]] = "any"

    def __init__(
        self, *, severity: int | None = None, fold: float | None = None, axis: int = -1, seed: int = 0
    ) -> None:
        super().__init__(severity, seed=seed, fold=fold)
        if fold is not None and not 0 < fold <= 0.5:
            raise ScanproofError(
                "fold must be in (0, 0.5]", key=self.name, value=fold, hint="severity=0 is the identity"
            )
        self.axis = axis

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Fold k-space or images ``(image, coil, *spatial)``."""
        axis = spatial_axis(self.axis, len(spacing), shift=self.name)
        # along the other axes nothing happens, so k-space need not be transformed along them
        images = centred_ifft(data, axes=(axis,)) if data.is_complex() else data
        before = float(torch.rand((), generator=generator, dtype=torch.float64))
        folded = []
        for image, (first, stop) in zip(images, object_extent(images, axis=axis), strict=True):
            extent = stop - first
            outside = min(max(1, round(self.parameters["fold"] * extent)), extent // 2)
            folded.append(fold_over(image, axis=axis, first=first + round(before * outside), width=extent - outside))
        result = torch.stack(folded) if len(folded) > 1 else folded[0][None]
        return centred_fft(result, axes=(axis,)) if data.is_complex() else result


def fold_over(image: torch.Tensor, *, axis: int, first: int, width: int) -> torch.Tensor:
    """Add to a part of an axis all that lies at multiples of its width from it.

    Args:
        image: real or complex, any shape.
        axis: that folds.
        first: pixel of the part that is kept.
        width: of that part in pixels, at least 1.

    Returns:
        Of the same shape, zero outside the part.

    Example:
        >>> fold_over(torch.tensor([1, 2, 4, 8, 16, 32]), axis=0, first=2, width=3).tolist()
        [0, 0, 36, 9, 18, 0]
    """
    size = image.shape[axis]
    result = torch.zeros_like(image)
    kept = result.narrow(axis, first, width)
    for start in range(first % width - width, size, width):
        low, high = max(start, 0), min(start + width, size)
        if low < high:
            kept.narrow(axis, low - start, high - low).add_(image.narrow(axis, low, high - low))
    return result


class Wraparoundd(Shiftd):
    """Dictionary version of :class:`Wraparound`.

    Example:
        >>> Wraparoundd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = Wraparound


class RandWraparound(RandShift):
    """Random version of :class:`Wraparound`, for augmentation."""

    shift = Wraparound


class RandWraparoundd(RandShiftd):
    """Dictionary version of :class:`RandWraparound`."""

    transform_class = RandWraparound
