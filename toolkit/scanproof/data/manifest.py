"""The manifest of a folder of images: a CSV with one row a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from scanproof.data.cohort import SPLITS, Split
from scanproof.data.labels import targets_of
from scanproof.data.read_labels import line, read_labels
from scanproof.data.splits import check_splits
from scanproof.errors import ScanproofError

REQUIRED = ("subject", "site", "path")


class LabelledFile(NamedTuple):
    """A file with images of one subject.

    Args:
        subject: whose images it holds.
        path: where it lies.
        labels: 0, 1 or None (unknown) for each target.
        split: of the subject.
    """

    subject: str
    path: str
    labels: tuple[int | None, ...]
    split: Split


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Which files belong to whom.

    Args:
        table: one row a file: ``subject, site, path`` (absolute), ``split`` (missing where none is given), ``place``
            (where the row stands, for errors) and one column of labels a target, by site, subject and path.
        exclusive: the targets are classes, of which each file has one.
        file: where it was read from.
    """

    table: pd.DataFrame
    exclusive: bool
    file: Path

    @property
    def targets(self) -> tuple[str, ...]:
        """What the labels are about."""
        return targets_of(self.table)


def read_manifest(manifest: Path, *, root: Path, labelled: bool) -> Manifest:
    """Read and check a manifest.

    Args:
        manifest: CSV with the columns ``subject, site, path``, and labels where a study classifies (see
            :func:`~scanproof.data.read_labels.read_labels`); optionally ``split`` (train, val or test; all rows or
            none). Further columns are ignored.
        root: folder to which relative paths are relative.
        labelled: whether labels are needed.

    Raises:
        ScanproofError: naming the file, the row and column, the rule and what was found.
    """
    if not manifest.is_file():
        raise ScanproofError("manifest must be an existing CSV file", file=manifest, key="data.manifest")
    try:
        table = pd.read_csv(manifest, dtype="string", skipinitialspace=True, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ScanproofError(f"manifest must be a readable UTF-8 CSV file: {error}", file=manifest) from error
    for column in REQUIRED:
        if column not in table.columns:
            raise ScanproofError("manifest must have this column", file=manifest, key=column, value=list(table.columns))
    if table.empty:
        raise ScanproofError("manifest must have at least one row", file=manifest)
    for column in REQUIRED:
        empty = table.index[table[column].isna()]
        if len(empty):
            raise ScanproofError(f"{column} must not be empty", file=manifest, key=line(empty[0]))
    labels, exclusive = read_labels(table, manifest=manifest, labelled=labelled)
    table = table.reindex(columns=[*REQUIRED, "split"]).astype("string")
    table["place"] = [line(index) for index in table.index]
    table["path"] = _paths(table["path"], root, manifest)
    if table["split"].notna().any():
        wrong = table.index[~table["split"].isin(SPLITS)]
        if len(wrong):
            found = table.loc[wrong[0], "split"]
            found = None if pd.isna(found) else found
            raise ScanproofError(
                f"split must be one of {', '.join(SPLITS)} in every row, or in none",
                file=manifest,
                key=f"{line(wrong[0])}, split",
                value=found,
            )
        check_splits(table, file=manifest)
    sites = table.groupby("subject")["site"].nunique()
    if (sites > 1).any():
        subject = str(sites.index[sites > 1][0])
        found = sorted(table.loc[table["subject"] == subject, "site"].unique())
        raise ScanproofError("a subject must belong to one site", file=manifest, key=f"subject {subject}", value=found)
    table = table.join(labels).sort_values(["site", "subject", "path"], kind="stable", ignore_index=True)
    return Manifest(table=table, exclusive=exclusive, file=manifest)


def _paths(column: pd.Series, root: Path, manifest: Path) -> list[str]:
    resolved: dict[str, int] = {}
    for index, text in column.items():
        path = (root / str(text)).resolve()
        key = f"{line(index)}, path"
        if not path.is_file():
            raise ScanproofError("file must exist", file=manifest, key=key, value=str(text))
        if str(path) in resolved:
            first = line(resolved[str(path)])
            raise ScanproofError(
                f"each file must be listed once, {first} has it too", file=manifest, key=key, value=str(text)
            )
        resolved[str(path)] = int(str(index))
    return list(resolved)
