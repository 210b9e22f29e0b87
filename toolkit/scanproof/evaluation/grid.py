"""From tidy rows to dense arrays: a row for each condition, a column for each case.

Metrics that are vectorised over conditions, and comparisons that are paired over cases, need every case under every
condition. This is where a table is checked for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.errors import ScanproofError


@dataclass(frozen=True)
class Grid:
    """One column of a tidy table as a matrix.

    Attributes:
        rows: what each row of the values is, sorted; the columns that the grid was made by.
        cases: what each column of the values is, sorted; ``subject``, ``case`` and the constants asked for.
        values: float64, shape ``(len(rows), len(cases))``, without gaps.
    """

    rows: pd.DataFrame
    cases: pd.DataFrame
    values: npt.NDArray[np.float64]


def to_grid(
    table: pd.DataFrame,
    *,
    by: Sequence[str],
    value: str,
    constants: Sequence[str] = (),
    case: Sequence[str] = ("subject", "case"),
    name: str = "table",
) -> Grid:
    """Spread a tidy table over conditions and cases.

    The answer does not depend on the order of the rows.

    Args:
        table: tidy rows.
        by: columns that name a condition; a missing value is a name like any other and sorts last.
        value: column to spread.
        constants: columns that belong to the case, e.g. its label, and must not change between conditions.
        case: columns that together name a case.
        name: of the table, for errors.

    Raises:
        ScanproofError: naming the first case that stands twice or not at all in a condition, or whose constants
            change.

    Example:
        >>> table = pd.DataFrame({"shift": ["a", "b", "a", "b"], "case": ["1", "1", "2", "2"], "x": [1, 2, 3, 4.0]})
        >>> to_grid(table, by=["shift"], value="x", case=["case"]).values
        array([[1., 3.],
               [2., 4.]])
    """
    row_code, rows = _codes(table, by)
    case_code, cases = _codes(table, case, keep=constants)
    for column in constants:
        changed = (table[column].to_numpy() != cases[column].to_numpy()[case_code]).nonzero()[0]
        if len(changed):
            rule = f"{column} of a case must be the same in all of its rows"
            raise ScanproofError(rule, file=name, value=_found(table.iloc[[changed[0]]], [*case, *by, column]))
    counts = np.zeros((len(rows), len(cases)), np.int64)
    np.add.at(counts, (row_code, case_code), 1)
    wrong = np.argwhere(counts != 1)
    if len(wrong):
        row, column_index = wrong[0]
        where = _found(cases.iloc[[column_index]], case) | _found(rows.iloc[[row]], by)
        rule = f"every case must stand exactly once in every condition, one stands {counts[row, column_index]} times"
        raise ScanproofError(rule, file=name, value=where)
    values = np.empty(counts.shape)
    values[row_code, case_code] = table[value].to_numpy(np.float64)
    return Grid(rows, cases, values)


def site_grids(
    table: pd.DataFrame, *, by: Sequence[str], value: str, constants: Sequence[str] = (), name: str = "table"
) -> dict[str, Grid]:
    """One grid a site, in the order of their names, all with the same rows.

    Raises:
        ScanproofError: as :func:`to_grid`, or a condition that one site was tested under and another was not.
    """
    grids: dict[str, Grid] = {}
    for site in sorted(table["site"].unique()):
        part = table[table["site"] == site]
        grids[site] = to_grid(part, by=by, value=value, constants=constants, name=f"{name}: {site}")
    every = pd.concat([grid.rows for grid in grids.values()]).drop_duplicates()
    for site, grid in grids.items():
        if len(grid.rows) != len(every):
            missing = pd.concat([every, grid.rows, grid.rows]).drop_duplicates(keep=False)
            rule = "every site must have been tested under the same conditions, one is missing here"
            raise ScanproofError(rule, file=f"{name}: {site}", value=_found(missing, by))
    return grids


def _codes(
    table: pd.DataFrame, by: Sequence[str], *, keep: Sequence[str] = ()
) -> tuple[npt.NDArray[np.intp], pd.DataFrame]:
    """A number for each row of the table, and what the numbers stand for in their order."""
    groups = table.groupby(list(by), dropna=False, sort=True)
    code = np.asarray(groups.ngroup(), np.intp)
    _, first = np.unique(code, return_index=True)
    return code, table[[*by, *keep]].iloc[first].reset_index(drop=True)


def _found(rows: pd.DataFrame, columns: Sequence[str]) -> dict[str, object]:
    """The first row as plain Python values, for an error's text."""
    first = {column: rows[column].iloc[0] for column in columns}
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in first.items() if not pd.isna(v)}
