"""What is wrong with a site's data, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from scanproof.errors import ScanproofError, shown

#: what a manifest counts its rows in: lines of a text file, rows of a table
Unit = Literal["line", "row"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A rule that is broken, and where.

    Args:
        rule: what must hold.
        line: of the manifest, the header being line 1; None where the problem is not about one row.
        column: of the manifest.
        found: what stands there, at most one value; empty where that says nothing.
        hint: the next step.
        place: says where in other words than line and column do.
        path: the file that it is about, as the manifest names it.
        unit: what ``line`` counts.

    Example:
        >>> problem = Problem(rule="split must be one of train, val, test", line=3, column="split", found=("tset",))
        >>> print(problem.error(Path("cohort.csv")))
        cohort.csv: line 3, split: split must be one of train, val, test, got 'tset'
    """

    rule: str
    line: int | None = None
    column: str | None = None
    found: tuple[object, ...] = ()
    hint: str | None = None
    place: str | None = None
    path: str | None = None
    unit: Unit = "line"

    @property
    def value(self) -> object:
        """What was found; None where that says nothing."""
        return self.found[0] if self.found else None

    @property
    def key(self) -> str | None:
        """Where it is, in words."""
        row = None if self.line is None else f"{self.unit} {self.line}"
        return self.place or ", ".join(part for part in (row, self.column) if part) or None

    def error(self, file: Path | str | None) -> ScanproofError:
        """The problem as an error about a file."""
        if self.found:
            return ScanproofError(self.rule, file=file, key=self.key, value=self.found[0], hint=self.hint)
        return ScanproofError(self.rule, file=file, key=self.key, hint=self.hint)


def counted_in(problems: Sequence[Problem], unit: Unit) -> list[Problem]:
    """The problems of a manifest whose rows are counted in this unit."""
    return [replace(problem, unit=unit) for problem in problems]


def from_error(error: ScanproofError, *, line: int | None = None, path: str | None = None) -> Problem:
    """The problem that an error about a file tells of; the file's own place on the disk is left out.

    Args:
        error: of a reader.
        line: of the manifest, that names the file.
        path: the file, as the manifest names it.

    Example:
        >>> from_error(ScanproofError("file must hold one image", file="/data/a.tif", key="images", value=3)).value
        3
    """
    said = str(error)
    found = (error.value,) if f", got {shown(error.value)}" in said else ()
    rule = f"{error.key}: {error.rule}" if error.key else error.rule
    return Problem(rule=rule, line=line, column="path", found=found, hint=error.hint, path=path)
