"""The shifts in an order that helps a reader: families, and the cause of each in one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from scanproof.transforms import SHIFTS

#: families in reading order
FAMILIES = (
    "Motion",
    "K-space sampling",
    "Receiver and interference",
    "Geometry",
    "Resolution",
    "Contrast",
    "Mixture",
    "Other",
)


class Entry(NamedTuple):
    """Where a shift stands and what causes it."""

    family: str
    cause: str


_MOTION, _SAMPLING, _RECEIVER, _GEOMETRY, _RESOLUTION, _CONTRAST, _MIXTURE, _OTHER = FAMILIES
_ENTRIES = {
    "rigid_motion": Entry(_MOTION, "The head turns and shifts while the lines of one image are acquired."),
    "ghosting": Entry(_MOTION, "Pulsation or an unstable receiver changes the signal periodically from line to line."),
    "undersampling": Entry(_SAMPLING, "Phase-encode lines are left out to save time and the image is not corrected."),
    "line_dropout": Entry(_SAMPLING, "Single phase-encode lines are lost on the way from the receiver to the disk."),
    "phase_drift": Entry(_SAMPLING, "The field drifts with temperature and jitters while lines are acquired."),
    "nyquist_ghost": Entry(_SAMPLING, "Odd and even lines of an echo train, read in opposite directions, differ."),
    "complex_noise": Entry(_RECEIVER, "Thermal noise of the patient and the receiver."),
    "bias_field": Entry(_RECEIVER, "Coils see near tissue better than far tissue, and transmit unevenly."),
    "coil_dropout": Entry(_RECEIVER, "Receive elements are broken, unplugged or switched off."),
    "spike": Entry(_RECEIVER, "A discharge in the room falls on a single k-space sample: a herringbone."),
    "zipper": Entry(_RECEIVER, "Radio interference at a few frequencies leaks into the scanner room."),
    "chemical_shift": Entry(_GEOMETRY, "Fat resonates beside water and lands beside it along the readout."),
    "susceptibility": Entry(_GEOMETRY, "Air and metal distort the field, and with it the image along one axis."),
    "wraparound": Entry(_GEOMETRY, "The object is larger than the field of view and folds over."),
    "gibbs_ringing": Entry(_RESOLUTION, "K-space ends early on all sides: edges ring."),
    "gibbs_phase_encode": Entry(_RESOLUTION, "Too few phase-encode lines are acquired: edges ring along one axis."),
    "resolution_loss": Entry(_RESOLUTION, "The image is acquired with larger voxels, to save time."),
    "slice_thickness": Entry(_RESOLUTION, "The volume is acquired in fewer, thicker slices."),
    "field_strength": Entry(_CONTRAST, "The image is acquired at a lower field, with less signal."),
    "gamma_down": Entry(_CONTRAST, "Contrast is compressed: dark tissue becomes brighter."),
    "gamma_up": Entry(_CONTRAST, "Contrast is stretched: dark tissue becomes darker."),
    "intensity_down": Entry(_CONTRAST, "Receiver gain or scaling differs: the whole image is darker."),
    "intensity_up": Entry(_CONTRAST, "Receiver gain or scaling differs: the whole image is brighter."),
    "noisy_clinic": Entry(_MIXTURE, "Several artifacts at once, as often as an ordinary busy clinic meets them."),
}


def entry(shift: str) -> Entry:
    """Family and cause of a shift; one that another package brought says the first line of its own documentation.

    Example:
        >>> entry("spike").family
        'Receiver and interference'
    """
    if shift in _ENTRIES:
        return _ENTRIES[shift]
    text = (SHIFTS.factory(shift).__doc__ or "").strip()
    return Entry(_OTHER, text.splitlines()[0] if text else "")


def by_family(shifts: Iterable[str] | None = None) -> list[str]:
    """Names of shifts in reading order, each once.

    Args:
        shifts: names; by default all.

    Raises:
        ScanproofError: unknown name; the text lists the known ones.

    Example:
        >>> by_family(["zipper", "ghosting", "spike", "ghosting"])
        ['ghosting', 'spike', 'zipper']
    """
    names = sorted(set(shifts or SHIFTS))
    for name in names:
        SHIFTS.location(name, key="shift")
    places = list(_ENTRIES)
    return sorted(names, key=lambda name: places.index(name) if name in places else len(places))
