"""Phase-encode lines that were never acquired."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, get_args

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.masks import cartesian_mask
from scanproof.transforms.base import Shift, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

Mask = Literal["random", "equispaced"]


class Undersampling(Shift):
    r"""Undersampling: lines are skipped to scan faster, and nothing puts them back.

    Cause: a protocol accelerated beyond what the reconstruction expects, or a zero-filled image that is taken for a
    reconstructed one.

    Model: :math:`y'_{c,\ell} = M_\ell\, y_{c,\ell}` with a Cartesian mask :math:`M` that is one in a band around the
    k-space centre and, outside it, at random or evenly spaced lines, such that a share of :math:`1 /
    \mathrm{acceleration}` of all lines is acquired in expectation (Zbontar et al., arXiv:1811.08839). The
    missing lines are zero. Evenly spaced lines alias into faint copies of the object, random ones into incoherent
    streaks along the phase-encode axis; both blur, as energy outside the centre is lost.

    Severity: accelerations 2, 3, 4, 6, 8 with centre bands of 0.16, 0.11, 0.08, 0.06, 0.04 of the lines.
    Random masks of one seed are nested: a line that is missing at one severity is missing at all higher ones.

    Limits: it acts before the mask of a study, which takes its own lines on top of it, and k-space that is already
    undersampled cannot be told from full k-space: where both masks miss, more than either acceleration is lost. One
    phase-encode axis alone is undersampled, also in three dimensions. A random mask holds a binomial number of
    lines, see :func:`~scanproof.physics.masks.cartesian_mask`.

    Differs from MONAI's ``RandomKspaceMask`` and ``EquispacedKspaceMask``, which draw the mask, in any phase-encode
    axis, in taking magnitude images and complex tensors, and in keeping at least the centre line. TorchIO has no
    counterpart.

    Args:
        severity: 0 to 5.
        acceleration: above 1, finite.
        center_fraction: share of the lines in the centre band, in (0, 1) and below ``1 / acceleration``; at least the
            centre line is kept.
        mask: ``"random"`` or ``"equispaced"``.
        axis: spatial axis along which lines are phase-encoded.
        seed: of the lines; with ``"equispaced"``, of the first one.

    Raises:
        ScanproofError: both or neither of severity and physical parameters, one out of range, an unknown kind of
            mask, or an image with too few lines.

    Example:
        >>> kspace = torch.randn(4, 32, 40, dtype=torch.complex64)
        >>> under = Undersampling(acceleration=4, center_fraction=0.1, mask="equispaced", seed=1)(kspace)
        >>> int((under != 0).any(dim=(0, 1)).sum())
        10
    """

    name: ClassVar[str] = "undersampling"
    acts_on: ClassVar[Literal["lines"]] = "lines"

    def __init__(
        self,
        *,
        severity: int | None = None,
        acceleration: float | None = None,
        center_fraction: float | None = None,
        mask: Mask = "random",
        axis: int = -1,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, acceleration=acceleration, center_fraction=center_fraction)
        if acceleration is not None and not 1 < acceleration < math.inf:
            raise ScanproofError(
                "acceleration must be above 1 and finite",
                key=self.name,
                value=acceleration,
                hint="severity=0 is the identity",
            )
        if center_fraction is not None and not 0 < center_fraction < 1:
            raise ScanproofError("center_fraction must be in (0, 1)", key=self.name, value=center_fraction)
        if acceleration is not None and center_fraction is not None and not center_fraction * acceleration < 1:
            raise ScanproofError(
                f"center_fraction must be below 1 / acceleration = {1 / acceleration:.3g}",
                key=self.name,
                value=center_fraction,
            )
        if mask not in get_args(Mask):
            raise ScanproofError(f"mask must be one of {', '.join(get_args(Mask))}", key=self.name, value=mask)
        self.mask, self.axis = mask, axis

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Set the lines of k-space ``(image, coil, *spatial)`` that are not acquired to zero."""
        axis = spatial_axis(self.axis, len(spacing), shift=self.name)
        lines = data.shape[axis]
        acquired = cartesian_mask(
            lines,
            kind=self.mask,
            acceleration=self.parameters["acceleration"],
            # an image of a few lines would round the band of a high severity to none
            center_fraction=max(self.parameters["center_fraction"], 1 / lines),
            seed=int(torch.randint(2**32, (), generator=generator)),
        )
        return data * acquired.to(data.real).reshape(-1, *[1] * (-axis - 1))


class Undersamplingd(Shiftd):
    """Dictionary version of :class:`Undersampling`.

    Example:
        >>> Undersamplingd("image", severity=1)({"image": torch.rand(1, 32, 32)})["image"].shape
        torch.Size([1, 32, 32])
    """

    shift = Undersampling


class RandUndersampling(RandShift):
    """Random version of :class:`Undersampling`, for augmentation."""

    shift = Undersampling


class RandUndersamplingd(RandShiftd):
    """Dictionary version of :class:`RandUndersampling`."""

    transform_class = RandUndersampling
