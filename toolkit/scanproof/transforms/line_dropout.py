"""Phase-encode lines that were lost."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.transforms.base import Shift, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class LineDropout(Shift):
    r"""Line dropout: single phase-encode lines are missing.

    Cause: lines in which radio-frequency interference, a corrupted data packet or an overflow of the receiver was
    detected, and which were discarded rather than measured again.

    Model: :math:`y'_{c,\ell} = 0` for a share ``dropped`` of the lines :math:`\ell` outside a protected band around
    the k-space centre, in all coils alike; at least one line. In the image, every line is a wave across the object
    that is taken away: random ones add up to fine incoherent streaks along the phase-encode axis.

    Severity: shares 0.03, 0.08, 0.15, 0.25, 0.4. The lines of one seed are nested: a line that is lost at one severity
    is lost at all higher ones.

    Limits: lines are lost independently of each other and of the signal; the band around the centre is protected, as
    a line lost there ruins an image in a way that every scanner or operator notices. In three dimensions, all lines
    of one position along the axis are lost together.

    MONAI and TorchIO have no counterpart: MONAI's ``RandomKspaceMask`` keeps a share of lines rather than losing
    one, and draws other lines anew for every share.

    Args:
        severity: 0 to 5.
        dropped: share of the lines outside the protected band that is lost, in (0, 1].
        axis: spatial axis along which lines are phase-encoded.
        center_fraction: fraction of the lines that is protected around the centre, in [0, 1); the centre line always
            is.
        seed: of the lines.

    Raises:
        ScanproofError: both or neither of severity and ``dropped``, a value out of range, or no line to lose.

    Example:
        >>> kspace = torch.randn(4, 32, 50, dtype=torch.complex64)
        >>> damaged = LineDropout(dropped=0.1, center_fraction=0.2, seed=1)(kspace)
        >>> int((damaged == 0).all(dim=(0, 1)).sum())
        4
    """

    name: ClassVar[str] = "line_dropout"
    acts_on: ClassVar[Literal["lines"]] = "lines"

    def __init__(
        self,
        *,
        severity: int | None = None,
        dropped: float | None = None,
        axis: int = -1,
        center_fraction: float = 0.08,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, dropped=dropped)
        if dropped is not None and not 0 < dropped <= 1:
            raise ScanproofError(
                "dropped must be in (0, 1]", key=self.name, value=dropped, hint="severity=0 is the identity"
            )
        if not 0 <= center_fraction < 1:
            raise ScanproofError("center_fraction must be in [0, 1)", key=self.name, value=center_fraction)
        self.axis, self.center_fraction = axis, center_fraction

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Set the lost lines of k-space ``(image, coil, *spatial)`` to zero."""
        axis = spatial_axis(self.axis, len(spacing), shift=self.name)
        ranks = torch.rand(data.shape[axis], generator=generator, dtype=torch.float64)
        kept = kept_lines(ranks, dropped=self.parameters["dropped"], center_fraction=self.center_fraction)
        return data * kept.to(data.real).reshape(-1, *[1] * (-axis - 1))


def kept_lines(ranks: torch.Tensor, *, dropped: float, center_fraction: float = 0.0) -> torch.Tensor:
    """Which phase-encode lines are left when those of the lowest ranks are lost.

    Args:
        ranks: floating, ``(lines,)``, all different; the centre is line ``lines // 2``.
        dropped: share of the lines outside the protected band that is lost, rounded to whole lines, at least one.
        center_fraction: fraction of the lines in the protected band; at least the centre line.

    Returns:
        bool ``(lines,)``.

    Raises:
        ScanproofError: no line lies outside the protected band.

    Example:
        >>> kept_lines(torch.tensor([0.3, 0.9, 0.1, 0.5]), dropped=0.7).tolist()
        [False, True, True, False]
    """
    lines = len(ranks)
    outside = (torch.arange(lines) - lines // 2).abs() > center_fraction * lines / 2
    candidates = torch.nonzero(outside).flatten()
    if not len(candidates):
        raise ScanproofError(
            "must leave lines to lose outside the k-space centre",
            key="center_fraction",
            value=center_fraction,
            hint=f"{lines} lines",
        )
    count = max(1, round(dropped * len(candidates)))
    kept = torch.ones(lines, dtype=torch.bool)
    kept[candidates[torch.argsort(ranks[candidates])[:count]]] = False
    return kept


class LineDropoutd(Shiftd):
    """Dictionary version of :class:`LineDropout`.

    Example:
        >>> LineDropoutd("image", severity=1)({"image": torch.rand(1, 32, 32)})["image"].shape
        torch.Size([1, 32, 32])
    """

    shift = LineDropout


class RandLineDropout(RandShift):
    """Random version of :class:`LineDropout`, for augmentation."""

    shift = LineDropout


class RandLineDropoutd(RandShiftd):
    """Dictionary version of :class:`RandLineDropout`."""

    transform_class = RandLineDropout
