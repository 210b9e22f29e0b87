"""Truncation of k-space along the phase-encode axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.lowpass import low_pass
from scanproof.transforms.base import Shift, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class GibbsPhaseEncode(Shift):
    r"""Gibbs ringing along the phase-encode axis: ripples parallel to edges that run across it.

    Cause: every phase-encode line costs time, a readout sample hardly any. So the phase-encode axis is the one that
    is cut short, and the one along which images ring; in the spine, the ripple beside the cord passes for a syrinx.

    Model: :math:`y'_{c,\ell} = w_\ell\, y_{c,\ell}` with :math:`w_\ell = \min\big(1, \max(0, h - |\ell| +
    \tfrac12)\big)` at line :math:`\ell` from the centre and :math:`h = \mathrm{kept} \cdot n / 2` of :math:`n`
    lines: the central lines are kept, and the outermost ones in part, so that the weights add up to
    :math:`\mathrm{kept} \cdot n` and no range of ``kept`` does the same. The line at :math:`-n/2` of an even number
    stands for both ends and has twice that weight. The centre line is always kept whole.

    Severity: ``kept`` 0.75, 0.6, 0.5, 0.4, 0.3.

    Limits: the cut is symmetric, which is not partial Fourier, and the readout stays whole. As with
    :class:`~scanproof.transforms.GibbsRinging`, the matrix is not made smaller and resolution is lost along with it.

    Differs from MONAI's ``GibbsNoise`` in cutting one axis; TorchIO has no such transform.

    Args:
        severity: 0 to 5.
        kept: share of the phase-encode lines, in (0, 1).
        axis: spatial axis along which lines are phase-encoded.
        seed: without influence, as nothing is random.

    Raises:
        ScanproofError: both or neither of severity and kept, or kept out of range.

    Example:
        >>> point = torch.zeros(1, 17, 17)
        >>> point[0, 8, 8] = 1
        >>> result = GibbsPhaseEncode(kept=0.5)(point)
        >>> (result.abs() > 1e-5).sum(dim=-1)[0].nonzero().flatten().tolist()  # the other axis is left alone
        [8]
    """

    name: ClassVar[str] = "gibbs_phase_encode"
    acts_on: ClassVar[Literal["any"]] = "any"

    def __init__(
        self, *, severity: int | None = None, kept: float | None = None, axis: int = -1, seed: int = 0
    ) -> None:
        super().__init__(severity, seed=seed, kept=kept)
        if kept is not None and not 0 < kept < 1:
            raise ScanproofError("kept must be in (0, 1)", key=self.name, value=kept, hint="severity=0 is the identity")
        self.axis = axis

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Weight the phase-encode lines of k-space or real images ``(image, coil, *spatial)``."""
        axis = spatial_axis(self.axis, len(spacing), shift=self.name)
        lines, kept = data.shape[axis], self.parameters["kept"]

        def band(distances: Sequence[torch.Tensor]) -> torch.Tensor:
            return line_weights(distances[0], lines=lines, kept=kept)

        result = low_pass(data, axes=(axis,), highest=((kept * lines + 1) / 2,), window=band)
        return result if result.is_complex() else result.abs_()


def line_weights(distance: torch.Tensor, *, lines: int, kept: float) -> torch.Tensor:
    """Weights of phase-encode lines where only a central share of them is acquired.

    Args:
        distance: of lines to the centre line, float64, in lines.
        lines: number of all lines.
        kept: share of them, in (0, 1).

    Returns:
        float64 in [0, 1], of the same shape.

    Example:
        >>> line_weights(torch.tensor([2.0, 1.0, 0.0, 1.0]), lines=4, kept=0.625)
        tensor([0.0000, 0.7500, 1.0000, 0.7500])
    """
    weights = (kept * lines / 2 - distance + 0.5).clamp_min(0)
    both_ends = torch.where(2 * distance == lines, 2 * weights, weights)
    return torch.where(distance == 0, torch.ones_like(distance), both_ends.clamp_max(1))


class GibbsPhaseEncoded(Shiftd):
    """Dictionary version of :class:`GibbsPhaseEncode`.

    Example:
        >>> GibbsPhaseEncoded("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = GibbsPhaseEncode


class RandGibbsPhaseEncode(RandShift):
    """Random version of :class:`GibbsPhaseEncode`, for augmentation."""

    shift = GibbsPhaseEncode


class RandGibbsPhaseEncoded(RandShiftd):
    """Dictionary version of :class:`RandGibbsPhaseEncode`."""

    transform_class = RandGibbsPhaseEncode
