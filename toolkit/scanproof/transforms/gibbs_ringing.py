"""Truncation of k-space along all axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.lowpass import low_pass
from scanproof.transforms.base import Shift
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class GibbsRinging(Shift):
    r"""Gibbs ringing: ripples beside sharp edges, in all directions.

    Cause: k-space is measured up to a highest frequency, and nothing beyond. Beside an edge, the cut-off shows as an
    overshoot of 9 % and ripples that fade with the distance, the wider the lower the cut-off.

    Model: :math:`y'_c(k) = y_c(k)` where :math:`\sum_i \big(k_i / (\mathrm{kept} \cdot n_i / 2)\big)^2 \le 1` and 0
    elsewhere, with the sample :math:`k_i` counted from the centre of :math:`n_i` samples along axis :math:`i`: a
    sharp ellipsoid whose semi-axes are ``kept`` times the half-width of k-space. The centre is always in it.

    Severity: ``kept`` 0.75, 0.6, 0.5, 0.4, 0.3.

    Limits: the matrix is not made smaller, so ripples are drawn out over several pixels, as in an image that the
    scanner has interpolated. Ringing that is in the image already stays. Resolution is lost along with it.
    :class:`~scanproof.transforms.ResolutionLoss` blurs without ripples.

    Differs from MONAI's ``GibbsNoise`` in the shape: MONAI's is a ball in samples, with half the diagonal of a cube
    over the longest axis as the unit of its radius. So its ``alpha`` below 0.29 cuts nothing but corners of a square
    image, and a short axis is not cut at all where a long one is. On a square image of an odd size ``n`` both keep
    the same samples for ``kept = sqrt(2) * (1 - alpha)``; an even one MONAI centres between two samples. MONAI
    returns the real part, which is negative in dark places; here it is the magnitude.

    Args:
        severity: 0 to 5.
        kept: semi-axes of the ellipsoid as a share of the half-width of k-space, in (0, 1]. At 1 the corners go.
        seed: without influence, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and kept, or kept out of range.

    Example:
        >>> edge = torch.ones(1, 64, 64)
        >>> edge[..., :16] = edge[..., 48:] = 0
        >>> ringing = GibbsRinging(kept=0.25)(edge)
        >>> 1.08 < ringing.max() < 1.1
        tensor(True)
    """

    name: ClassVar[str] = "gibbs_ringing"
    acts_on: ClassVar[Literal["any"]] = "any"

    def __init__(self, *, severity: int | None = None, kept: float | None = None, seed: int = 0) -> None:
        super().__init__(severity, seed=seed, kept=kept)
        if kept is not None and not 0 < kept <= 1:
            raise ScanproofError("kept must be in (0, 1]", key=self.name, value=kept, hint="severity=0 is the identity")

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Cut the outer k-space off, from k-space or real images ``(image, coil, *spatial)``."""
        axes = range(-len(spacing), 0)
        radii = [self.parameters["kept"] * data.shape[axis] / 2 for axis in axes]

        def ellipsoid(distances: Sequence[torch.Tensor]) -> torch.Tensor:
            return within_ellipsoid(distances, radii)

        result = low_pass(data, axes=axes, highest=radii, window=ellipsoid)
        return result if result.is_complex() else result.abs_()


def within_ellipsoid(distances: Sequence[torch.Tensor], radii: Sequence[float]) -> torch.Tensor:
    """Which points lie in an ellipsoid around the origin.

    Args:
        distances: coordinates along each axis, shaped to broadcast.
        radii: semi-axes, positive, in the unit of the coordinates.

    Returns:
        bool, of the shape that the coordinates broadcast to; the surface counts as inside.

    Example:
        >>> line = torch.tensor([0.0, 1.0, 2.0])
        >>> within_ellipsoid([line[:, None], line], [2.0, 1.0]).int().tolist()
        [[1, 1, 0], [1, 0, 0], [1, 0, 0]]
    """
    square = torch.zeros((), dtype=torch.float64)
    for distance, radius in zip(distances, radii, strict=True):
        square = square + (distance / radius) ** 2
    return square <= 1


class GibbsRingingd(Shiftd):
    """Dictionary version of :class:`GibbsRinging`.

    Example:
        >>> GibbsRingingd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = GibbsRinging


class RandGibbsRinging(RandShift):
    """Random version of :class:`GibbsRinging`, for augmentation."""

    shift = GibbsRinging


class RandGibbsRingingd(RandShiftd):
    """Dictionary version of :class:`RandGibbsRinging`."""

    transform_class = RandGibbsRinging
