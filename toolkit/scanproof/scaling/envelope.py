"""The best width for each number of examples: chosen on validation cases, measured on test cases."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import CLEAN
from scanproof.scaling.axes import Axis

#: where in the grid of widths the best one stands
Edge = Literal["inside", "smallest", "largest", "only"]


class Best(NamedTuple):
    """The best width for a number of examples.

    Attributes:
        examples: N.
        width: of the network.
        parameters: of the network.
        edge: ``"inside"`` the grid, or at an end of it, beyond which a better width may lie.
        widths: how many were tried with these examples.
        validation: mean of the metric on validation cases.
    """

    examples: int
    width: int
    parameters: int
    edge: Edge
    widths: int
    validation: float


def best_widths(rows: pd.DataFrame, axis: Axis) -> list[Best]:
    """The envelope of a sweep: of each number of examples the width with the best validation mean.

    Test cases take no part in the choice, so that what is measured on them is not flattered by it. The mean is over
    trainings and clean validation cases; of equal ones the smaller network is taken. A best width at the end of the
    grid says that the envelope may be better than what was measured: at the largest width, a wider network; an
    exponent is then one of too small networks, not of the data.

    Args:
        rows: of one task and data set of a table of a sweep.
        axis: by whose metric.

    Returns:
        One of each number of examples, rising.

    Raises:
        ScanproofError: examples for which there is no validation case.

    Example:
        >>> rows = [(10, 4, 20.0), (10, 8, 19.0), (100, 4, 21.0), (100, 8, 25.0)]
        >>> table = pd.DataFrame(rows, columns=["examples", "width", "value"])
        >>> table = table.assign(parameters=9, metric="psnr", split="val", shift="none")
        >>> from scanproof.scaling.axes import axis
        >>> [(best.examples, best.width, best.edge) for best in best_widths(table, axis("psnr"))]
        [(10, 4, 'smallest'), (100, 8, 'largest')]
    """
    chosen = (rows["split"] == "val") & (rows["shift"] == CLEAN) & (rows["metric"] == axis.metric)
    seen = set(rows.loc[chosen, "examples"])
    if missing := sorted({int(n) for n in rows["examples"]} - {int(n) for n in seen}):
        rule = f"sweep must have validation cases with {axis.metric}, on which the width is chosen"
        raise ScanproofError(rule, key="examples", value=missing)
    grouped = rows[chosen].groupby(["examples", "width"]).agg(value=("value", "mean"), parameters=("parameters", "max"))
    found = []
    sign = 1 if axis.complement else axis.sign
    for examples in sorted({int(n) for n in seen}):
        means = grouped.loc[examples].sort_index()
        widths = [int(one) for one in means.index]
        values = means["value"].to_numpy(np.float64)
        at = int((sign * values).argmax())
        found.append(
            Best(
                examples=examples,
                width=widths[at],
                parameters=int(means["parameters"].to_numpy(np.int64)[at]),
                edge=_edge(widths[at], widths),
                widths=len(widths),
                validation=float(values[at]),
            )
        )
    return found


def _edge(width: int, widths: list[int]) -> Edge:
    if len(widths) == 1:
        return "only"
    if width in (widths[0], widths[-1]):
        return "smallest" if width == widths[0] else "largest"
    return "inside"
