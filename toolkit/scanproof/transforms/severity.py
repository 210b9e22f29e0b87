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
_OWN = "Our grading."


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
            "Our grading by eye: 1 is just visible, 5 is a surface coil at high field. Coefficients up to 1.5, as are "
            "proposed for monomials, burn images out.",
            {"coefficient": "largest magnitude of a Legendre coefficient of the logarithmic field"},
            coefficient=(0.15, 0.3, 0.45, 0.6, 0.8),
        ),
        "chemical_shift": _grading(
            _OWN,
            {"displacement": "pixels along the readout axis"},
            displacement=(1, 2, 3, 4, 6),
        ),
        "coil_dropout": _grading(
            _OWN,
            {"lost": "share of the receive coils"},
            lost=(0.06, 0.125, 0.19, 0.25, 0.375),
        ),
        "complex_noise": _grading(
            f"Half of the range 0.16 to 0.8 of {_ROOD}, who grade MONAI's RandRicianNoise, and finer at its lower end.",
            {"level": "standard deviation of each noise channel, in standard deviations of the clean image"},
            level=(0.05, 0.1, 0.2, 0.3, 0.4),
        ),
        "field_strength": _grading(
            _OWN,
            {"ratio": "field strength as a share of the one that the image was acquired at"},
            ratio=(0.5, 0.33, 0.2, 0.14, 0.1),
        ),
        "gamma_down": _grading(
            _OWN,
            {"gamma": "exponent"},
            gamma=(0.86, 0.72, 0.58, 0.44, 0.3),
        ),
        "gamma_up": _grading(
            _OWN,
            {"gamma": "exponent"},
            gamma=(1.4, 1.8, 2.2, 2.6, 3.0),
        ),
        "ghosting": _grading(
            f"Our grading, by the brightness of a ghost, intensity over ghosts: 0.04 to 0.25. {_ROOD}, who grade "
            "TorchIO's RandomGhosting, raise the number of ghosts from 3 to 11 and turn the sign of lines (intensities "
            "0.5 to 2.5); with lines lost at the most, 11 ghosts could hardly be seen.",
            {"ghosts": "number of ghosts in the field of view", "intensity": "fraction of the signal that is lost"},
            ghosts=(8, 6, 5, 4, 4),
            intensity=(0.3, 0.45, 0.6, 0.8, 1.0),
        ),
        "gibbs_phase_encode": _grading(
            _OWN,
            {"kept": "share of the phase-encode lines"},
            kept=(0.75, 0.6, 0.5, 0.4, 0.3),
        ),
        "gibbs_ringing": _grading(
            _OWN,
            {"kept": "share of the k-space radius along every axis"},
            kept=(0.75, 0.6, 0.5, 0.4, 0.3),
        ),
        "intensity_down": _grading(
            _OWN,
            {"factor": "of the signal"},
            factor=(0.9, 0.75, 0.6, 0.45, 0.3),
        ),
        "intensity_up": _grading(
            _OWN,
            {"factor": "of the signal"},
            factor=(1.1, 1.25, 1.5, 1.75, 2.0),
        ),
        "line_dropout": _grading(
            _OWN,
            {"dropped": "share of the phase-encode lines outside the protected centre"},
            dropped=(0.03, 0.08, 0.15, 0.25, 0.4),
        ),
        "noisy_clinic": _grading(
            _OWN,
            {"artifacts": "expected number of artifacts", "strongest": "largest severity of an artifact"},
            artifacts=(1.2, 1.6, 2.2, 3.0, 4.0),
            strongest=(1, 2, 3, 4, 5),
        ),
        "nyquist_ghost": _grading(
            _OWN,
            {"delay": "readout samples between odd and even lines", "phase": "radians between odd and even lines"},
            delay=(0.1, 0.2, 0.3, 0.45, 0.6),
            phase=(0.1, 0.2, 0.35, 0.5, 0.7),
        ),
        "phase_drift": _grading(
            _OWN,
            {"drift": "radians between the k-space centre and the edge", "jitter": "radians from line to line, s.d."},
            drift=(0.5, 1.0, 1.5, 2.0, 3.0),
            jitter=(0.05, 0.1, 0.2, 0.3, 0.45),
        ),
        "resolution_loss": _grading(
            "Our grading, up to a quarter of the resolution; most of the blur at a low factor is the window's.",
            {"factor": "nominal voxel size, in that of the image"},
            factor=(1.2, 1.6, 2.2, 3.0, 4.0),
        ),
        "rigid_motion": _grading(
            f"{_ROOD}, who grade TorchIO's RandomMotion.",
            {"rotation": "degrees, either sense", "translation": "mm, either sense", "events": "movements a scan"},
            rotation=(1, 2, 3, 4, 5),
            translation=(2, 4, 6, 8, 10),
            events=(2, 4, 6, 8, 10),
        ),
        "slice_thickness": _grading(
            _OWN,
            {"factor": "slice thickness, in that of the volume"},
            factor=(1.5, 2, 3, 4, 5),
        ),
        "spike": _grading(
            f"{_ROOD} grade MONAI's RandKSpaceSpikeNoise by its logarithmic scale; shares of the maximum instead.",
            {"intensity": "share of the largest k-space magnitude"},
            intensity=(0.05, 0.1, 0.2, 0.35, 0.5),
        ),
        "susceptibility": _grading(
            _OWN,
            {"displacement": "largest displacement along the phase-encode axis, pixels"},
            displacement=(1, 2, 4, 6, 8),
        ),
        "undersampling": _grading(
            "Accelerations and centre bands around those of fastMRI (Zbontar et al., arXiv:1811.08839).",
            {"acceleration": "factor", "center_fraction": "share of the lines in the fully sampled centre"},
            acceleration=(2, 3, 4, 6, 8),
            center_fraction=(0.16, 0.11, 0.08, 0.06, 0.04),
        ),
        "wraparound": _grading(
            _OWN,
            {"fold": "share of the object's extent that lies outside the field of view"},
            fold=(0.05, 0.1, 0.15, 0.2, 0.3),
        ),
        "zipper": _grading(
            _OWN,
            {"lines": "number of interfering frequencies", "amplitude": "in the image maximum"},
            lines=(1, 1, 2, 3, 4),
            amplitude=(0.1, 0.2, 0.4, 0.6, 0.8),
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
        {'ghosts': 5, 'intensity': 0.6}
    """
    level = check_severity(severity)
    if shift not in GRADINGS:
        raise unknown_name("shift in the table of severities", shift, GRADINGS)
    return dict(GRADINGS[shift].levels[level - 1]) if level else {}
