"""What a person sees while a study runs, and its summary at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.markup import escape

from scanproof.evaluation.table import ALL_SITES
from scanproof.study.executor import count_by_kind

if TYPE_CHECKING:
    import pandas as pd
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from scanproof.reporting.vocabulary import Chain, Estimate
    from scanproof.study.plan import Task

#: plain log lines come at most this often
LOG_SECONDS = 10.0


class Reporter(Protocol):
    """Receives what happens in a run."""

    def stage(self, text: str) -> None:
        """Something besides tasks begins."""

    def start(self, tasks: Sequence[Task]) -> None:
        """These tasks will run."""

    def done(self, task: Task) -> None:
        """A task is finished."""


@contextmanager
def show_progress(study: str, *, quiet: bool = False) -> Iterator[Reporter]:
    """Progress bars on a terminal, plain log lines elsewhere; nothing where another process shows it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet:
        yield _Nothing()
        return
    if not console.is_terminal:
        yield _Lines(study)
        return
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield _Bars(study, progress)


class _Nothing:
    def stage(self, text: str) -> None:
        pass

    def start(self, tasks: Sequence[Task]) -> None:
        pass

    def done(self, task: Task) -> None:
        pass


class _Bars:
    def __init__(self, study: str, progress: Progress) -> None:
        self.study = study
        self.progress = progress
        self.bars: dict[str, TaskID] = {}

    def stage(self, text: str) -> None:
        self.progress.console.print(f"[bold]{self.study}[/bold] {text}", highlight=False)

    def start(self, tasks: Sequence[Task]) -> None:
        for kind, count in count_by_kind(tasks).items():
            if count:
                self.bars[kind] = self.progress.add_task(kind.replace("_", " "), total=count)

    def done(self, task: Task) -> None:
        self.progress.advance(self.bars[task.kind])


class _Lines:
    def __init__(self, study: str) -> None:
        self.study = study
        self.began = self.last = time.monotonic()
        self.total: dict[str, int] = {}
        self.finished: dict[str, int] = {}

    def stage(self, text: str) -> None:
        self._print(text)

    def start(self, tasks: Sequence[Task]) -> None:
        self.total = {kind: count for kind, count in count_by_kind(tasks).items() if count}
        self.finished = dict.fromkeys(self.total, 0)
        what = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in self.total.items())
        self._print(f"{len(tasks)} tasks to run: {what}" if tasks else "nothing to compute, all tasks are finished")

    def done(self, task: Task) -> None:
        self.finished[task.kind] += 1
        complete = self.finished == self.total
        if complete or time.monotonic() - self.last >= LOG_SECONDS:
            self.last = time.monotonic()
            parts = (f"{kind.replace('_', ' ')} {self.finished[kind]}/{self.total[kind]}" for kind in self.total)
            self._print(", ".join(parts))

    def _print(self, text: str) -> None:
        print(f"{self.study} [{time.monotonic() - self.began:6.1f} s] {text}", file=sys.stderr, flush=True)


def summary_table(results: pd.DataFrame) -> Table:
    """The five sturdiest chains, or reconstructions where nothing is classified; the best ones where nothing shifts."""
    from rich.table import Table

    from scanproof.reporting.curves import extract_curves
    from scanproof.reporting.ranking import rank_chains
    from scanproof.reporting.vocabulary import metric

    ranking = rank_chains(results, extract_curves(results))
    where = "mean over sites" if ranking.site == ALL_SITES else f"site {ranking.site}"
    shifted = any(ranked.shifted is not None for ranked in ranking.chains)
    name = metric(ranking.metric).label
    table = Table(title=f"Sturdiest chains by {name} under shift ({where})" if shifted else f"Best by {name} ({where})")
    table.add_column("chain", no_wrap=True)
    for column in ("clean", "under shift", "loss") if shifted else ("no shift",):
        table.add_column(column, justify="right", no_wrap=True)
    for ranked in ranking.chains[:5]:
        cells = (_cell(ranked.clean), _cell(ranked.shifted, interval=True), _cell(ranked.loss))
        table.add_row(escape(_short(ranked.chain)), *cells if shifted else cells[:1])
    return table


def claims_table(claims: pd.DataFrame) -> Table:
    """What the results say of a study's claims."""
    from rich.table import Table

    from scanproof.reporting.claims import claim_rows

    table = Table(title="Claims")
    table.add_column("claim")
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in claim_rows(claims):
        interval = f"{row.difference.number(row.digits)} [{row.difference.interval(row.digits)}]"
        table.add_row(escape(row.text), escape(interval), row.verdict)
    return table


def _short(chain: Chain) -> str:
    """A chain in the words of the study file, short enough for a narrow terminal."""
    image = f"{chain.reconstruction} R={chain.acceleration:g}"
    return image if chain.classifier is None else f"{image} {chain.classifier}/{chain.norm}"


def _cell(estimate: Estimate | None, *, interval: bool = False) -> str:
    if estimate is None:
        return "–"
    bounds = "" if not interval or estimate.lower is None else f" [{estimate.lower:.2f}, {estimate.upper:.2f}]"
    return escape(f"{estimate.value:.3f}{bounds}")
