"""What the runs say of normalizations against each other, from the table of comparisons."""

from __future__ import annotations

import math

import pandas as pd

from scanproof.evaluation.table import ADVERSARIAL, ALL_SHIFTS, CHAIN, CLEAN
from scanproof.tracking.metrics import Chain, Point, part

#: name of a comparison's metric by what was measured
_MEASURES = {"quality": "gap", "change": "change"}


def chain_differences(comparisons: pd.DataFrame, site: str, chain: Chain) -> pd.DataFrame:
    """The comparisons of a chain with that of the reference normalization at a site; may be empty."""
    if comparisons.empty:
        return comparisons
    where = comparisons["site"] == site
    for column, name in zip(CHAIN, chain, strict=True):
        own = comparisons[column].isna() if name is None else (comparisons[column] == name).fillna(False)
        where &= own.astype(bool)
    return comparisons[where]


def difference_points(rows: pd.DataFrame) -> list[Point]:
    """Differences as metrics by which runs can be sorted; positive is in favour of the run's own normalization.

    Args:
        rows: rows of :func:`chain_differences`.

    Returns:
        Over all shifts ``gap_to_batch``, the difference of the mean AUROC, and ``change_to_batch``, how much less AUROC
        was lost, with ``_lower``, ``_upper`` and ``_p``; ``gap_to_batch_clean``, without shift; and of each shift
        ``<shift>/change_to_batch`` and, where p was corrected for the number of shifts, ``<shift>/p_holm``.

    Example:
        >>> row = {"shift": "all", "measure": "change", "reference": "batch", "difference": 0.1, "lower": 0.0,
        ...     "upper": 0.2, "p_value": 0.04, "p_holm": float("nan")}
        >>> [point.key for point in difference_points(pd.DataFrame([row]))]
        ['change_to_batch', 'change_to_batch_lower', 'change_to_batch_upper', 'change_to_batch_p']
    """
    if rows.empty:
        return []
    points = []
    columns = ["shift", "measure", "reference", "difference", "lower", "upper", "p_value", "p_holm"]
    for shift, measure, reference, difference, lower, upper, p_value, p_holm in rows[columns].itertuples(index=False):
        name = f"{_MEASURES[measure]}_to_{part(reference)}"
        if shift == ALL_SHIFTS:
            ends = {"": difference, "_lower": lower, "_upper": upper, "_p": p_value}
            points += [Point(name + end, float(value)) for end, value in ends.items()]
        elif shift == CLEAN:
            points.append(Point(f"{name}_clean", float(difference)))
        elif measure == "change":
            points.append(Point(f"{part(shift)}/{name}", float(difference)))
            points.append(Point(f"{part(shift)}/p_holm", float(p_holm)))
    return [point for point in points if math.isfinite(point.value)]


def chain_tags(rows: pd.DataFrame, differences: pd.DataFrame) -> dict[str, str]:
    """What to filter the runs of chains by.

    Args:
        rows: rows of :func:`~scanproof.tracking.metrics.chain_rows`.
        differences: rows of :func:`chain_differences`.

    Returns:
        ``worst_shift``, under which the mean AUROC over severities is lowest (of images alone the first image metric
        says nothing), and ``worst_shift.p_holm``, of the difference to batch norm under it; ``to_batch``: whether AUROC
        lost over all shifts is ``"less"`` or ``"more"`` than with batch norm, or ``"undecided"``, by its interval.
    """
    tags = {}
    worst = worst_shift(rows)
    if worst is not None:
        tags["worst_shift"] = worst
    if differences.empty:
        return tags
    change = differences[differences["measure"] == "change"]
    for p_holm in change.loc[change["shift"] == worst, "p_holm"].dropna():
        tags["worst_shift.p_holm"] = f"{p_holm:.3g}"
    for lower, upper in change.loc[change["shift"] == ALL_SHIFTS, ["lower", "upper"]].itertuples(index=False):
        tags["to_batch"] = "less" if lower > 0 else "more" if upper < 0 else "undecided"
    return tags


def worst_shift(rows: pd.DataFrame) -> str | None:
    """The shift under which the mean AUROC, over severities and the chains in these rows, is lowest.

    Example:
        >>> rows = pd.DataFrame({"shift": ["noise", "ghosting", "all"], "value": [0.7, 0.6, 0.1], "seed": pd.NA,
        ...     "metric": "auroc_shifted", "severity": pd.NA})
        >>> worst_shift(rows)
        'ghosting'
    """
    own = rows[(rows["metric"] == "auroc_shifted") & ~rows["shift"].isin([ALL_SHIFTS, ADVERSARIAL])]
    means = own.groupby("shift")["value"].mean()
    return None if means.empty else str(means.idxmin())
