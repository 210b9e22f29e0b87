"""Shifts of a study that change the acquisition, the sequence or who is examined, beside the scanner artifacts.

A study lists them like artifacts. Reconstructions and classifiers stay as they were trained: these shifts ask what a
chain does when it meets an acquisition or patients that it was not made for. They share the scale of severities with
the artifacts; :data:`ACQUISITION_SHIFTS` maps it to physical parameters.

- ``acceleration``: the nominal factor is multiplied, the centre band shrinks with it. Methods that read fully sampled
  k-space are not affected.
- ``mask_type``: random lines in place of equispaced ones, or the other way round; it has severity 1 only. Methods that
  read fully sampled k-space are not affected.
- ``coil_count``: only some elements of the receive array work, at least one; which ones is fixed, as evenly around the
  array as can be. Their signal and noise stay, so that the combined image loses signal-to-noise ratio as the root of
  their number, besides what undersampled methods lose in encoding. Sensitivities of those that are left are known.
- ``snr``: the signal-to-noise ratio is divided, by more receiver noise of the same pattern.
- ``contrast``: echo and inversion time drift away from the site's protocol. Both shorten: images lose T2 weighting, and
  fluid is no longer nulled. At severity 5 lesions are still the brightest tissue and fluid the darkest at every site,
  but a lesion exceeds white matter by a sixth to a quarter only (without drift, by two thirds to twice).
- ``anatomy``: smaller and broader heads with wider ventricles, adult to infant in size
  (see :class:`~scanproof.data.demo.shape.HeadShape`).
- ``adversarial``: the sampled k-space is changed a little, in the direction that does most to the image of the very
  method that gets it (see :func:`~scanproof.reconstruction.adversarial.perturb`). It is a worst case and not something
  that a scanner does, so it stands alone: compositions cannot hold it.

Contrast and anatomy render the same subjects again, so they need the demo cohort, whose tissue maps are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.table import ADVERSARIAL
from scanproof.transforms import SHIFTS
from scanproof.transforms.severity import GRADINGS, Grading

_OWN = "Our grading"

#: as :data:`scanproof.transforms.severity.GRADINGS`
ACQUISITION_SHIFTS: Mapping[str, Grading] = MappingProxyType(
    {
        "acceleration": Grading(
            levels=tuple({"factor": factor} for factor in (1.25, 1.5, 2.0, 3.0, 4.0)),
            units={"factor": "of the nominal acceleration; the centre fraction is divided by it"},
            source=f"{_OWN}: from a shortened protocol to four times the nominal one.",
        ),
        ADVERSARIAL: Grading(
            levels=tuple({"strength": strength} for strength in (0.01, 0.02, 0.04, 0.06, 0.08)),
            units={"strength": "norm of the perturbation, in that of the sampled k-space"},
            source="5: the bound of Darestani et al., arXiv 2102.06103; the rest is our grading.",
        ),
        "anatomy": Grading(
            levels=tuple(
                {"size": size, "aspect": aspect, "ventricles": ventricles}
                for size, aspect, ventricles in (
                    (0.93, 1.03, 1.1),
                    (0.89, 1.06, 1.2),
                    (0.85, 1.09, 1.3),
                    (0.81, 1.12, 1.45),
                    (0.71, 1.15, 1.6),
                )
            ),
            units={
                "size": "of the head, in that of the subject as an adult",
                "aspect": "width over length of the head, in that of the subject",
                "ventricles": "width of the lateral ventricles relative to the brain, in that of the subject",
            },
            source="Sizes 2 to 5: head circumferences at 5 years, 2 years, 1 year and 3 months (50.7, 48.3, 46.1 and "
            "40.5 cm, median of boys, WHO Child Growth Standards) over 57 cm of an adult. The rest is our grading.",
        ),
        "coil_count": Grading(
            levels=tuple({"kept": kept} for kept in (0.75, 0.5, 0.375, 0.25, 0.125)),
            units={"kept": "share of the receive coils, at least one coil"},
            source=f"{_OWN}: 6, 4, 3, 2 and 1 of 8 coils.",
        ),
        "contrast": Grading(
            levels=tuple(
                {"te": te, "ti": ti} for te, ti in ((0.92, 0.98), (0.84, 0.96), (0.76, 0.94), (0.68, 0.92), (0.6, 0.9))
            ),
            units={
                "te": "echo time, in that of the site's protocol",
                "ti": "inversion time, in that of the site's protocol",
            },
            source=f"{_OWN}; it ends where lesions, the finding, would cease to be the brightest tissue.",
        ),
        "mask_type": Grading(
            levels=({"swapped": 1.0},),
            units={"swapped": "1: random lines for equispaced ones, or the other way round"},
            source=f"{_OWN}.",
        ),
        "snr": Grading(
            levels=tuple({"divisor": divisor} for divisor in (1.5, 2.0, 3.0, 4.0, 6.0)),
            units={"divisor": "of the signal-to-noise ratio"},
            source=f"{_OWN}: at 3 T, 2 is about what a 1.5 T scanner gives and 6 what a 0.5 T scanner gives.",
        ),
    }
)

#: shifts that render the subjects again
RENDERED = frozenset({"anatomy", "contrast"})
#: shifts of the sampling mask alone
SAMPLED = frozenset({"acceleration", "mask_type"})
#: shifts that compositions cannot hold
ALONE = frozenset({ADVERSARIAL})
#: artifacts of ours that work in volumes alone, told here so that reading a study does not import them
VOLUMES_ONLY = frozenset({"slice_thickness"})
#: what a study acquires in so many dimensions
ACQUIRED = {2: "slices", 3: "volumes"}
_WHOSE = {"acquisition": "the study acquires", "classification": "the classifier reads"}


def study_shifts() -> list[str]:
    """Names of all shifts that a study can list: artifacts and changes of the acquisition.

    Example:
        >>> {"ghosting", "acceleration"} <= set(study_shifts())
        True
    """
    return sorted({*SHIFTS, *ACQUISITION_SHIFTS})


def grading(name: str) -> Grading | None:
    """What the severities of any shift of a study mean; None for an artifact of another package.

    Raises:
        ScanproofError: unknown name.

    Example:
        >>> grading("snr").levels[4], grading("ghosting").levels[0]["ghosts"]
        ({'divisor': 6.0}, 8)
    """
    if name in ACQUISITION_SHIFTS:
        return ACQUISITION_SHIFTS[name]
    if name not in SHIFTS:
        raise unknown_name("shift", name, study_shifts())
    return GRADINGS.get(name)


def severities(name: str) -> list[int]:
    """Severities that a shift has, 0 left out.

    Raises:
        ScanproofError: unknown name.

    Example:
        >>> severities("snr"), severities("mask_type")
        ([1, 2, 3, 4, 5], [1])
    """
    levels = grading(name)
    return list(range(1, 1 + (5 if levels is None else len(levels.levels))))


def check_dimensions(
    name: str,
    dimensions: int,
    *,
    of: Literal["acquisition", "classification"] = "acquisition",
    key: str | None = None,
) -> None:
    """Check that a shift works in what a study acquires, or its classifiers read.

    Args:
        name: of the shift.
        dimensions: 2 for slices, 3 for volumes.
        of: the part of the study that has them.
        key: where it stands, for the error.

    Raises:
        ScanproofError: it does not, or is unknown.

    Example:
        >>> check_dimensions("slice_thickness", 3)
    """
    if name in ACQUISITION_SHIFTS:
        return
    if SHIFTS.location(name).startswith("scanproof."):
        works: tuple[int, ...] = (3,) if name in VOLUMES_ONLY else (2, 3)
    else:
        works = SHIFTS.factory(name).dimensions  # type: ignore[attr-defined]
    if dimensions not in works:
        raise ScanproofError(
            f"shift must work in {ACQUIRED[dimensions]}, which is what {_WHOSE[of]}",
            key=key,
            value=name,
            hint=f"{of}.dimensions says what that is" + ("; or use resolution_loss" if dimensions == 2 else ""),
        )


def accelerate(
    acceleration: float, center_fraction: float, *, factor: float, lines: int, key: str = "acceleration"
) -> tuple[float, float]:
    """Sampling that is faster than the nominal one.

    Args:
        acceleration: nominal.
        center_fraction: nominal share of lines in the fully sampled centre.
        factor: of the acceleration; the centre shrinks with it, to one line at least.
        lines: number of phase-encode lines.
        key: where the factor comes from, for the error.

    Returns:
        Acceleration and centre fraction.

    Raises:
        ScanproofError: there would be no line left outside the centre.

    Example:
        >>> accelerate(4, 0.08, factor=2, lines=96)
        (8, 0.04)
    """
    faster, center = acceleration * factor, max(center_fraction / factor, 1 / lines)
    if round(lines * center) >= lines / faster:
        raise ScanproofError(
            f"acceleration must leave lines outside the k-space centre of {lines} phase-encode lines",
            key=key,
            value=faster,
            hint="lower the severity, the nominal acceleration or center_fraction",
        )
    return faster, center
