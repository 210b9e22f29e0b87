"""Axes on which a metric is held against the number of examples: errors, and the published ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scanproof.errors import unknown_name


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What is drawn and fitted against size, on logarithmic axes.

    Args:
        name: of the axis.
        metric: of the table.
        label: as an axis of a figure says it.
        falls: whether better is lower.
        complement: whether it is 1 less the metric.
        digits: decimals worth showing.
    """

    name: str
    metric: str
    label: str
    falls: bool
    complement: bool = False
    digits: int = 4

    @property
    def sign(self) -> int:
        """1 where better is higher, -1 where it is lower."""
        return -1 if self.falls else 1


#: A power law is a statement about an error that can fall to 0. PSNR is the logarithm of one: where the error falls by
#: a pure power law, PSNR rises by the same decibels a doubling, and so flattens on logarithmic axes although nothing
#: does. The published fits are on PSNR and SSIM; a verdict is worth more on an error.
ERRORS = (
    Axis(name="mse", metric="mse", label="Mean squared error", falls=True, digits=6),
    Axis(name="nrmse", metric="nrmse", label="NRMSE", falls=True),
    Axis(name="dssim", metric="ssim", label="1 − SSIM", falls=True, complement=True),
)
PUBLISHED = (
    Axis(name="psnr", metric="psnr", label="PSNR (dB)", falls=False, digits=2),
    Axis(name="ssim", metric="ssim", label="SSIM", falls=False),
)
AXES = {axis.name: axis for axis in (*ERRORS, *PUBLISHED)}


def axis(name: str) -> Axis:
    """An axis by its name.

    Raises:
        ScanproofError: no such axis.

    Example:
        >>> axis("dssim").label
        '1 − SSIM'
    """
    if name not in AXES:
        raise unknown_name("axis", name, AXES, key="axis")
    return AXES[name]


def axes_of(metrics: Iterable[str]) -> list[Axis]:
    """The axes that metrics can be drawn on, errors first.

    Example:
        >>> [axis.name for axis in axes_of(["psnr", "ssim", "vif"])]
        ['dssim', 'psnr', 'ssim']
    """
    known = set(metrics)
    return [axis for axis in AXES.values() if axis.metric in known]
