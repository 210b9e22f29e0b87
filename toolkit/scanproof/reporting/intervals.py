"""The ranking as marks on one axis: where each chain stands without shift, under shift, and how surely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scanproof.reporting.tables import RankRow

#: empty space at both ends of the axis, in percent of the chart's width
MARGIN = 6.0
#: shortest axis, in units of the metric: smaller differences are not worth showing
SHORTEST = 0.002


class Marks(NamedTuple):
    """A chain's marks, in percent of the chart's width; ``None`` where the table has no number."""

    clean: float | None
    shifted: float | None
    lower: float | None
    upper: float | None


class IntervalChart(NamedTuple):
    """Ticks (position in percent, label) and a row of marks a chain."""

    ticks: list[tuple[float, str]]
    rows: list[Marks]


def interval_chart(rows: Sequence[RankRow]) -> IntervalChart:
    """Place the scores of a ranking on one shared axis.

    Args:
        rows: the ranking.

    Example:
        >>> from scanproof.reporting.vocabulary import Chain, Estimate
        >>> row = RankRow(1, Chain("unet", 4.0), Estimate(0.9), Estimate(0.7, 0.6, 0.8), None, None, "only one")
        >>> chart = interval_chart([row])
        >>> chart.rows
        [Marks(clean=94.0, shifted=35.33, lower=6.0, upper=64.67)]
        >>> chart.ticks
        [(6.0, '0.6'), (35.33, '0.7'), (64.67, '0.8'), (94.0, '0.9')]
    """
    # the intervals of the clean scores are not drawn, so they need no room
    drawn = [v for row in rows for v in (*(row.shifted or ()), *(row.clean or ())[:1]) if v is not None and v == v]
    low, high = min(drawn, default=0.0), max(drawn, default=1.0)
    if high - low < SHORTEST:
        low, high = low - SHORTEST / 2, high + SHORTEST / 2
    span = high - low

    def place(value: float | None) -> float | None:
        if value is None or value != value:
            return None
        return round(MARGIN + (100 - 2 * MARGIN) * (value - low) / span, 2)

    def marks(row: RankRow) -> Marks:
        clean = row.clean.value if row.clean else None
        shifted, lower, upper = row.shifted or (None, None, None)
        return Marks(place(clean), place(shifted), place(lower), place(upper))

    return IntervalChart(
        [(place(tick) or 0.0, label) for tick, label in ticks(low, high)], [marks(row) for row in rows]
    )


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers inside a range, with labels of as few decimals as they need and room for all of them.

    Args:
        low: lower end.
        high: upper end, above the lower one.

    Example:
        >>> ticks(0.53, 0.91)
        [(0.6, '0.6'), (0.7, '0.7'), (0.8, '0.8'), (0.9, '0.9')]
    """
    span = high - low
    power = 10.0 ** (math.floor(math.log10(span)) - 1)
    # long labels need more room
    step = next(power * m for m in (1, 2, 5, 10, 20, 50) if span / (power * m) <= (6 if power * m > 0.009 else 4))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(round(i * step, 10), f"{i * step:.{decimals}f}") for i in range(first, last + 1)]
