"""The severity table on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scanproof.atlas.measure import Level
from scanproof.atlas.table import SeverityTable, spread
from scanproof.reporting.vocabulary import plain

if TYPE_CHECKING:
    from rich.table import Table


def tracked(names: Sequence[str], *, doing: str) -> Iterator[str]:
    """The names, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(names, description=doing, console=console, disable=not console.is_terminal, transient=True)


def console_table(table: SeverityTable) -> Table:
    """A line each severity; severities that do not change the image more than the one below stand in red."""
    from rich.table import Table

    wrong = table.faults
    shown = Table(title="What the severities do", caption="mean (5th–95th percentile) over images and patterns")
    shown.add_column("shift", no_wrap=True)
    shown.add_column("", justify="right", no_wrap=True)
    shown.add_column("parameters", ratio=1)
    shown.add_column("NRMSE", justify="right", no_wrap=True)
    shown.add_column("SSIM", justify="right", no_wrap=True)
    for level in table.levels:
        if level.severity == 1:
            shown.add_section()
        bad = (level.shift, level.severity) in wrong
        shown.add_row(
            plain(level.shift) if level.severity == 1 else "",
            str(level.severity),
            _parameters(level),
            spread(level.nrmse, digits=2) + (" NOT MONOTONE" if bad else ""),
            spread(level.ssim, digits=2),
            style="bold red" if bad else "",
        )
    return shown


def _parameters(level: Level) -> str:
    return ", ".join(f"{plain(name)} {value:g}" for name, value in level.parameters.items())
