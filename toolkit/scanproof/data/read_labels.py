"""Labels as a manifest writes them: findings that each stand for themselves, or one class a row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pandas as pd

from scanproof.data.labels import NAME_RULE, is_target_name, label_column
from scanproof.errors import ScanproofError

#: the column of a single finding, or of the class; several findings stand in columns with this and their name
COLUMN: Final = "label"
PREFIX: Final = "label_"

_NUMBER = re.compile(r"[+-]?\d*\.?\d*(e[+-]?\d+)?", re.IGNORECASE)


def read_labels(table: pd.DataFrame, *, manifest: Path, labelled: bool) -> tuple[pd.DataFrame, bool]:
    """Labels of the rows of a manifest.

    ``label`` with 0 and 1 is one target of that name; with anything else, each of its values is a class, and every row
    has one of them. Columns ``label_NAME`` with 0 and 1 are targets that stand each for itself, called NAME.

    Args:
        table: the manifest, all text, without its header.
        manifest: its file, for errors.
        labelled: whether labels are needed; otherwise they may be missing, in some rows or in all.

    Returns:
        One column a target, Int64, in alphabetical order; and whether they are classes.

    Raises:
        ScanproofError: naming the file, the row and column, the rule and what was found.

    Example:
        >>> labels, exclusive = read_labels(pd.DataFrame({"label": ["glioma", "none", "glioma"]}, dtype="string"),
        ...     manifest=Path("cohort.csv"), labelled=True)
        >>> labels["label:glioma"].tolist(), exclusive
        ([1, 0, 1], True)
    """
    columns = sorted(str(name) for name in table.columns if str(name).startswith(PREFIX))
    if COLUMN in table.columns:
        if columns:
            raise ScanproofError(
                f"labels must stand in {COLUMN}, or in {PREFIX}NAME for several findings, not in both",
                file=manifest,
                key="columns",
                value=[COLUMN, *columns],
            )
        columns = [COLUMN]
    if not columns and labelled:
        raise ScanproofError("manifest must have this column", file=manifest, key=COLUMN, value=list(table.columns))
    texts = {column: table[column].str.strip().mask(lambda text: text == "") for column in columns}
    for column, text in texts.items():
        missing = text.index[text.isna()]
        if labelled and len(missing):
            raise ScanproofError(
                f"{column} must not be empty",
                file=manifest,
                key=line(missing[0]),
                hint="NA, None, null and nan are read as empty, too",
            )
    if columns == [COLUMN]:
        values = set(texts[COLUMN].dropna())
        if not values:
            return pd.DataFrame(index=table.index), False
        if not values <= {"0", "1"}:
            return _classes(texts[COLUMN], manifest, labelled=labelled), True
    found = {label_column(_target(column, manifest)): _binary(text, manifest) for column, text in texts.items()}
    return pd.DataFrame(found, index=table.index), False


def line(index: object) -> str:
    """Where a row stands in its file.

    Example:
        >>> line(0)
        'line 2'
    """
    return f"line {int(str(index)) + 2}"  # the header is line 1


def _target(column: str, manifest: Path) -> str:
    name = column.removeprefix(PREFIX)
    if not is_target_name(name):
        raise ScanproofError(f"name of a finding {NAME_RULE}", file=manifest, key=f"column {column!r}", value=name)
    return name


def _binary(text: pd.Series, manifest: Path) -> pd.Series:
    wrong = text.index[text.notna() & ~text.isin(["0", "1"])]
    if len(wrong):
        raise ScanproofError(
            f"{text.name} must be 0 or 1", file=manifest, key=f"{line(wrong[0])}, {text.name}", value=text[wrong[0]]
        )
    return pd.to_numeric(text).astype("Int64")


def _classes(text: pd.Series, manifest: Path, *, labelled: bool) -> pd.DataFrame:
    """One column a class, missing where a row names none."""
    named = {int(str(row)): str(name) for row, name in text.dropna().items()}

    def wrong(rule: str, row: int) -> ScanproofError:
        return ScanproofError(rule, file=manifest, key=f"{line(row)}, {COLUMN}", value=named[row])

    numbers = [row for row, name in named.items() if _NUMBER.fullmatch(name)]
    words = [row for row in named if row not in set(numbers)]
    # what most rows hold is meant
    odd = words if len(numbers) >= len(words) else numbers
    odd = odd or [row for row in numbers if not named[row].isdecimal()]
    if odd:
        raise wrong(f"{COLUMN} must be 0 or 1 in every row, or the name or whole number of a class", odd[0])
    spelled: dict[str, str] = {}
    for row, name in named.items():
        if not is_target_name(name):
            raise wrong(f"name of a class {NAME_RULE}", row)
        usual = spelled.setdefault(name.casefold(), name)
        if usual != name:
            raise wrong(f"a class must be spelled in one way, not also {usual!r}", row)
    classes = sorted(spelled.values())
    if labelled and len(classes) < 2:
        rule = f"{COLUMN} must be 0 or 1 in every row, or name at least two classes"
        raise ScanproofError(rule, file=manifest, key=COLUMN, value=classes)
    return pd.DataFrame(
        {label_column(name): (text == name).astype("Int64").mask(text.isna()) for name in classes}, index=text.index
    )
