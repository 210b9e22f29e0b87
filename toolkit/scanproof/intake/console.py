"""A check as a person reads it in a terminal."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from scanproof.errors import shown
from scanproof.intake.checkup import Checkup

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from scanproof.data.problems import Problem

#: problems, and notes, that are printed; a file that they are written to holds all
MOST: Final = 100
#: plain log lines come at most this often
_SECONDS: Final = 10.0


@contextmanager
def counting(total: int, *, doing: str = "data check", unit: str = "files") -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, plain log lines elsewhere; gives what is to be called after each file."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("reading", total=total)
            yield lambda: progress.advance(bar)
        return
    began = last = time.monotonic()
    count = 0

    def done() -> None:
        nonlocal count, last
        count += 1
        if count == total or time.monotonic() - last >= _SECONDS:
            last = time.monotonic()
            print(f"{doing} [{last - began:6.1f} s] {count}/{total} {unit} read", file=sys.stderr, flush=True)

    yield done


def print_check(found: Checkup, console: Console) -> None:
    """Print problems line by line, then what the files hold.

    Args:
        found: by the check.
        console: to print on.
    """
    for title, problems in (("Problems", found.problems), ("Notes", found.notes)):
        if problems:
            console.print(f"[bold]{title}[/bold]")
            _print_lines(problems, console)
            console.print()
    for part in _tables(found):
        console.print(part)
        console.print()
    for text in (*found.remarks, *found.ready.words):
        console.print(text, markup=False, highlight=False)
    console.print(f"[bold]{verdict(found)}[/bold]", highlight=False)


def line_of(problem: Problem) -> str:
    """A problem in one line: where, which file, what must hold, what was found.

    Example:
        >>> from scanproof.data.problems import Problem
        >>> line_of(Problem(rule="file must exist", line=3, column="path", found=("a.nii",), path="a.nii"))
        'line 3, a.nii: file must exist'
    """
    place = problem.key
    if problem.path is not None:
        place = f"{problem.unit} {problem.line}, {problem.path}" if problem.line is not None else problem.path
    value = f", got {shown(problem.value)}" if problem.found and problem.value != problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return " ".join(f"{f'{place}: ' if place else ''}{problem.rule}{value}{hint}".split())


def verdict(found: Checkup) -> str:
    """The outcome in one sentence."""
    if found.clean:
        notes = f", {len(found.notes)} to look at" if found.notes else ""
        return f"Nothing is wrong with {len(found.files)} files{notes}."
    count = len(found.problems) + len(found.ready.obstacles)
    return f"{count} {'problem' if count == 1 else 'problems'} to solve in {len(found.files)} files."


def _print_lines(problems: Sequence[Problem], console: Console) -> None:
    for problem in problems[:MOST]:
        console.print(f"  {line_of(problem)}", markup=False, highlight=False, soft_wrap=True)
    rest = Counter(problem.rule for problem in problems[MOST:])
    for rule, count in rest.most_common(10):
        console.print(f"  and {count} more: {rule}", markup=False, highlight=False, soft_wrap=True)
    if len(rest) > 10:
        console.print(f"  and {sum(count for _, count in rest.most_common()[10:])} others; --json writes all")


def _tables(found: Checkup) -> Iterator[RenderableType]:
    from rich.markup import escape
    from rich.table import Table

    files = Table(title=f"Files ({found.origin})", title_justify="left")
    for name in ("site", "split"):
        files.add_column(name)
    for name in ("subjects", "files", "unusable", "size"):
        files.add_column(name, justify="right")
    for share in found.shares:
        numbers = (share.subjects, share.files, share.broken or "–", in_bytes(share.size))
        files.add_row(escape(share.site), share.split or "–", *map(str, numbers))
    yield files
    if found.balances:
        labels = Table(title="Labels", title_justify="left")
        for name in ("target", "site", "split"):
            labels.add_column(name)
        for name in ("with", "without", "unknown", "subjects with"):
            labels.add_column(name, justify="right")
        for row in found.balances:
            counts = map(str, (row.positive, row.negative, row.missing or "–", row.subjects))
            labels.add_row(escape(row.target), escape(row.site), row.split or "–", *counts)
        yield labels
    if found.geometries:
        shapes = Table(title="Geometry", title_justify="left", caption="voxel sizes within 2 % count as equal")
        shapes.add_column("site")
        shapes.add_column("format")
        shapes.add_column("matrix, voxel size")
        shapes.add_column("slices", justify="right")
        shapes.add_column("files", justify="right")
        for group in found.geometries[:MOST]:
            low, high = group.slices
            slices = str(low) if low == high else f"{low} to {high}"
            shapes.add_row(escape(group.site), escape(group.format), group.words, slices, str(len(group.rows)))
        yield shapes


def in_bytes(size: float) -> str:
    """A size as a person would write it.

    Example:
        >>> in_bytes(900), in_bytes(2_400_000)
        ('900 B', '2.4 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
