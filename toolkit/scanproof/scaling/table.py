"""The one table of a sweep: what every network that was trained shows on every case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import CLEAN, check_table, conform

if TYPE_CHECKING:
    import pandera.pandas as pa

SWEEP_COLUMNS: dict[str, str] = {
    "study": "string",
    "task": "string",
    "data": "string",
    "examples": "Int64",  # images that the network was trained on
    "width": "Int64",
    "parameters": "Int64",
    "seed": "Int64",
    "split": "string",  # "val" (the width is chosen on it) or "test"
    "shift": "string",
    "severity": "Int64",
    "subject": "string",
    "case": "string",
    "metric": "string",
    "value": "float64",
    "seconds": "float64",  # CPU seconds of the training; missing where they were not measured
}
#: what tells one sweep from another in the table
SWEEP = ("task", "data")
#: what tells a training from another
TRAINING = ("examples", "width", "seed")
#: what one row is about
KEY = (*SWEEP, *TRAINING, "split", "shift", "severity", "case", "metric")
#: file of the table in the folder of a study
RESULTS = "results.parquet"


def sweep_schema() -> pa.DataFrameSchema:
    """The pandera schema of the table."""
    import pandera.pandas as pa

    checks = {
        "examples": pa.Check.ge(1),
        "width": pa.Check.ge(1),
        "parameters": pa.Check.ge(1),
        "split": pa.Check.isin(["val", "test"]),
        "severity": pa.Check.in_range(0, 5),
        "seconds": pa.Check.ge(0),
    }
    columns = {
        name: pa.Column(dtype, checks.get(name), nullable=name == "seconds", coerce=True)
        for name, dtype in SWEEP_COLUMNS.items()
    }
    return pa.DataFrameSchema(columns, strict=True, ordered=True)


def checked_sweep(rows: pd.DataFrame, *, name: str) -> pd.DataFrame:
    """A table in the declared columns, types and order, if it is one of a sweep.

    Args:
        rows: in any order; columns beside those of :data:`SWEEP_COLUMNS` are an error.
        name: of the table, for errors.

    Raises:
        ScanproofError: a column that is missing or unknown, a value out of range, or a case that a training has twice.
    """
    if missing := [column for column in SWEEP_COLUMNS if column not in rows.columns and column != "seconds"]:
        raise ScanproofError("table of a sweep must have this column", file=name, key=", ".join(missing))
    table = check_table(conform(rows, SWEEP_COLUMNS, name=name), sweep_schema(), name=name)
    if table.empty:
        raise ScanproofError("table of a sweep must have rows", file=name)
    twice = table.duplicated(list(KEY))
    if twice.any():
        row = table.loc[twice, list(KEY)].iloc[0].to_dict()
        raise ScanproofError("must have each case of a training once", file=name, key="case", value=row)
    return table


def read_sweep(path: Path) -> pd.DataFrame:
    """The table of a sweep, from its parquet file or from the folder that holds it as ``results.parquet``.

    Raises:
        ScanproofError: no such file, a file that is no parquet, or a table that is none of a sweep.
    """
    file = path / RESULTS if path.is_dir() else path
    if not file.is_file():
        raise ScanproofError("results of a sweep must exist", file=file, hint="run it: scanproof scaling run")
    try:
        rows = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise ScanproofError("must be a parquet file", file=file, value=str(error)) from error
    return checked_sweep(rows, name=str(file))


def conditions(table: pd.DataFrame) -> list[str]:
    """Shifts under which test cases were measured, the clean condition first.

    Example:
        >>> conditions(pd.DataFrame({"split": ["test", "test", "val"], "shift": ["noise", "none", "none"]}))
        ['none', 'noise']
    """
    found = set(table.loc[table["split"] == "test", "shift"])
    return sorted(found, key=lambda shift: (shift != CLEAN, shift))
