"""The manifest of a folder of volumes: a CSV with one row a volume."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scanproof.data.cohort import SPLITS
from scanproof.data.splits import check_splits
from scanproof.errors import ScanproofError

REQUIRED = ("subject", "site", "path")
OPTIONAL = ("label", "split")


def read_manifest(manifest: Path, *, root: Path, labelled: bool) -> pd.DataFrame:
    """Read and check a manifest.

    Args:
        manifest: CSV with the columns ``subject, site, path``, and ``label`` (0 or 1) where a study classifies;
            optionally ``split`` (train, val or test; all rows or none). Further columns are ignored.
        root: folder to which relative paths are relative.
        labelled: whether labels are needed.

    Returns:
        Columns ``subject, site, path`` (absolute), ``label`` (Int64), ``split`` (missing where the manifest has
        none), in a fixed order.

    Raises:
        ScanproofError: naming the file, the row and column, the rule and what was found.
    """
    if not manifest.is_file():
        raise ScanproofError("manifest must be an existing CSV file", file=manifest, key="data.manifest")
    try:
        table = pd.read_csv(manifest, dtype="string", skipinitialspace=True, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ScanproofError(f"manifest must be a readable UTF-8 CSV file: {error}", file=manifest) from error
    for column in REQUIRED + (("label",) if labelled else ()):
        if column not in table.columns:
            raise ScanproofError("manifest must have this column", file=manifest, key=column, value=list(table.columns))
    table = table.reindex(columns=[*REQUIRED, *OPTIONAL]).astype("string")
    if table.empty:
        raise ScanproofError("manifest must have at least one row", file=manifest)
    for column in REQUIRED + (("label",) if labelled else ()):
        empty = table.index[table[column].isna()]
        if len(empty):
            raise ScanproofError(f"{column} must not be empty", file=manifest, key=_line(empty[0]))
    table["label"] = _labels(table["label"], manifest)
    table["path"] = _paths(table["path"], root, manifest)
    if table["split"].notna().any():
        wrong = table.index[~table["split"].isin(SPLITS)]
        if len(wrong):
            found = table.loc[wrong[0], "split"]
            found = None if pd.isna(found) else found
            raise ScanproofError(
                f"split must be one of {', '.join(SPLITS)} in every row, or in none",
                file=manifest,
                key=f"{_line(wrong[0])}, split",
                value=found,
            )
        check_splits(table, file=manifest)
    sites = table.groupby("subject")["site"].nunique()
    if (sites > 1).any():
        subject = str(sites.index[sites > 1][0])
        found = sorted(table.loc[table["subject"] == subject, "site"].unique())
        raise ScanproofError("a subject must belong to one site", file=manifest, key=f"subject {subject}", value=found)
    return table.sort_values(["site", "subject", "path"], kind="stable", ignore_index=True)


def _line(index: int) -> str:
    return f"line {index + 2}"  # the header is line 1


def _labels(column: pd.Series, manifest: Path) -> pd.Series:
    wrong = column.index[column.notna() & ~column.str.strip().isin(["0", "1"])]
    if len(wrong):
        raise ScanproofError(
            "label must be 0 or 1", file=manifest, key=f"{_line(wrong[0])}, label", value=column[wrong[0]]
        )
    return pd.to_numeric(column).astype("Int64")


def _paths(column: pd.Series, root: Path, manifest: Path) -> list[str]:
    resolved: dict[str, int] = {}
    for index, text in column.items():
        path = (root / str(text)).resolve()
        key = f"{_line(int(str(index)))}, path"
        if not path.is_file():
            raise ScanproofError("file must exist", file=manifest, key=key, value=str(text))
        if str(path) in resolved:
            first = _line(resolved[str(path)])
            raise ScanproofError(
                f"each file must be listed once, {first} has it too", file=manifest, key=key, value=str(text)
            )
        resolved[str(path)] = int(str(index))
    return list(resolved)
