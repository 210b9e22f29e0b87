"""What a person sees of a search on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from scanproof.tuning.search import Search
from scanproof.tuning.trials import Record, State, text

if TYPE_CHECKING:
    from rich.table import Table

    from scanproof.tuning.run import Tuned


class TrialLines:
    """A line on standard error for everything that happens.

    Args:
        name: stands before every line.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = time.monotonic()

    def stage(self, what: str) -> None:
        """Something besides trials begins."""
        print(f"{self.name} [{time.monotonic() - self.began:6.1f} s] {what}", file=sys.stderr, flush=True)

    def trial(self, search: Search, record: Record) -> None:
        """A trial is finished."""
        self.stage(trial_line(search, record))


def trial_line(search: Search, record: Record) -> str:
    """A trial in one line.

    Args:
        search: that it belongs to.
        record: the trial.
    """
    values = zip(search.objectives.names, record.values or (), strict=False)
    said = [f"{name} {value:.4g}" for name, value in values]
    if record.seconds is not None and not search.objectives.seconds:
        said.append(f"{record.seconds:.2f} s a slice")
    if record.state is not State.COMPLETE:
        said = [f"{record.state}: {record.reason}" if record.reason else str(record.state)]
    return f"trial {record.number}: {', '.join(said)}"


def show(tuned: Tuned) -> None:
    """Print what a search found, and where it lies."""
    from rich.console import Console

    from scanproof.tracking.uri import redact
    from scanproof.tuning.track import experiment_name

    console = Console()
    # a table's own title is as narrow as the table
    console.print(
        f"Best settings of {tuned.search.settings.method}: trial {tuned.ranking.best.number}", highlight=False
    )
    console.print(settings_table(tuned))
    places: list[tuple[str, object]] = [("Preset", tuned.preset), ("Page", tuned.page), ("Trials", tuned.table)]
    if tuned.tracking_uri is not None:
        places.append(("MLflow", f"experiment {experiment_name(tuned.search.study)} in {redact(tuned.tracking_uri)}"))
    for what, place in places:
        console.print(f"{what:<8} {place}", soft_wrap=True, highlight=False, markup=False)


def settings_table(tuned: Tuned) -> Table:
    """The best settings beside those that the search started from, changed ones in bold."""
    from rich.markup import escape
    from rich.table import Table

    search, ranking = tuned.search, tuned.ranking
    table = Table()
    table.add_column("", no_wrap=True)
    table.add_column("start", justify="right", no_wrap=True)
    table.add_column("best", justify="right", no_wrap=True)
    for name, value in zip(search.objectives.names, ranking.best.values or (), strict=True):
        before = dict(zip(search.objectives.names, ranking.start.values or (), strict=True)) if ranking.start else {}
        table.add_row(name, f"{before[name]:.4g}" if name in before else "–", f"{value:.4g}")
    table.add_section()
    for name in search.settings.space:
        start, best = text(search.settings.start[name]), text(ranking.best.options[name])
        table.add_row(name, escape(start), escape(best), style="bold" if start != best else "")
    return table
