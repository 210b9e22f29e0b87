"""The manifest of a folder of images: a table with one row a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from scanproof.data.cohort import SPLITS, Split
from scanproof.data.find_paths import PathFinder
from scanproof.data.labels import targets_of
from scanproof.data.manifest_file import REQUIRED, read_rows
from scanproof.data.manifest_schema import column_problems
from scanproof.data.problems import Problem, Unit, counted_in
from scanproof.data.read_labels import read_labels
from scanproof.errors import ScanproofError


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


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A manifest and all that is wrong with it.

    Args:
        manifest: what can be told in spite of the problems: cells that break a rule are missing.
        rows: of the manifest's table: ``line`` of the file, and ``listed``, the path as the file writes it.
        problems: every rule that is broken; none where a study can be run.
        unit: what lines are: those of a text file, or rows of a table.
    """

    manifest: Manifest
    rows: pd.DataFrame
    problems: tuple[Problem, ...]
    unit: Unit = "line"


def read_manifest(manifest: Path, *, root: Path, labelled: bool, site: str | None = None) -> Manifest:
    """Read and check a manifest.

    Args:
        manifest: CSV or Parquet with the columns ``subject, site, path``, and labels where a study classifies (see
            :func:`~scanproof.data.read_labels.read_labels`); optionally ``split`` (train, val or test; all rows or
            none). A path may be that of a folder, such as a DICOM series. Further columns are ignored.
        root: folder to which relative paths are relative.
        labelled: whether labels are needed.
        site: name of the one site that all files are of; a column ``site`` is then not needed, and may name one alone.

    Raises:
        ScanproofError: naming the file, the row and column, the rule and what was found, of the first problem.
    """
    examined = examine_manifest(manifest, root=root, labelled=labelled, site=site)
    if examined.problems:
        raise examined.problems[0].error(manifest)
    return examined.manifest


def examine_manifest(manifest: Path, *, root: Path, labelled: bool, site: str | None = None) -> Examined:
    """Find all problems of a manifest.

    Args:
        manifest: see :func:`read_manifest`.
        root: likewise.
        labelled: likewise.
        site: likewise.

    Raises:
        ScanproofError: the manifest cannot be read at all, or is of several sites where it must be of one.
    """
    rows = read_rows(manifest)
    given = rows.table if site is None else _of_site(rows.table, site, manifest)
    cells, subjects = column_problems(given)
    labels = read_labels(given, labelled=labelled)
    usable = not given.empty and all(name in given for name in REQUIRED)
    table = given.reindex(columns=[*REQUIRED, "split"]).astype("string")
    listed = table["path"]
    table["path"], lost = _paths(listed, root, rows.unit)
    table["split"] = table["split"].where(table["split"].isin(SPLITS))
    table["place"] = pd.Series([f"{rows.unit} {line}" for line in table.index], table.index, dtype="string")
    table = table.join(labels.table).assign(line=table.index, listed=listed)
    table = table.sort_values(["site", "subject", "path"], kind="stable", ignore_index=True)
    problems = [*rows.problems, *cells, *(labels.problems if usable else ()), *lost, *subjects]
    return Examined(
        manifest=Manifest(table=table.drop(columns=["line", "listed"]), exclusive=labels.exclusive, file=manifest),
        rows=table[["line", "listed"]],
        problems=tuple(counted_in(problems, rows.unit)),
        unit=rows.unit,
    )


def _of_site(table: pd.DataFrame, site: str, manifest: Path) -> pd.DataFrame:
    """The rows as those of one site, whatever it calls itself."""
    found = sorted(table["site"].dropna().unique()) if "site" in table.columns else []
    if len(found) > 1:
        hint = "give each site a manifest of its own"
        raise ScanproofError("files must be of one site", file=manifest, key="site", value=found, hint=hint)
    return table.assign(site=pd.Series(site, table.index, dtype="string"))


def _paths(listed: pd.Series, root: Path, unit: Unit) -> tuple[pd.Series, list[Problem]]:
    """Where the files lie, missing where there is none or an earlier row has it; and what is wrong."""
    finder = PathFinder(root)
    found: list[str | None] = []
    first: dict[str, int] = {}
    problems = []
    for line, text in zip(listed.index.tolist(), listed, strict=True):
        path = None if pd.isna(text) else finder.find(text)
        if path is None and not pd.isna(text):
            other = finder.find(text.replace("\\", "/")) if "\\" in text else None
            hint = None if other is None else "write / in place of \\"
            problems.append(
                Problem(rule="file or folder must exist", line=line, column="path", found=(text,), hint=hint, path=text)
            )
        if path is not None and first.setdefault(path, line) != line:
            rule = f"each file must be listed once, {unit} {first[path]} has it too"
            problems.append(Problem(rule=rule, line=line, column="path", found=(text,), path=text))
            path = None
        found.append(path)
    return pd.Series(found, listed.index, dtype="string"), problems
