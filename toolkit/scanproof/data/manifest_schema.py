"""What the columns of a manifest must hold, as a pandera schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scanproof.data.cohort import SPLITS
from scanproof.data.manifest_file import REQUIRED
from scanproof.data.problems import Problem

if TYPE_CHECKING:
    import pandera.pandas as pa

_SPLIT_RULE = f"split must be one of {', '.join(SPLITS)} in every row, or in none"
_ONE_SITE = "a subject must belong to one site"
_ONE_SPLIT = "a subject must lie in one split only"


def manifest_schema() -> pa.DataFrameSchema:
    """The pandera schema of a manifest, for whoever writes one by program.

    ``subject``, ``site`` and ``path`` are text in every row; ``split`` is optional: train, val or test in all rows or
    none, and one for all rows of a subject; a subject belongs to one site. Labels may be anything, see
    :func:`~scanproof.data.read_labels.read_labels`, and so may further columns. Whether files exist is another matter.

    Example:
        >>> row = {"subject": "P-001", "site": "north", "path": "P-001.nii.gz"}
        >>> manifest_schema().validate(pd.DataFrame([row])).shape
        (1, 3)
    """
    import pandera.pandas as pa

    columns = {name: pa.Column("string", nullable=False, coerce=True) for name in REQUIRED}
    columns["split"] = pa.Column(
        "string", pa.Check.isin(SPLITS, error=_SPLIT_RULE), nullable=True, coerce=True, required=False
    )
    return pa.DataFrameSchema(
        columns,
        checks=[
            pa.Check(lambda table: _split_given(table), error=_SPLIT_RULE, ignore_na=False),
            pa.Check(lambda table: _one(table, "site"), error=_ONE_SITE, ignore_na=False),
            pa.Check(lambda table: _one(table, "split"), error=_ONE_SPLIT, ignore_na=False),
        ],
        strict=False,
    )


def column_problems(table: pd.DataFrame) -> tuple[list[Problem], list[Problem]]:
    """All that the schema says of a manifest.

    Args:
        table: all text; the index says where a row stands.

    Returns:
        What is missing: columns, rows or cells. And what contradicts itself: splits, and subjects in several of them
        or at several sites.
    """
    import pandera.errors

    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        return [_missing(name, table) for name in missing], []
    if table.empty:
        return [Problem(rule="manifest must have at least one row")], []
    try:
        manifest_schema().validate(table, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        failures = errors.failure_cases[["column", "check", "index"]].drop_duplicates()
        return _empty(failures), _contradictions(failures, table)
    return [], []


def _missing(name: str, table: pd.DataFrame) -> Problem:
    alike = [column for column in table.columns if column.casefold() == name]
    hint = f"rename {alike[0]!r}" if alike else None
    return Problem(rule="manifest must have this column", column=name, found=(list(table.columns),), hint=hint)


def _empty(failures: pd.DataFrame) -> list[Problem]:
    problems = []
    for column in REQUIRED:
        empty = failures.loc[(failures["column"] == column) & (failures["check"] == "not_nullable"), "index"]
        rule = f"{column} must not be empty"
        problems += [Problem(rule=rule, line=line, column=column, place=f"line {line}") for line in sorted(empty)]
    return problems


def _contradictions(failures: pd.DataFrame, table: pd.DataFrame) -> list[Problem]:
    problems = []
    for line in sorted(set(failures.loc[failures["check"] == _SPLIT_RULE, "index"])):
        value = str(table.at[line, "split"])
        split = None if value == "<NA>" else value
        problems.append(Problem(rule=_SPLIT_RULE, line=line, column="split", found=(split,)))
    for rule, column in ((_ONE_SPLIT, "split"), (_ONE_SITE, "site")):
        lines = sorted(set(failures.loc[failures["check"] == rule, "index"]))
        if not lines:  # there may be no such column
            continue
        pairs = table.loc[lines, ["subject", column]].dropna().drop_duplicates()
        pairs = pairs[pairs["split"].isin(SPLITS)] if column == "split" else pairs  # others were named
        values: dict[str, list[str]] = {}
        first: dict[str, int] = {}
        for line, subject, value in zip(pairs.index, pairs["subject"], pairs[column], strict=True):
            values.setdefault(subject, []).append(value)
            first.setdefault(subject, line)
        for subject, line in first.items():
            if len(values[subject]) < 2:
                continue
            several = (sorted(values[subject]),)
            problems.append(Problem(rule=rule, line=line, column=column, found=several, place=f"subject {subject}"))
    return problems


def _split_given(table: pd.DataFrame) -> pd.Series:
    """Whether a row has a split where any has."""
    if "split" not in table or table["split"].isna().all():
        return pd.Series(True, index=table.index)
    return table["split"].notna()


def _one(table: pd.DataFrame, column: str) -> pd.Series:
    """Whether a row's subject has one value of a column."""
    if column not in table:
        return pd.Series(True, index=table.index)
    return ~(table.groupby("subject", dropna=True)[column].transform("nunique") > 1)
