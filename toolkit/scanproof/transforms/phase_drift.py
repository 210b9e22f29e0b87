"""Phase that changes from line to line."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.transforms.base import Shift, spatial_axis
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd


class PhaseDrift(Shift):
    r"""Phase drift: the phase of the signal wanders during the scan and jumps from line to line.

    Cause: the main field drifts while gradients heat the iron and the shims, which adds to the phase at the echo
    time; breathing, vibration and an unstable synthesizer change it from one excitation to the next.

    Model: :math:`y'_{c,\ell} = e^{i \varphi_\ell}\, y_{c,\ell}` with

    .. math:: \varphi_\ell = \pm\, \mathrm{drift} \cdot t_\ell^2 + \mathrm{jitter} \cdot n_\ell, \qquad
        t_\ell = (\ell - c) / c, \quad n_\ell \sim N(0, 1), \quad n_c = 0

    for lines acquired one after the other and the centre line :math:`c`, whose phase is zero by convention. A field
    that drifts and settles has a linear and a quadratic part. A linear phase only displaces the image along the
    phase-encode axis, by a pixel for every :math:`\pi` at the edge, so that it is left out; the quadratic part
    defocuses: details of spatial frequency :math:`t` are displaced by :math:`2\,\mathrm{drift}\,|t| / \pi` pixels,
    half of them in either sense. The jitter scatters a share :math:`1 - e^{-\mathrm{jitter}^2}` of the energy into
    streaks along the phase-encode axis; that of the few strong lines beside the centre shades the object.

    Severity: drifts of 0.5, 1, 1.5, 2, 3 radians, jitters of 0.05, 0.1, 0.2, 0.3, 0.45 radians.

    Limits: the phase is the same all over the object and does not change within a line; interleaved or
    centre-out orders of the lines would place the drift otherwise.

    MONAI and TorchIO have no counterpart.

    Args:
        severity: 0 to 5.
        drift: radians between the centre of k-space and its edge, not negative.
        jitter: standard deviation from line to line, radians, not negative; not zero together with ``drift``.
        axis: spatial axis along which lines are phase-encoded. In three dimensions, the slower of the two.
        seed: of the sense of the drift and of the jitter.

    Raises:
        ScanproofError: both or neither of severity and physical parameters, or one out of range.

    Example:
        >>> kspace = torch.randn(4, 32, 40, dtype=torch.complex64)
        >>> drifted = PhaseDrift(drift=1.0, jitter=0.1, seed=1)(kspace)
        >>> torch.allclose(drifted.abs(), kspace.abs(), atol=1e-5)
        True
    """

    name: ClassVar[str] = "phase_drift"
    acts_on: ClassVar[Literal["lines"]] = "lines"

    def __init__(
        self,
        *,
        severity: int | None = None,
        drift: float | None = None,
        jitter: float | None = None,
        axis: int = -1,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, drift=drift, jitter=jitter)
        for name in ("drift", "jitter"):
            if not 0 <= self.parameters.get(name, 0) < math.inf:
                raise ScanproofError(
                    f"{name} must be finite and at least 0", key=self.name, value=self.parameters[name]
                )
        if drift == jitter == 0:
            raise ScanproofError(
                "drift and jitter must not both be 0", key=self.name, hint="severity=0 is the identity"
            )
        self.axis = axis

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Turn the phase of the lines of k-space ``(image, coil, *spatial)``."""
        axis = spatial_axis(self.axis, len(spacing), shift=self.name)
        sign = 1 if torch.rand((), generator=generator) < 0.5 else -1
        noise = torch.randn(data.shape[axis], generator=generator, dtype=torch.float64)
        phases = line_phases(noise, drift=sign * self.parameters["drift"], jitter=self.parameters["jitter"])
        turn = torch.polar(torch.ones_like(phases), phases).to(data)
        return data * turn.reshape(-1, *[1] * (-axis - 1))


def line_phases(noise: torch.Tensor, *, drift: float, jitter: float) -> torch.Tensor:
    """Phases of the phase-encode lines.

    Args:
        noise: floating, ``(lines,)``, standard normal; the centre is line ``lines // 2``, where it counts as zero.
        drift: radians at the first line; grows with the square of the distance from the centre.
        jitter: radians by which a noise of one turns a line.

    Returns:
        Radians, ``(lines,)``, of the dtype of the noise.

    Example:
        >>> line_phases(torch.tensor([1.0, 0.0, 9.0, -1.0]), drift=2.0, jitter=0.1).tolist()
        [2.0999999046325684, 0.5, 0.0, 0.4000000059604645]
    """
    lines = len(noise)
    centre = lines // 2
    distance = torch.arange(lines, dtype=noise.dtype) - centre
    return drift * (distance / max(centre, 1)).square() + jitter * noise * (distance != 0)


class PhaseDriftd(Shiftd):
    """Dictionary version of :class:`PhaseDrift`.

    Example:
        >>> PhaseDriftd("image", severity=1)({"image": torch.rand(1, 32, 32)})["image"].shape
        torch.Size([1, 32, 32])
    """

    shift = PhaseDrift


class RandPhaseDrift(RandShift):
    """Random version of :class:`PhaseDrift`, for augmentation."""

    shift = PhaseDrift


class RandPhaseDriftd(RandShiftd):
    """Dictionary version of :class:`RandPhaseDrift`."""

    transform_class = RandPhaseDrift
