"""The tables of an export: what each column may hold."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.data.parquet_table import read_parquet
from scanproof.errors import ScanproofError
from scanproof.evaluation.comparisons import COMPARISON_COLUMNS
from scanproof.evaluation.table import PREDICTION_COLUMNS, RESULT_COLUMNS, check_table

if TYPE_CHECKING:
    import pandera.pandas as pa

#: columns of the table of a site's numbers: those of results about a whole site, with a standard error
AGGREGATE_COLUMNS = {
    **{name: kind for name, kind in RESULT_COLUMNS.items() if name not in ("subject", "case", "seed")},
    "standard_error": "float64",
}
#: columns of the table of a site's comparisons
CONTRAST_COLUMNS = {**COMPARISON_COLUMNS, "standard_error": "float64"}
#: columns of the table of readings of single cases: pseudonyms are made anew for every export
SCORE_COLUMNS = {name: kind for name, kind in PREDICTION_COLUMNS.items() if name not in ("study", "site", "split")}
#: columns of the table of the image quality of single cases
QUALITY_COLUMNS = {
    name: RESULT_COLUMNS[name]
    for name in ("subject", "case", "shift", "severity", "reconstruction", "acceleration", "metric", "value")
}
#: longest name in a table
LONGEST = 200

TABLES: dict[str, dict[str, str]] = {
    "results.parquet": AGGREGATE_COLUMNS,
    "comparisons.parquet": CONTRAST_COLUMNS,
    "scores.parquet": SCORE_COLUMNS,
    "quality.parquet": QUALITY_COLUMNS,
}
_NEEDED = {
    "results.parquet": {"study", "site", "shift", "reconstruction", "acceleration", "metric", "value", "n"},
    "comparisons.parquet": {"study", "site", "shift", "reconstruction", "acceleration", "classifier", "norm"}
    | {"reference", "metric", "measure", "difference"},
    "scores.parquet": set(SCORE_COLUMNS) - {"norm", "seed"},
    "quality.parquet": set(QUALITY_COLUMNS),
}


def schema(name: str) -> pa.DataFrameSchema:
    """The pandera schema of a table of an export, by the name of its file."""
    import pandera.pandas as pa

    short = pa.Check(lambda column: column.str.len() <= LONGEST, name=f"at most {LONGEST} characters")
    checks: dict[str, pa.Check] = {
        "severity": pa.Check.in_range(0, 5),
        "acceleration": pa.Check.ge(1),
        "standard_error": pa.Check.ge(0),
        "measure": pa.Check.isin(["quality", "change"]),
        "label": pa.Check.isin([0, 1]),
        "probability": pa.Check.in_range(0, 1),
        **{key: pa.Check.ge(1) for key in ("n", "subjects", "cases", "seeds")},
        **{key: pa.Check.in_range(0, 1) for key in ("p_value", "p_permutation", "p_holm")},
        **({key: pa.Check.str_matches(r"^p[0-9a-f]{16}$") for key in ("subject", "case")}),
    }
    columns = {}
    for column, kind in TABLES[name].items():
        check = checks.get(column, short if kind == "string" else None)
        columns[column] = pa.Column(kind, check, nullable=column not in _NEEDED[name])
    estimate = {"results.parquet": "value", "comparisons.parquet": "difference"}.get(name)
    ordered = pa.Check(
        lambda t: ~((t["lower"] > t[estimate] + 1e-9) | (t["upper"] < t[estimate] - 1e-9)).fillna(False),
        name=f"lower <= {estimate} <= upper",
    )
    return pa.DataFrameSchema(columns, checks=ordered if estimate else None, strict=True, ordered=True)


def to_parquet(table: pd.DataFrame) -> bytes:
    """A table as bytes: the same table gives the same."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def read_tables(files: Mapping[str, bytes], *, file: object) -> dict[str, pd.DataFrame]:
    """The checked tables of an export.

    Args:
        files: of the export, by name.
        file: the export, named in errors.

    Raises:
        ScanproofError: a table that cannot be read, is too long, or breaks its schema.
    """
    return {name: _read(name, data, file=f"{file}: {name}") for name, data in files.items() if name in TABLES}


def _read(name: str, data: bytes, *, file: str) -> pd.DataFrame:
    table = read_parquet(data, file=file, columns=list(TABLES[name])).to_pandas()
    try:
        table = table.astype(TABLES[name])
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise ScanproofError(f"table must be readable: {reason}", file=file) from None
    return check_table(table, schema(name), name=file)
