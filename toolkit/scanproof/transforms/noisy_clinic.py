"""The mixture of artifacts of an ordinary busy clinic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.transforms.base import Shift
from scanproof.transforms.composition import in_turn
from scanproof.transforms.dictionary import Shiftd
from scanproof.transforms.random import RandShift, RandShiftd

#: how often an artifact comes, relative to the others. Our judgement: patients move and signal is short every day,
#: ghosts, shading and too small a field of view are common, defects of the scanner are rare.
WEIGHTS: Mapping[str, float] = {
    "rigid_motion": 5.0,
    "complex_noise": 4.0,
    "ghosting": 3.0,
    "bias_field": 3.0,
    "wraparound": 2.0,
    "spike": 0.5,
    "zipper": 0.5,
    "coil_dropout": 0.5,
    "line_dropout": 0.5,
}
#: in which order they act: on the object, on its signal, on what is received; noise is graded by the image it meets
ORDER = (
    "rigid_motion",
    "wraparound",
    "ghosting",
    "bias_field",
    "coil_dropout",
    "complex_noise",
    "line_dropout",
    "spike",
    "zipper",
)
#: artifacts that need more than one coil
MANY_COILS = frozenset({"coil_dropout"})


class NoisyClinic(Shift):
    r"""A noisy clinic: every image has some of the usual artifacts, seldom the same ones and seldom equally strong.

    Cause: patients who move, signal that is short, coils and receivers that are not at their best; several at a time.

    Model: the number of artifacts is :math:`1 + N` with :math:`N` of a Poisson distribution of mean ``artifacts - 1``,
    at most all there are. Which ones: drawn without replacement with the probabilities of :data:`WEIGHTS`, our
    judgement of how often they come. How strong: each at a severity of its own, uniform on 1 to ``strongest``. They act
    in the order of :data:`ORDER`, each with a pattern of its own. All images of one call have the same artifacts.

    Severity: on average 1.2, 1.6, 2.2, 3, 4 artifacts of severities up to 1, 2, 3, 4, 5. The draws are nested: for one
    seed, an artifact that is there at some severity is also there, and not weaker, at the next.

    Limits: the frequencies are no measurement of any clinic, and artifacts are drawn independently, while in a
    clinic they come together (a patient in pain moves *and* breathes irregularly). Losing a coil needs several, so that
    it does not come in magnitude images.

    Neither MONAI nor TorchIO have a counterpart; their ``OneOf`` and ``SomeOf`` draw from a list, but not
    nested over severities.

    Args:
        severity: 0 to 5.
        artifacts: expected number of artifacts (before it is limited by how many there are), at least 1.
        strongest: largest severity of an artifact, 1 to 5.
        seed: of the mixture and of all patterns.

    Raises:
        ScanproofError: both or neither of severity and physical parameters, or one out of range.

    Example:
        >>> NoisyClinic(severity=2, seed=1)(torch.rand(1, 32, 32)).shape
        torch.Size([1, 32, 32])
    """

    name: ClassVar[str] = "noisy_clinic"
    acts_on: ClassVar[Literal["kspace"]] = "kspace"
    counts: ClassVar[frozenset[str]] = frozenset({"strongest"})
    note: ClassVar[str] = "The frequencies of the artifacts are a judgement, not a measurement of any clinic."

    def __init__(
        self,
        *,
        severity: int | None = None,
        artifacts: float | None = None,
        strongest: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(severity, seed=seed, artifacts=artifacts, strongest=strongest)
        if artifacts is not None and not 1 <= artifacts < math.inf:
            raise ScanproofError("artifacts must be finite and at least 1", key=self.name, value=artifacts)
        if strongest is not None and not 1 <= strongest <= 5:
            raise ScanproofError("strongest must be in [1, 5]", key=self.name, value=strongest)

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Apply the mixture to k-space ``(image, coil, *spatial)``."""
        from scanproof.transforms import SHIFTS

        mixture = draw_mixture(
            artifacts=self.parameters["artifacts"],
            strongest=int(self.parameters["strongest"]),
            coils=data.shape[1],
            generator=generator,
        )
        shifts = [SHIFTS.create(name, {"severity": mixture[name]}) for name in ORDER if name in mixture]
        return in_turn(data, shifts, seed=generator.initial_seed(), spacing=spacing)


def draw_mixture(*, artifacts: float, strongest: int, coils: int, generator: torch.Generator) -> dict[str, int]:
    """Which artifacts an image has and how severe they are.

    Args:
        artifacts: expected number before it is limited by how many there are, at least 1.
        strongest: largest severity.
        coils: of the data; some artifacts need several.
        generator: what is drawn from it depends on none of the arguments.

    Returns:
        Name to severity in [1, strongest]. For the same generator state, more artifacts and a larger severity give a
        mixture that holds the smaller one.

    Example:
        >>> draw_mixture(artifacts=2, strongest=3, coils=1, generator=torch.Generator().manual_seed(1))
        {'rigid_motion': 2}
    """
    weights = torch.tensor(list(WEIGHTS.values()), dtype=torch.float64)
    number = float(torch.rand((), generator=generator, dtype=torch.float64))
    # the order of exponential arrival times is that of a draw without replacement (Efraimidis and Spirakis, 2006)
    arrival = -torch.log1p(-torch.rand(len(WEIGHTS), generator=generator, dtype=torch.float64)) / weights
    strength = torch.rand(len(WEIGHTS), generator=generator, dtype=torch.float64).tolist()
    names = list(WEIGHTS)
    possible = [i for i in arrival.argsort().tolist() if coils > 1 or names[i] not in MANY_COILS]
    chosen = possible[: 1 + _poisson_quantile(number, mean=artifacts - 1)]
    return {names[i]: 1 + int(strength[i] * strongest) for i in chosen}


def _poisson_quantile(level: float, *, mean: float) -> int:
    """Smallest number whose cumulative Poisson probability exceeds ``level``, at most the number of artifacts."""
    probability = math.exp(-mean)
    below, number = probability, 0
    while level >= below and number < len(WEIGHTS):
        number += 1
        probability *= mean / number
        below += probability
    return number


class NoisyClinicd(Shiftd):
    """Dictionary version of :class:`NoisyClinic`.

    Example:
        >>> NoisyClinicd("image", severity=1)({"image": torch.rand(1, 16, 16)})["image"].shape
        torch.Size([1, 16, 16])
    """

    shift = NoisyClinic


class RandNoisyClinic(RandShift):
    """Random version of :class:`NoisyClinic`, for augmentation."""

    shift = NoisyClinic


class RandNoisyClinicd(RandShiftd):
    """Dictionary version of :class:`RandNoisyClinic`."""

    transform_class = RandNoisyClinic
