"""BIDS datasets: a folder of images that says itself what it holds (Gorgolewski et al., Sci Data 2016)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from scanproof.data.find_paths import check_name
from scanproof.data.manifest import Manifest
from scanproof.data.read_labels import COLUMN, PREFIX, read_labels
from scanproof.errors import ScanproofError, unknown_name

DESCRIPTION, PARTICIPANTS = "dataset_description.json", "participants.tsv"

_IMAGE: Final = re.compile(r"(?P<entities>(?:[a-zA-Z]+-[a-zA-Z0-9]+_)+)(?P<suffix>[a-zA-Z0-9]+)\.nii(\.gz)?")


def is_bids(folder: Path) -> bool:
    """Whether a folder is a BIDS dataset."""
    return (folder / DESCRIPTION).is_file()


def read_bids(
    root: Path,
    *,
    labelled: bool,
    suffix: str | None = None,
    label: str | None = None,
    site_column: str | None = None,
    site: str = "local",
) -> Manifest:
    """What a manifest would say of a dataset: ``sub-*/[ses-*/]anat/*_SUFFIX.nii[.gz]`` and ``participants.tsv``.

    All sessions and runs of a participant belong to one subject, and take its label. Phase, real and imaginary parts
    (``part-phase`` and the like) are left out, and so are ``derivatives``.

    Args:
        root: the dataset's folder.
        labelled: whether labels are needed.
        suffix: which images, e.g. ``"T1w"``; may be left out where there is only one.
        label: column of the labels; by default ``label``, or columns ``label_NAME``, as in a manifest.
        site_column: column of the site; by default all participants are of one site.
        site: its name then.

    Raises:
        ScanproofError: no images, several suffixes to choose among, no table of participants, a column that it does
            not have, a participant without a row, a file that is not there, a label that breaks a rule.
    """
    images = _images(root)
    suffix = _suffix(root, sorted({found for _, _, found in images}), suffix)
    table = pd.DataFrame(
        [(subject, str(path.absolute())) for subject, path, found in images if found == suffix],
        columns=["subject", "path"],
        dtype="string",
    )
    table["site"] = pd.Series(site, table.index, dtype="string")
    columns: dict[str, pd.Series] = {}
    exclusive = False
    if labelled or label is not None or site_column is not None:
        people = _participants(root / PARTICIPANTS)
        people = people.loc[people.index.isin(set(table["subject"]))]
        for subject in table["subject"]:
            if subject not in people.index:
                rule = "participant with images must have a row"
                raise ScanproofError(rule, file=root / PARTICIPANTS, key="participant_id", value=str(subject))
        if site_column is not None:
            table["site"] = table["subject"].map(_column(people, site_column, "site", root))
        labels, exclusive = _labels(people, label, labelled=labelled, root=root)
        columns = {name: table["subject"].map(labels[name]).astype("Int64") for name in map(str, labels)}
    table["split"] = pd.Series(pd.NA, table.index, dtype="string")
    table["place"] = [str(Path(path).relative_to(root.absolute())) for path in table["path"]]
    table = table[["subject", "site", "path", "split", "place"]].assign(**columns)
    table = table.sort_values(["site", "subject", "path"], kind="stable", ignore_index=True)
    return Manifest(table=table, exclusive=exclusive, file=root)


def _images(root: Path) -> list[tuple[str, Path, str]]:
    """Subject, path and suffix of every anatomical image."""
    found = []
    for pattern in ("sub-*/anat/*.nii*", "sub-*/ses-*/anat/*.nii*"):
        for path in sorted(root.glob(pattern)):
            check_name(path)
            name = _IMAGE.fullmatch(path.name)
            if name is None or _entities(name["entities"]).get("part", "mag") != "mag":
                continue
            if not path.is_file():
                hint = "its content is missing: fetch it, for example with datalad get" if path.is_symlink() else None
                raise ScanproofError("file must exist", file=path, hint=hint)
            found.append((path.relative_to(root).parts[0], path, name["suffix"]))
    return found


def _entities(text: str) -> Mapping[str, str]:
    return {key: value for key, _, value in (part.partition("-") for part in text.rstrip("_").split("_"))}


def _suffix(root: Path, known: list[str], wanted: str | None) -> str:
    if not known:
        raise ScanproofError("BIDS dataset must hold images in sub-*/anat or sub-*/ses-*/anat", file=root)
    if wanted is None and len(known) > 1:
        rule = "kind of image must be chosen"
        raise ScanproofError(rule, file=root, key="data.bids.suffix", hint=f"there are {', '.join(known)}")
    if wanted is not None and wanted not in known:
        raise unknown_name("suffix of images", wanted, known, file=root, key="data.bids.suffix")
    return wanted or known[0]


def _participants(path: Path) -> pd.DataFrame:
    """The table of participants by their identifier, all text; ``n/a`` is missing, rows count as lines."""
    if not path.is_file():
        raise ScanproofError("labels and sites of a BIDS dataset must stand in this file", file=path)
    try:
        table = pd.read_csv(
            path, sep="\t", dtype="string", encoding="utf-8-sig", keep_default_na=False, na_values=["", "n/a"]
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ScanproofError(f"must be a readable table, UTF-8 with tabs: {error}", file=path) from error
    if "participant_id" not in table.columns:
        raise ScanproofError("must have this column", file=path, key="participant_id", value=list(table.columns))
    table.index += 2  # the line of the file; the first one is the header
    twice = table.index[table["participant_id"].duplicated()]
    if len(twice):
        value = str(table.loc[twice[0], "participant_id"])
        raise ScanproofError("participant must have one row", file=path, key=f"line {twice[0]}", value=value)
    table["line"] = table.index
    return table.set_index("participant_id")


def _column(people: pd.DataFrame, name: str, key: str, root: Path) -> pd.Series:
    file = root / PARTICIPANTS
    columns = [str(column) for column in people.columns if column != "line"]
    if name not in columns:
        raise unknown_name("column", name, columns, file=file, key=f"data.bids.{key}")
    if key == "site" and people[name].isna().any():
        missing = people.index[people[name].isna()][0]
        raise ScanproofError(f"{name} must not be empty", file=file, key=str(missing))
    return people[name]


def _labels(people: pd.DataFrame, label: str | None, *, labelled: bool, root: Path) -> tuple[pd.DataFrame, bool]:
    """Columns of labels by participant, and whether they are classes."""
    file = root / PARTICIPANTS
    if label is not None:
        given = pd.DataFrame({COLUMN: _column(people, label, "label", root)})
    else:
        given = people[[name for name in people.columns if name == COLUMN or str(name).startswith(PREFIX)]]
        if given.empty and labelled:
            known = ", ".join(str(name) for name in people.columns if name != "line")
            rule = "column of the labels must be named for classification"
            raise ScanproofError(rule, file=file, key="data.bids.label", hint=f"there are {known}")
    rows = given.set_axis(people["line"].to_numpy(), axis=0)
    labels = read_labels(rows, labelled=labelled)
    if labels.problems:
        raise labels.problems[0].error(file)
    return labels.table.set_axis(people.index, axis=0), labels.exclusive
