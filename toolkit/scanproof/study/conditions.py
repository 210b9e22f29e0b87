"""The conditions of a study, each a shift at a severity, and what they change in an examination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scanproof.evaluation.table import ADVERSARIAL, CLEAN
from scanproof.study.acquisition_shifts import ACQUISITION_SHIFTS, RENDERED


@dataclass(frozen=True)
class Part:
    """A shift of the registry or of :data:`~scanproof.study.acquisition_shifts.ACQUISITION_SHIFTS` at a severity."""

    name: str
    severity: int


@dataclass(frozen=True)
class Condition:
    """One condition under which chains are tested.

    Args:
        shift: its name in the results.
        severity: likewise.
        parts: what it consists of; the order of artifacts is that in which they act. None in the clean condition.
    """

    shift: str = CLEAN
    severity: int = 0
    parts: tuple[Part, ...] = ()

    @property
    def artifacts(self) -> tuple[Part, ...]:
        """The parts that act on k-space."""
        return tuple(part for part in self.parts if part.name not in ACQUISITION_SHIFTS)

    @property
    def rendering(self) -> dict[str, dict[str, float]]:
        """How subjects are rendered, other than as usual: shift name to its parameters."""
        return {name: dict(values) for name, values in self._acquisition().items() if name in RENDERED}

    @property
    def acceleration(self) -> float:
        """Factor of the nominal acceleration."""
        return self._acquisition().get("acceleration", {}).get("factor", 1.0)

    @property
    def other_mask(self) -> bool:
        """Lines are drawn the other way than in the acquisition of the study."""
        return "mask_type" in self._acquisition()

    @property
    def coils(self) -> float:
        """Share of the receive coils that work."""
        return self._acquisition().get("coil_count", {}).get("kept", 1.0)

    @property
    def snr(self) -> float:
        """What the signal-to-noise ratio is divided by."""
        return self._acquisition().get("snr", {}).get("divisor", 1.0)

    @property
    def adversarial(self) -> float:
        """Norm of the worst-case perturbation, in that of the sampled k-space."""
        return self._acquisition().get(ADVERSARIAL, {}).get("strength", 0.0)

    def _acquisition(self) -> dict[str, Mapping[str, float]]:
        return {
            part.name: ACQUISITION_SHIFTS[part.name].levels[part.severity - 1]
            for part in self.parts
            if part.name in ACQUISITION_SHIFTS
        }
