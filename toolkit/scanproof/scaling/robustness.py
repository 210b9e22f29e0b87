"""Does more data buy robustness: how the error under an artifact goes with the number of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from scanproof.evaluation.bootstrap import Bootstrap, Estimate
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.scaling.axes import ERRORS, Axis
from scanproof.scaling.envelope import best_widths
from scanproof.scaling.fits.fit import SIZES, Fit
from scanproof.scaling.intervals import law, point_estimates
from scanproof.scaling.ladder import Draw, FloatArray, Ladder, ladder
from scanproof.scaling.table import conditions

#: what more examples do to the error under an artifact, in proportion to the clean error
Effect = Literal["buys", "costs", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """The error under an artifact against the number of examples, held against the clean error.

    Attributes:
        task: of the sweep.
        data: of the sweep.
        shift: artifact; ``all`` is the mean over artifacts.
        axis: an error.
        sizes: numbers of examples, shape ``(n,)``.
        points: error under the artifact in units of the axis, shape ``(n,)``.
        ratio: the same over the clean error of the same networks and cases, shape ``(n,)``.
        exponent: of a power law of the error under the artifact: below 0 where more examples lower it.
        trend: of a power law of the ratio: below 0 where more examples make networks sturdier than the clean error
            tells, above 0 where the clean error falls faster.
    """

    task: str
    data: str
    shift: str
    axis: Axis
    sizes: FloatArray
    points: Estimate
    ratio: Estimate
    exponent: Estimate
    trend: Estimate

    @property
    def lowers(self) -> Effect:
        """What more examples do to the error under the artifact itself."""
        return effect(self.exponent)

    @property
    def effect(self) -> Effect:
        """What they do to it in proportion to the clean error."""
        return effect(self.trend)


def effect(exponent: Estimate) -> Effect:
    """What the interval of an error's exponent says.

    Example:
        >>> effect(Estimate(np.array(-0.1), np.array(-0.2), np.array(-0.01)))
        'buys'
    """
    return "buys" if exponent.upper < 0 else "costs" if exponent.lower > 0 else "undecided"


def robustness(
    rows: pd.DataFrame, axis: Axis, *, task: str, data: str, bootstrap: Bootstrap, draw: Draw = "training"
) -> list[Robustness]:
    """Hold the errors under all artifacts of a sweep against the clean error.

    Widths are those that are best on clean validation cases. Subjects and trainings are drawn alike for both
    conditions, so that intervals are paired. The laws are single power laws: the question is whether, not how, the
    error goes with the number of examples. Intervals take the fewer degrees of freedom of the two conditions.

    Args:
        rows: of one task and data set.
        axis: an error.
        task: of the sweep.
        data: of the sweep.
        bootstrap: of the intervals.
        draw: see :meth:`~scanproof.scaling.ladder.Ladder.samples`.

    Returns:
        One an artifact, and where there are several their mean first; none where there are no artifacts, too few
        sizes, or an axis that is no error.
    """
    shifts = [shift for shift in conditions(rows) if shift != CLEAN]
    if axis not in ERRORS or not shifts or rows["examples"].nunique() < SIZES["single"]:
        return []
    widths = [(best.examples, best.width) for best in best_widths(rows, axis)]
    clean = ladder(rows, axis, widths)
    tables = dict.fromkeys(shifts, rows)
    if len(shifts) > 1:
        tables = {ALL_SHIFTS: _together(rows, shifts), **tables}
    found = []
    for shift, table in tables.items():
        shifted = ladder(table, axis, widths, shift=shift)
        found.append(
            Robustness(
                task=task,
                data=data,
                shift=shift,
                axis=axis,
                sizes=clean.sizes,
                points=point_estimates(shifted, bootstrap=bootstrap, draw=draw),
                ratio=_ratio(shifted, clean, bootstrap, draw),
                **_exponents(shifted, clean, bootstrap, draw),
            )
        )
    return found


def _together(rows: pd.DataFrame, shifts: Sequence[str]) -> pd.DataFrame:
    """All artifacts as one, whose severities are the conditions."""
    shifted = rows[rows["shift"].isin(shifts)]
    places = shifted.groupby(["shift", "severity"], sort=True).ngroup()
    return shifted.assign(shift=ALL_SHIFTS, severity=places)


def _ratio(shifted: Ladder, clean: Ladder, bootstrap: Bootstrap, draw: Draw) -> Estimate:
    subjects = len(set(clean.subjects))
    pairs = zip(shifted.by_subject(bootstrap), clean.by_subject(bootstrap), strict=True)
    freedom = [float(bootstrap.crossed(one - other, axis=0, subjects=subjects).freedom) for one, other in pairs]
    logs = shifted.samples(bootstrap, draw=draw) - clean.samples(bootstrap, draw=draw)
    return Estimate(*(np.exp(part) for part in bootstrap.estimate(logs.T, freedom=np.array(freedom))))


def _exponents(shifted: Ladder, clean: Ladder, bootstrap: Bootstrap, draw: Draw) -> dict[str, Estimate]:
    def exponent(fitted: Fit) -> FloatArray:
        return fitted.parameters[:, 1]

    laws = [law(one, "single", bootstrap=bootstrap, draw=draw) for one in (shifted, clean)]
    samples = exponent(laws[0].fit) - exponent(laws[1].fit)
    freedom = np.minimum(*(one.freedom(exponent) for one in laws))
    return {"exponent": laws[0].estimate(exponent), "trend": bootstrap.estimate(samples, freedom=freedom)}
