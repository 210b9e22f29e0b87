"""Tables as CSV for people, who open them in a spreadsheet: a name that somebody else chose must not be computed."""

from __future__ import annotations

import re

import pandas as pd

# what spreadsheets take for a formula: the first character decides, also behind blanks
_FORMULA = re.compile(r"\s*[=+\-@]|\t")


def spreadsheet_csv(table: pd.DataFrame, *, float_format: str | None = None) -> str:
    """A table as CSV, in which text that a spreadsheet would take for a formula begins with an apostrophe.

    That is how spreadsheets mark text themselves. Numbers stay as they are, also negative ones; programs should read
    the Parquet files, which hold every name as it was given.

    Args:
        table: without its index.
        float_format: of numbers that are no whole ones, as ``%`` takes it.

    Example:
        >>> print(spreadsheet_csv(pd.DataFrame({"site": ["north", "=1+1"], "change": [-0.5, 0.25]})), end="")
        site,change
        north,-0.5
        '=1+1,0.25
    """
    safe = table.rename(columns=_as_text)
    for place, kind in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(place, safe.iloc[:, place].map(_as_text, na_action="ignore").array)
    return str(safe.to_csv(index=False, float_format=float_format, lineterminator="\n"))


def _as_text(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    line = re.sub(r"[\r\n]+", " ", cell)  # or a reader would begin a row in the middle of it
    return f"'{line}" if _FORMULA.match(line) else line
