"""What a doubling of the data or of the network is expected to gain, and when it is no longer worth it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap, Estimate
from scanproof.scaling.analysis import Scaling, analyse, sweeps
from scanproof.scaling.choice import choose
from scanproof.scaling.cost import Duration, Prices, duration
from scanproof.scaling.fits.fit import SIZES, Fit
from scanproof.scaling.intervals import Law, law
from scanproof.scaling.ladder import Draw, FloatArray, Size, ladder
from scanproof.scaling.support import Support, support
from scanproof.scaling.target import Target

#: where the gain of a doubling comes from: networks of both sizes; the law between measured sizes; the law beyond them
Basis = Literal["measured", "law", "extrapolated", "refused"]
#: sizes at which the gain is looked at
_GRID = 400


@dataclass(frozen=True, kw_only=True)
class Doubling:
    """A doubling of the examples, or of the width with all examples.

    Attributes:
        of: what is doubled.
        start: size before.
        end: size after.
        basis: where the gain comes from.
        gain: in units of the target's axis, positive where better; ``None`` where it is refused.
        examples: how many more are needed.
        hours: CPU hours of one training at the end; NaN where the sweep does not say.
        cost: of the examples and of one training.
        why: it was refused, or what it rests on.
    """

    of: Size
    start: float
    end: float
    basis: Basis
    gain: Estimate | None
    examples: float
    hours: float
    cost: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep says of more data and of larger networks.

    Attributes:
        scaling: the analysis on the axis of the target.
        target: gain that a doubling must bring.
        doublings: of the examples, rising, then of the width.
        enough: number of examples from which on a doubling brings less than the target, with its interval; infinite
            where it is still worth it at the largest number that the data speak of.
        data: how far the law of the examples may be read.
    """

    scaling: Scaling
    target: Target
    doublings: tuple[Doubling, ...]
    enough: Estimate
    data: Support


def plan_table(
    table: pd.DataFrame,
    target: Target,
    *,
    bootstrap: Bootstrap,
    prices: Prices | None = None,
    at: Sequence[int] = (),
    draw: Draw = "training",
) -> list[Plan]:
    """A plan of each sweep of a table, on clean test cases; see :func:`plan`.

    Raises:
        ScanproofError: no sweep has the metric of the target; as :func:`plan`.
    """
    metric = target.axis.metric
    found = [(task, data, rows) for task, data, rows in sweeps(table) if metric in set(rows["metric"])]
    if not found:
        raise ScanproofError("sweep must have the metric of the target", key="--target-gain", value=metric)
    plans = []
    for task, data, rows in found:
        scaling = analyse(rows, target.axis, task=task, data=data, bootstrap=bootstrap, draw=draw)
        plans.append(plan(rows, scaling, target, prices=prices or Prices(), bootstrap=bootstrap, at=at, draw=draw))
    return plans


def plan(
    rows: pd.DataFrame,
    scaling: Scaling,
    target: Target,
    *,
    prices: Prices,
    bootstrap: Bootstrap,
    at: Sequence[int] = (),
    draw: Draw = "training",
) -> Plan:
    """Plan from one sweep.

    The gain of more examples is that of the chosen law, best width against best width. It is given for every measured
    number of examples from which a doubling stays within :func:`~scanproof.scaling.support.support`, and refused, with
    the reason, where it does not. The gain of a width is that between networks of both widths with the largest number
    of examples where both were measured, and that of a law over the widths one doubling beyond the largest, under the
    same rule.

    Args:
        rows: of the sweep.
        scaling: its analysis on the target's axis.
        target: gain that a doubling must bring.
        prices: of examples and computing.
        bootstrap: of the intervals.
        at: more numbers of examples to double.
        draw: see :meth:`~scanproof.scaling.ladder.Ladder.samples`.

    Raises:
        ScanproofError: a number of examples below 1.
    """
    if at and min(at) < 1:
        raise ScanproofError("examples to double must be at least 1", key="--at", value=min(at))
    reach = support(scaling.ladder, scaling.choice, precision=target.gain)
    time = duration(rows)
    best = {one.examples: one.width for one in scaling.best}
    sizes = [float(size) for size in scaling.ladder.sizes]
    doublings = []
    for start in sorted({*sizes, *(float(size) for size in at)}):
        width = best[max((n for n in best if n <= start), default=min(best))]
        cost = _cost(time, prices, examples=2 * start, width=width, more=start)
        doublings.append(_doubled(scaling.chosen, "examples", start, reach, cost))
    doublings += _widths(rows, scaling, target, time, prices, bootstrap=bootstrap, draw=draw)
    enough = _enough(scaling.chosen, target.gain, limit=reach.limit)
    return Plan(scaling=scaling, target=target, doublings=tuple(doublings), enough=enough, data=reach)


