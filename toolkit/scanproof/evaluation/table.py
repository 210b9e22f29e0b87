"""The two tidy tables from which every figure, report, MLflow metric and verdict is derived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    import pandera.pandas as pa

#: severity-0 condition: nothing but the site's own acquisition
CLEAN = "none"
#: shift name of worst-case perturbations, sought for each reconstruction: no scanner does that
ADVERSARIAL = "adversarial"
#: shift name of rows that summarise all shifts and severities of a chain
ALL_SHIFTS = "all"
#: site name of rows that average over the sites
ALL_SITES = "all"

#: columns that name a chain: how an image is made and who reads it
CHAIN = ("reconstruction", "acceleration", "classifier", "norm")
#: normalization whose chain is the reference of corruption errors and comparisons: what networks come with
REFERENCE_NORM = "batch"
#: what two chains share that differ in normalization alone
SIBLINGS = CHAIN[:-1]
#: columns that name the condition under which a chain was tested
CONDITION = ("shift", "severity")

RESULT_COLUMNS: dict[str, str] = {
    "study": "string",
    "site": "string",
    "subject": "string",  # missing in rows about a whole site
    "case": "string",  # missing in rows about a whole site
    "shift": "string",
    "severity": "Int64",  # missing in rows over several severities
    "reconstruction": "string",
    "acceleration": "float64",
    "classifier": "string",  # missing in rows about image quality
    "norm": "string",
    "seed": "Int64",  # training seed; missing in rows that average over seeds
    "target": "string",  # what a classifier looks for; missing in rows over all targets
    "metric": "string",
    "value": "float64",
    "lower": "float64",  # interval, where one was computed
    "upper": "float64",
    "n": "Int64",  # cases behind the value
}

PREDICTION_COLUMNS: dict[str, str] = {
    "study": "string",
    "site": "string",
    "subject": "string",
    "case": "string",
    "split": "string",  # "val" (operating points are fixed on it) or "test"
    "target": "string",  # what the label says: one row a case and target
    "label": "Int64",
    "shift": "string",
    "severity": "Int64",
    "reconstruction": "string",
    "acceleration": "float64",
    "classifier": "string",
    "norm": "string",
    "seed": "Int64",
    "probability": "float64",
}

_OPTIONAL_RESULTS = {"subject", "case", "severity", "classifier", "norm", "seed", "target", "lower", "upper"}
_OPTIONAL_PREDICTIONS = {"norm", "seed"}  # unknown for a model that somebody else trained


def results_schema() -> pa.DataFrameSchema:
    """The pandera schema of the results table."""
    import pandera.pandas as pa

    checks = {"severity": pa.Check.in_range(0, 5), "acceleration": pa.Check.ge(1), "n": pa.Check.ge(1)}
    return _schema(
        RESULT_COLUMNS,
        _OPTIONAL_RESULTS,
        checks,
        pa.Check(
            lambda t: ~((t["lower"] > t["value"] + 1e-9) | (t["upper"] < t["value"] - 1e-9)).fillna(False),
            name="lower <= value <= upper",
        ),
    )


def predictions_schema() -> pa.DataFrameSchema:
    """The pandera schema of the per-case probability table."""
    import pandera.pandas as pa

    checks = {
        "split": pa.Check.isin(["val", "test"]),
        "label": pa.Check.isin([0, 1]),
        "severity": pa.Check.in_range(0, 5),
        "acceleration": pa.Check.ge(1),
        "probability": pa.Check.in_range(0, 1),
    }
    return _schema(PREDICTION_COLUMNS, _OPTIONAL_PREDICTIONS, checks, None)


def _schema(
    columns: dict[str, str], optional: set[str], checks: dict[str, pa.Check], frame: pa.Check | None
) -> pa.DataFrameSchema:
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            name: pa.Column(dtype, checks.get(name), nullable=name in optional, coerce=True)
            for name, dtype in columns.items()
        },
        checks=frame,
        strict=True,
        ordered=True,
    )


def conform(
    rows: pd.DataFrame, columns: dict[str, str], *, sort_by: Sequence[str] | None = None, name: str | None = None
) -> pd.DataFrame:
    """Give a table the declared columns, types and a fixed row order; missing columns become missing values.

    Raises:
        ScanproofError: an undeclared column, or one whose values do not fit the declared type.
    """
    unknown = set(rows.columns) - set(columns)
    if unknown:
        raise ScanproofError("table must have only declared columns", file=name, key=", ".join(sorted(unknown)))
    table = rows.reindex(columns=list(columns))
    for column, dtype in columns.items():
        try:
            table = table.astype({column: dtype})
        except (TypeError, ValueError) as error:
            rule = f"must hold values of type {dtype}: {error}"
            raise ScanproofError(rule, file=name, key=column) from error
    order = list(sort_by or [c for c in columns if columns[c] != "float64" or c == "acceleration"])
    return table.sort_values(order, kind="stable", na_position="first", ignore_index=True)


def check_table(table: pd.DataFrame, schema: pa.DataFrameSchema, *, name: str) -> pd.DataFrame:
    """Validate a table and return it.

    Raises:
        ScanproofError: naming the table, the column, the broken rule and the first offending value.
    """
    import pandera.errors

    try:
        return schema.validate(table)
    except pandera.errors.SchemaError as error:
        cases = error.failure_cases
        value = cases["failure_case"].iloc[0] if isinstance(cases, pd.DataFrame) and len(cases) else cases
        value = value.item() if isinstance(value, np.generic) else value
        column = getattr(error.schema, "name", None)
        rule = getattr(error.check, "error", None) or getattr(error.check, "name", None) or str(error.check)
        raise ScanproofError(f"must hold: {rule}", file=name, key=column, value=value) from error
