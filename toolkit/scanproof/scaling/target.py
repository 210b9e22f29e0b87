"""What a doubling must gain to be worth it."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from scanproof.errors import ScanproofError, unknown_name
from scanproof.scaling.axes import AXES, Axis, axis

#: how a unit names an axis; a bare number is one of SSIM
_UNITS = {"": "ssim", "db": "psnr", **{name: name for name in AXES}}
_PATTERN = re.compile(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


class Target(NamedTuple):
    """A gain in units of an axis: what PSNR or SSIM must rise, or an error fall, by."""

    gain: float
    axis: Axis

    def __str__(self) -> str:
        return f"{self.gain:g} dB" if self.axis.name == "psnr" else f"{self.gain:g} {self.axis.name}"


def parse_target(text: str) -> Target:
    """A gain as it is written on a command line.

    Args:
        text: a number above 0, and the axis: ``0.1dB`` of PSNR, ``0.005`` or ``0.005ssim``, ``1e-4mse``,
            ``0.01 nrmse``, ``0.002dssim``.

    Raises:
        ScanproofError: no number, one that is not above 0, or an unknown axis.

    Example:
        >>> [str(parse_target(text)) for text in ("0.1dB", "0.005", "1e-4 mse")]
        ['0.1 dB', '0.005 ssim', '0.0001 mse']
    """
    found = _PATTERN.fullmatch(text)
    rule = "target gain must be a number above 0 with its unit"
    hint = "e.g. 0.1dB, 0.005 (of SSIM), 0.01nrmse"
    if found is None:
        raise ScanproofError(rule, key="--target-gain", value=text, hint=hint)
    number, unit = found.groups()
    if unit.lower() not in _UNITS:
        raise unknown_name("unit of a gain", unit, ["dB", *AXES], key="--target-gain")
    try:
        gain = float(number)
    except ValueError:
        gain = math.nan
    if not 0 < gain < math.inf:
        raise ScanproofError(rule, key="--target-gain", value=text, hint=hint)
    return Target(gain, axis(_UNITS[unit.lower()]))
