"""The one table from severities to the physical parameters of every shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from types import MappingProxyType

from scanproof.errors import ScanproofError, unknown_name

#: 0 is the identity, 5 the worst
SEVERITIES = range(6)

_ROOD = "ROOD-MRI (Boone et al., arXiv:2203.06060)"


@dataclass(frozen=True)
class Grading:
    """What the severities 1 to 5 of one shift mean.

    Args:
        levels: physical parameters at severity 1, 2, 3, 4 and 5.
        units: of every parameter.
        source: where the values come from.
    """

    levels: tuple[Mapping[str, float], ...]
    units: Mapping[str, str]
    source: str


def _grading(source: str, units: Mapping[str, str], **values: tuple[float, ...]) -> Grading:
    levels = tuple(
        MappingProxyType(dict(zip(values, level, strict=True))) for level in zip(*values.values(), strict=True)
    )
    return Grading(levels=levels, units=MappingProxyType(dict(units)), source=source)


GRADINGS: Mapping[str, Grading] = MappingProxyType(
    {
        "bias_field": _grading(
            f"Range of {_ROOD}, who grade TorchIO's RandomBiasField; the same order, but Legendre polynomials.",
            {"coefficient": "largest magnitude of a Legendre coefficient of the logarithmic field"},
            coefficient=(0.3, 0.6, 0.9, 1.2, 1.5),
        ),
        "complex_noise": _grading(
            f"Half of the range 0.16 to 0.8 of {_ROOD}, who grade MONAI's RandRicianNoise, and finer at its lower end.",
            {"level": "standard deviation of each noise channel, in standard deviations of the clean image"},
            level=(0.05, 0.1, 0.2, 0.3, 0.4),
        ),
        "ghosting": _grading(
            f"Number of ghosts of {_ROOD}, who grade TorchIO's RandomGhosting. Their intensities, 0.5 to 2.5, turn the "
            "sign of lines beyond 1; here they end where the lines are lost.",
            {"ghosts": "number of ghosts in the field of view", "intensity": "fraction of the signal that is lost"},
            ghosts=(3, 5, 7, 9, 11),
            intensity=(0.2, 0.4, 0.6, 0.8, 1.0),
        ),
        "rigid_motion": _grading(
            f"{_ROOD}, who grade TorchIO's RandomMotion.",
            {"rotation": "degrees, either sense", "translation": "mm, either sense", "events": "movements a scan"},
            rotation=(1, 2, 3, 4, 5),
            translation=(2, 4, 6, 8, 10),
            events=(2, 4, 6, 8, 10),
        ),
    }
)


def check_severity(severity: object) -> int:
    """The severity as a plain integer.

    Raises:
        ScanproofError: not an integer, or outside [0, 5].

    Example:
        >>> check_severity(3)
        3
    """
    if isinstance(severity, bool) or not isinstance(severity, Integral):
        raise ScanproofError("severity must be an integer", value=severity)
    if int(severity) not in SEVERITIES:
        raise ScanproofError(f"severity must be in [{SEVERITIES[0]}, {SEVERITIES[-1]}]", value=int(severity))
    return int(severity)


def parameters(shift: str, severity: int) -> dict[str, float]:
    """Physical parameters of a shift at a severity.

    Nominal severities of different shifts are not equally harmful, and one severity of one shift harms different
    images differently: report the measured image quality beside them.

    Args:
        shift: name, as in ``scanproof.transforms.SHIFTS``.
        severity: 0 to 5.

    Returns:
        Parameter name to value, the constructor arguments of that shift; empty at severity 0, the identity.

    Raises:
        ScanproofError: an unknown shift or a severity outside the integers 0 to 5.

    Example:
        >>> parameters("ghosting", 3)
        {'ghosts': 7, 'intensity': 0.6}
    """
    level = check_severity(severity)
    if shift not in GRADINGS:
        raise unknown_name("shift in the table of severities", shift, GRADINGS)
    return dict(GRADINGS[shift].levels[level - 1]) if level else {}
