"""The held-out error of a fitted slice, in one measure for every setting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from scanproof.reconstruction.untrained.reconstructors import UntrainedReconstructor


def held_out_error(method: UntrainedReconstructor) -> float:
    """How far the networks of the last call, for one slice, are from the samples that were held out of their fits.

    The measure of :meth:`~scanproof.reconstruction.untrained.measurements.Measurements.errors`: the same whatever the
    fit's loss, so that trials with different losses can be compared. Networks of an ensemble are averaged.

    Args:
        method: after it reconstructed the slice, without a refit.

    Returns:
        0 or more; 1 is what an empty image has.

    Raises:
        ScanproofError: the slice is empty, or its mask leaves nothing to hold out.
    """
    errors = [fit.held_out for fit in method.fits]
    if not errors or any(math.isnan(error) for error in errors):
        raise ScanproofError(
            "every slice must have samples to hold out", key="held_out", hint="use --objective psnr, or more lines"
        )
    return sum(errors) / len(errors)


def check_can_be_held_out(options: Mapping[str, object]) -> None:
    """Refuse settings whose fits give no held-out error.

    Args:
        options: that no trial changes.

    Raises:
        ScanproofError: see above.

    Example:
        >>> check_can_be_held_out({"held_out": 0.0})
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: held_out: must be positive for the objective held_out, got 0.0 ...
    """
    if options.get("held_out") == 0:
        raise ScanproofError(
            "must be positive for the objective held_out",
            key="held_out",
            value=options["held_out"],
            hint="--set held_out=0.05, or another --objective",
        )
    if options.get("refit"):
        raise ScanproofError(
            "must be 0 for the objective held_out, which a refit would fit",
            key="refit",
            value=options["refit"],
            hint="--set refit=0, and add it to the preset afterwards",
        )
