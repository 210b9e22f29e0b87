"""Questions to gathered cases, answered as their files are read: memory does not grow with the number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.table import RESULT_COLUMNS
from scanproof.gathered.folder import cases_in

if TYPE_CHECKING:
    import pyarrow.dataset as ds

#: columns that a question can name; values are what is asked about
NAMED = tuple(name for name in RESULT_COLUMNS if name not in {"value", "lower", "upper", "n"})
_KINDS = {"string": str, "Int64": int, "float64": float}


def parse_where(conditions: Sequence[str]) -> dict[str, list[object]]:
    """Conditions as they are written in a command: ``column=value``, several of one column for any of them.

    Raises:
        ScanproofError: no ``=``, an unknown column, or a value that is not of its type.

    Example:
        >>> parse_where(["site=north", "severity=3", "severity=5"])
        {'site': ['north'], 'severity': [3, 5]}
    """
    found: dict[str, list[object]] = {}
    for condition in conditions:
        name, equals, text = condition.partition("=")
        if not equals:
            raise ScanproofError("condition must be COLUMN=VALUE", key="--where", value=condition)
        _check_name(name, "--where")
        try:
            found.setdefault(name, []).append(_KINDS[RESULT_COLUMNS[name]](text))
        except ValueError:
            kind = {"Int64": "a whole number", "float64": "a number"}[RESULT_COLUMNS[name]]
            raise ScanproofError(f"{name} must be {kind}", key="--where", value=text) from None
    return found


def aggregate(folder: Path, *, where: Mapping[str, Sequence[object]], by: Sequence[str]) -> pd.DataFrame:
    """Number, mean, standard deviation and extremes of the values of cases, group by group.

    Only partitions and row groups that can hold an answer are read. Rows are added up in one order, so the answer is
    the same to the bit each time.

    Args:
        folder: of :func:`~scanproof.gathered.folder.gather`.
        where: column to the values of which a row must have one; empty for all rows.
        by: columns that make a group; none for one group of all rows.

    Returns:
        ``by``, ``rows``, ``mean``, ``sd`` (with n - 1, missing for a single row), ``min`` and ``max``, sorted.

    Raises:
        ScanproofError: an unknown column, or nothing gathered there.
    """
    import pyarrow.compute as pc
    from pyarrow import acero

    for name in where:
        _check_name(name, "where")
    for name in by:
        _check_name(name, "by")
    asked = _expression(where)
    columns = list(dict.fromkeys([*where, *by, "value"]))
    hashed = "hash_" if by else ""
    spread = pc.VarianceOptions(ddof=1)
    sums = [
        ("value", f"{hashed}{function}", options, name)
        for name, function, options in (
            ("rows", "count", None),
            ("mean", "mean", None),
            ("sd", "stddev", spread),
            ("min", "min", None),
            ("max", "max", None),
        )
    ]
    dataset = cases_in(folder)
    steps = [acero.Declaration("scan", acero.ScanNodeOptions(dataset, columns=columns, filter=asked))]
    if asked is not None:
        steps.append(acero.Declaration("filter", acero.FilterNodeOptions(asked)))
    steps.append(acero.Declaration("aggregate", acero.AggregateNodeOptions(sums, keys=list(by))))
    table = acero.Declaration.from_sequence(steps).to_table(use_threads=False).to_pandas()
    answer: pd.DataFrame = table[[*by, "rows", "mean", "sd", "min", "max"]]
    return answer.sort_values(list(by), ignore_index=True) if by else answer


def _expression(where: Mapping[str, Sequence[object]]) -> ds.Expression | None:
    import pyarrow.compute as pc

    parts = [pc.field(name).isin(list(values)) for name, values in where.items()]
    return reduce(and_, parts) if parts else None


def _check_name(name: str, key: str) -> None:
    if name not in NAMED:
        raise unknown_name("column", name, NAMED, key=key)
