"""A check-up as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from scanproof.doctor.finding import Finding, State

if TYPE_CHECKING:
    from rich.console import Console

_STYLES: Final = {State.OK: "green", State.INFO: "dim", State.WARNING: "yellow", State.PROBLEM: "bold red"}


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print one row a finding, which is one line where no terminal would break it, and the outcome.

    Args:
        findings: of a check-up.
        console: to print on.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("state", no_wrap=True)
    table.add_column("topic", no_wrap=True)
    table.add_column("found", overflow="fold")
    for finding in findings:
        # what was found may hold names of files, which are no markup
        state = Text(finding.state, style=_STYLES[finding.state])
        table.add_row(state, Text(finding.topic), Text(finding.line))
        if not console.is_terminal:
            print(f"{finding.state:<8} {finding.topic:<10} {finding.line}")
    if console.is_terminal:
        console.print(table)
    console.print(verdict(findings), highlight=False)


def verdict(findings: Sequence[Finding]) -> str:
    """The outcome in one sentence.

    Example:
        >>> verdict([Finding("disk", State.OK, "9 GB free"), Finding("store", State.WARNING, "a stranger")])
        'No problem, 1 warning.'
    """
    problems = sum(finding.state is State.PROBLEM for finding in findings)
    warnings = sum(finding.state is State.WARNING for finding in findings)
    said = [f"{problems or 'No'} problem{'s' * (problems > 1)}"]
    said += [f"{warnings} warning{'s' * (warnings > 1)}"] if warnings else []
    return f"{', '.join(said)}."
