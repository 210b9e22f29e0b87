"""Ghosts along the phase-encode axis."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.lines import weigh_lines
from scanproof.transforms.base import Shift, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class Ghosting(Shift):
    r"""Ghosts: fainter copies of the object at even distances along the phase-encode axis.

    Cause: signal that changes periodically from one phase-encode line to the next, by pulsating vessels, breathing
    or an unstable receiver chain.

    Model: :math:`y'_{c,\ell} = w_\ell\, y_{c,\ell}`, with :math:`w_\ell = 1 - s` at every :math:`n`-th line
    :math:`\ell` and 1 elsewhere. In the image, the object is convolved with the transform of :math:`w`: ghosts stand
    at multiples of :math:`\mathrm{FOV}/n`, of amplitude :math:`s/n`. The k-space centre lies midway between two
    weakened lines: losing it would change contrast and brightness, and losing a line beside it would shade one half of
    the object, rather than ghost. Where :math:`n` is odd, the nearer line is on a random side.

    Severity: 8, 6, 5, 4, 4 ghosts with intensity 0.3, 0.45, 0.6, 0.8, 1. The strength of a single ghost is
    ``intensity / ghosts``, so that a severe case has few and bright ghosts. The comb is not placed at random, as it
    would then hit or miss the strong lines beside the centre: that changed the error of one head slice by a quarter.

    Limits: the whole object ghosts, not the moving part alone; amplitudes are modulated, not phases. The magnitude
    image of a single coil without phase is the same for both sides, so that its ghosts hardly depend on the seed.

    Differs from TorchIO's ``RandomGhosting`` in the comb (TorchIO's starts at the edge of k-space, wherever the centre
    then is, and is repaired there by ``restore``), in returning the magnitude and in accepting several coils.

    Args:
        severity: 0 to 5.
        ghosts: number of ghosts :math:`n` in the field of view, at least 2.
        intensity: fraction :math:`s` of the signal that is lost, in (0, 1].
        axis: spatial axis along which lines are phase-encoded.
        center_fraction: fraction of the lines that is protected around the centre, in [0, 1); the centre line always
            is. A wider band makes weaker ghosts.
        seed: of the side of the centre on which the nearest weakened line is.

    Raises:
        ScanproofError: both or neither of severity and physical parameters, or one out of range.

    Example:
        >>> Ghosting(ghosts=4, intensity=0.5, seed=1)(torch.rand(1, 32, 32)).shape
        torch.Size([1, 32, 32])
    """

    name: ClassVar[str] = "ghosting"
    acts_on: ClassVar[Literal["any"]] = "any"
    counts: ClassVar[frozenset[str]] = frozenset({"ghosts"})

    def __init__(
        self,
        *,
        severity: int | None = None,
        ghosts: int | None = None,
        intensity: float | None = None,
        axis: int = -1,
        center_fraction: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, ghosts=ghosts, intensity=intensity)
        if ghosts is not None and not ghosts >= 2:
            raise ScanproofError("ghosts must be at least 2", key=self.name, value=ghosts)
        if intensity is not None and not 0 < intensity <= 1:
            raise ScanproofError(
                "intensity must be in (0, 1]", key=self.name, value=intensity, hint="severity=0 is the identity"
            )
        if not 0 <= center_fraction < 1:
            raise ScanproofError("center_fraction must be in [0, 1)", key=self.name, value=center_fraction)
        self.axis, self.center_fraction = axis, center_fraction

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Weight the phase-encode lines of k-space, or of the images, ``(image, coil, *spatial)``."""
        axis = spatial_axis(self.axis, len(spacing), shift=self.name)
        lines, ghosts = data.shape[axis], int(self.parameters["ghosts"])
        sign = 1 if torch.rand((), generator=generator) < 0.5 else -1
        first = (lines // 2 + sign * (ghosts // 2)) % ghosts
        weights = ghost_weights(
            lines,
            ghosts=ghosts,
            intensity=self.parameters["intensity"],
            center_fraction=self.center_fraction,
            first=first,
        )
        if not data.is_complex():
            return weigh_lines(data, weights, axis=axis)
        return data * weights.to(data.device, data.real.dtype).reshape(-1, *[1] * (-axis - 1))


def ghost_weights(
    lines: int, *, ghosts: int, intensity: float, center_fraction: float = 0.0, first: int = 0
) -> torch.Tensor:
    """Weights of the phase-encode lines.

    Args:
        lines: number of lines; the centre is line ``lines // 2``.
        ghosts: period in lines.
        intensity: what is taken off the weight of every ``ghosts``-th line.
        center_fraction: fraction of the lines around the centre whose weight stays 1; at least the centre line.
        first: the first weakened line, in ``[0, ghosts)``.

    Returns:
        float64 ``(lines,)``.

    Raises:
        ScanproofError: no line outside the centre would be weakened.

    Example:
        >>> ghost_weights(8, ghosts=2, intensity=0.5).tolist()
        [0.5, 1.0, 0.5, 1.0, 1.0, 1.0, 0.5, 1.0]
    """
    weights = torch.ones(lines, dtype=torch.float64)
    weights[first::ghosts] = 1 - intensity
    side = _half_band(lines, center_fraction)
    weights[lines // 2 - side : lines // 2 + side + 1] = 1
    if bool((weights == 1).all()):
        raise ScanproofError(
            "must leave lines to weaken outside the k-space centre", key="ghosts", value=ghosts, hint=f"{lines} lines"
        )
    return weights


def _half_band(lines: int, center_fraction: float) -> int:
    """Protected lines on either side of the centre line, which always is."""
    return int(center_fraction * lines / 2)


class Ghostingd(Shiftd):
    """Dictionary version of :class:`Ghosting`.

    Example:
        >>> Ghostingd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = Ghosting


class RandGhosting(RandShift):
    """Random version of :class:`Ghosting`, for augmentation."""

    shift = Ghosting


class RandGhostingd(RandShiftd):
    """Dictionary version of :class:`RandGhosting`."""

    transform_class = RandGhosting
