"""The rows of a manifest as text, from CSV as spreadsheets write it or from Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from scanproof.data.parquet_table import MOST_COLUMNS, read_parquet
from scanproof.data.problems import Problem, Unit
from scanproof.errors import ScanproofError

#: columns that every manifest has
REQUIRED: Final = ("subject", "site", "path")
#: how the name of a table in Parquet ends; every other manifest is CSV
PARQUET: Final = (".parquet", ".pq")
#: what a cell that holds nothing may say
EMPTY: Final = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "-NaN", "-nan"]
)
_SEPARATORS: Final = (",", ";", "\t", "|")
_UTF8 = 'save it as "CSV UTF-8"'


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a manifest says, before any of it is checked.

    Args:
        table: all text, without blanks around it, a row's number in the file as its index; cells of :data:`EMPTY` are
            missing. A column that is named twice is there once.
        unit: what the index counts.
        problems: of the file's form: columns named twice, rows with more cells than the header has.
    """

    table: pd.DataFrame
    unit: Unit
    problems: tuple[Problem, ...] = ()


def read_rows(manifest: Path, *, most: int | None = None) -> Rows:
    """Read the rows of a manifest.

    CSV is separated by commas, semicolons, tabs or bars, whichever gives the required columns; cells may be quoted.
    Lines that hold nothing are passed over, and so are columns without a name. Text is brought into the form in which
    an accented letter is one character (NFC), so that a subject has one name.

    Args:
        manifest: CSV (UTF-8, with or without a byte order mark), or Parquet by its name.
        most: rows to read; all without it.

    Raises:
        ScanproofError: no such file, or one that cannot be read.
    """
    if not manifest.is_file():
        raise ScanproofError("manifest must be an existing CSV file", file=manifest, key="data.manifest")
    rows = _parquet(manifest, most) if manifest.suffix.lower() in PARQUET else _csv(manifest, most)
    return Rows(table=rows.table.apply(_clean), unit=rows.unit, problems=rows.problems)


def _csv(manifest: Path, most: int | None) -> Rows:
    try:
        content = manifest.read_bytes()
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        before = content[: error.start].count(b"\n")
        rule = f"manifest must be a readable UTF-8 CSV file: {error.reason}"
        raise ScanproofError(rule, file=manifest, key=f"line {before + 1}", hint=_UTF8) from error
    except OSError as error:
        raise ScanproofError(f"manifest must be a readable UTF-8 CSV file: {error.strerror}", file=manifest) from error
    reader = csv.reader(io.StringIO(text), delimiter=_separator(text), skipinitialspace=True, strict=True)
    records: list[list[str]] = []
    numbers: list[int] = []
    header: list[str] | None = None
    began = 1
    try:
        for record in reader:
            if any(map(str.strip, record)):
                if header is None:
                    header = [name.strip() for name in record]
                else:
                    records.append(record)
                    numbers.append(began)
                    if most is not None and len(records) >= most:
                        break
            began = reader.line_num + 1
    except csv.Error as error:
        rule = f"manifest must be a readable UTF-8 CSV file: {error}"
        raise ScanproofError(rule, file=manifest, key=f"line {began}") from error
    if header is None:
        raise ScanproofError("manifest must be a readable UTF-8 CSV file: it holds no columns", file=manifest)
    if len(header) > MOST_COLUMNS:
        raise ScanproofError(f"manifest must have at most {MOST_COLUMNS} columns", file=manifest, value=len(header))
    return _table(header, records, numbers)


def _separator(text: str) -> str:
    """What separates the cells of the first line that holds something."""
    first = next((line for line in io.StringIO(text) if line.strip()), "")

    def fit(separator: str) -> tuple[int, int]:
        try:
            names = [name.strip() for name in next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])]
        except csv.Error:
            return (0, 0)
        return (len(set(names) & set(REQUIRED)), len(names))

    return max(_SEPARATORS, key=fit)


def _table(header: list[str], records: list[list[str]], numbers: list[int]) -> Rows:
    problems = []
    twice = sorted(name for name, count in Counter(header).items() if name and count > 1)
    if twice:
        rule = "columns must have different names"
        problems.append(Problem(rule=rule, place="columns", found=(twice,)))
    width = len(header)
    for number, record in zip(numbers, records, strict=True):
        if len(record) > width and any(map(str.strip, record[width:])):
            rule = f"row must not have more cells than the header, which has {width}"
            hint = "a cell that holds the separator must be quoted"
            problems.append(Problem(rule=rule, line=number, found=(len(record),), hint=hint))
    cells = itertools.islice(itertools.zip_longest(*records, fillvalue=""), width)
    columns = [*cells, *[("",) * len(records)] * width][:width]
    found = dict(reversed(list(zip(header, columns, strict=True))))
    names = [name for name in dict.fromkeys(header) if name]
    index = pd.Index(numbers, dtype="int64")
    table = pd.DataFrame({name: pd.array(found[name], dtype="string") for name in names}, index=index)
    return Rows(table=table, unit="line", problems=tuple(problems))


def _parquet(manifest: Path, most: int | None) -> Rows:
    rows = read_parquet(manifest, file=manifest)
    rows = rows if most is None else rows.slice(0, most)
    columns = {
        name: pd.array([_text(value) for value in column.to_pylist()], dtype="string")
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    }
    return Rows(table=pd.DataFrame(columns, index=pd.RangeIndex(1, rows.num_rows + 1)), unit="row")


def _text(value: object) -> str | None:
    """A cell as a person would write it in CSV; pandas makes labels floating-point where some are missing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return None if value != value else f"{value:.0f}" if value.is_integer() else str(value)
    return str(int(value)) if isinstance(value, (bool, int)) else str(value)


def _clean(column: pd.Series) -> pd.Series:
    text = column.str.strip()
    if column.name != "path":  # names of files are what they are
        foreign = ~text.fillna("").map(str.isascii).astype(bool)
        if foreign.any():
            text = text.mask(foreign, text[foreign].map(lambda value: unicodedata.normalize("NFC", value)))
    return text.mask(text.isin(list(EMPTY)))