def gain_of(start: float | FloatArray, *, sign: int) -> Callable[[Fit], FloatArray]:
    """What a doubling gains by a fit, shape ``(curves, starts)``, positive where better.

    Args:
        start: sizes before.
        sign: 1 where better is higher, -1 where it is lower.
    """
    before = np.atleast_1d(np.asarray(start, np.float64))
    return lambda fitted: np.asarray(sign * (fitted.values(2 * before) - fitted.values(before)), np.float64)


def _gain(one: Law, start: float) -> Estimate:
    found = one.estimate(gain_of(start, sign=one.ladder.axis.sign))
    return Estimate(*(part[0] for part in found))


def _doubled(one: Law, of: Size, start: float, reach: Support, cost: tuple[float, float, float]) -> Doubling:
    end, smallest, largest = 2 * start, float(one.ladder.sizes[0]), float(one.ladder.sizes[-1])
    examples, hours, price = cost
    gain: Estimate | None = None
    basis: Basis = "refused"
    if start < smallest:
        why = f"nothing was measured below {smallest:g}"
    elif end > reach.limit:
        why = f"{end:g} is beyond {reach.limit:g}: {reach.why}"
    else:
        gain, basis = _gain(one, start), "extrapolated" if end > largest else "law"
        why = f"{one.form} law of {len(one.ladder.sizes)} sizes"
        why += f"; {reach.why}" if end > largest else ""
    return Doubling(
        of=of, start=start, end=end, basis=basis, gain=gain, examples=examples, hours=hours, cost=price, why=why
    )


def _widths(
    rows: pd.DataFrame,
    scaling: Scaling,
    target: Target,
    time: Duration | None,
    prices: Prices,
    *,
    bootstrap: Bootstrap,
    draw: Draw,
) -> list[Doubling]:
    """Doublings of the width with the largest number of examples."""
    most = scaling.best[-1].examples
    widths = sorted({int(width) for width in rows.loc[rows["examples"] == most, "width"]})
    found = []

    def doubling(width: int, basis: Basis, gain: Estimate | None, why: str) -> Doubling:
        _, hours, price = _cost(time, prices, examples=most, width=2 * width, more=0)
        return Doubling(
            of="width", start=width, end=2 * width, basis=basis, gain=gain, examples=0, hours=hours, cost=price, why=why
        )

    for width in widths:
        if 2 * width in widths:
            pair = ladder(rows, target.axis, [(most, width), (most, 2 * width)], size="width")
            # through two points, a power law is what was measured
            gain = _gain(law(pair, "single", bootstrap=bootstrap, draw=draw), width)
            found.append(doubling(width, "measured", gain, f"networks of both widths, {most} examples"))
    largest, needed = widths[-1], SIZES["single"]
    if len(widths) < needed:
        why = f"a law over widths must have at least {needed} of them, the sweep has {len(widths)}"
        return [*found, doubling(largest, "refused", None, why)]
    rungs = ladder(rows, target.axis, [(most, width) for width in widths], size="width")
    choice = choose(rungs)
    reach = support(rungs, choice, precision=target.gain)
    cost = _cost(time, prices, examples=most, width=2 * largest, more=0)
    over = law(rungs, choice.form, bootstrap=bootstrap, draw=draw)
    return [*found, _doubled(over, "width", largest, reach, cost)]


def _cost(
    time: Duration | None, prices: Prices, *, examples: float, width: float, more: float
) -> tuple[float, float, float]:
    """Further examples, CPU hours of a training, and the price of both."""
    hours = float("nan") if time is None else time.hours(examples, width)
    # what nobody pays for costs nothing, known or not
    computing = hours * prices.hour if prices.hour else 0.0
    return more, hours, more * prices.example + computing


def _enough(one: Law, gain: float, *, limit: float) -> Estimate:
    """Where the gain of a doubling falls below one for good; bounds are where those of the gain's interval do."""
    smallest = float(one.ladder.sizes[0])
    if limit / 2 < smallest:
        return Estimate(*(np.asarray(part) for part in (np.nan, smallest, np.inf)))
    grid = np.geomspace(smallest, limit / 2, _GRID)
    gains = one.estimate(gain_of(grid, sign=one.ladder.axis.sign))
    return Estimate(*(np.asarray(_last(grid, curve >= gain)) for curve in gains))


def _last(grid: FloatArray, worth: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """The grid's value after the last that is worth it; infinite where that is the last of all."""
    if not worth.any():
        return float(grid[0])
    last = int(np.flatnonzero(worth)[-1])
    return float("inf") if last == len(grid) - 1 else float(grid[last + 1])
