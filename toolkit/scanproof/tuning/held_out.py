"""The held-out error of a fitted slice, in one measure for every setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scanproof.data.keys import KSPACE, MASK, SENSITIVITIES
from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from scanproof.reconstruction.base import Sample
    from scanproof.reconstruction.untrained.reconstructors import UntrainedReconstructor


def held_out_error(method: UntrainedReconstructor, sample: Sample) -> float:
    """How far the networks of the last call are from the samples that were held out of their fits.

    The sum over held-out positions of the error's norm over the coils, relative to that of the data: the same measure
    whatever the fit's loss, so that trials with different losses can be compared. Networks of an ensemble are averaged.

    Args:
        method: after it reconstructed the sample, without a refit.
        sample: ``kspace``, ``mask`` and ``sensitivities`` of one slice.

    Returns:
        0 or more; 1 is what an empty image has.

    Raises:
        ScanproofError: the slice is empty, or its mask leaves nothing to hold out.
    """
    from scanproof.reconstruction.untrained.measurements import Measurements

    measurements = Measurements(
        sample[KSPACE][None],
        sample[MASK],
        sample[SENSITIVITIES][None],
        output=method.output,
        loss="l1",
        held_out=method.options.held_out,
        amplitude=method.options.amplitude or 1.0,
        seed=method.seed,
    )
    if not (method.fits and measurements.holds_out):
        raise ScanproofError(
            "every slice must have samples to hold out", key="held_out", hint="use --objective psnr, or more lines"
        )
    errors = [float(measurements.errors(fit.image[None])[1]) for fit in method.fits]
    return sum(errors) / len(errors)


def check_can_be_held_out(options: Mapping[str, object]) -> None:
    """Refuse settings whose fits give no held-out error, or none that can be compared.

    Args:
        options: that no trial changes.

    Raises:
        ScanproofError: see above.

    Example:
        >>> check_can_be_held_out({"held_out": 0.0})
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: held_out: must be positive for the objective held_out, got 0.0 ...
    """
    rules = {
        "held_out": (0.0, "must be positive for the objective held_out", "--set held_out=0.05"),
        "amplitude": (None, "must be a number for the objective held_out", "--set amplitude=30"),
    }
    for name, (wrong, rule, instead) in rules.items():
        if name in options and options[name] == wrong:
            raise ScanproofError(rule, key=name, value=wrong, hint=f"{instead}, or another --objective")
    if options.get("refit"):
        raise ScanproofError(
            "must be 0 for the objective held_out, which a refit would fit",
            key="refit",
            value=options["refit"],
            hint="--set refit=0, and add it to the preset afterwards",
        )
