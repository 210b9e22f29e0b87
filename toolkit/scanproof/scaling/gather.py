"""What the page of a sweep shows, gathered from the folder that a run has written, or from a table alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.scaling.analysis import analyse_table, sweeps
from scanproof.scaling.axes import axes_of
from scanproof.scaling.fits.fit import SIZES
from scanproof.scaling.ladder import Draw
from scanproof.scaling.report import SweepReport
from scanproof.scaling.robustness import robustness
from scanproof.scaling.table import read_sweep

#: beside the results table of a run
LOCK, SEARCHES, TRAININGS, PARTICIPANTS = (
    "scaling.lock.yaml",
    "learning_rates.csv",
    "trainings.csv",
    "participants.csv",
)


def gather(
    results: Path,
    *,
    bootstrap: Bootstrap,
    command: str,
    axes: Sequence[str] = (),
    draw: Draw | None = None,
    created: str = "",
    on_curve: Callable[[str], None] = lambda _: None,
) -> SweepReport:
    """Analyse the table of a sweep and read what a run has written beside it.

    Sweeps of too few sizes for a power law are shown without one.

    Args:
        results: table of one or several sweeps (parquet), or its folder.
        bootstrap: of the intervals.
        command: that asks for it.
        axes: names; all that the metrics allow where none is given.
        draw: see :meth:`~scanproof.scaling.ladder.Ladder.samples`; default: whole seeds for a sweep that has a lock
            file, as their seeds draw the examples, else trainings.
        created: ISO 8601 date and time for the page.
        on_curve: is told what is analysed next.

    Raises:
        ScanproofError: no such table, or one of no sweep; as :func:`~scanproof.scaling.analysis.analyse_table`.
    """
    table = read_sweep(results)
    folder = results if results.is_dir() else results.parent
    lock = _lock(folder / LOCK)
    drawn: Draw = draw or ("seed" if lock else "training")
    enough = [rows for *_, rows in sweeps(table) if rows["examples"].nunique() >= SIZES["single"]]
    found, robust = [], []
    if enough:
        long = pd.concat(enough)
        found = analyse_table(long, bootstrap=bootstrap, axes=axes, draw=drawn, on_curve=on_curve)
        for task, data, rows in sweeps(long):
            for axis in axes_of(rows["metric"].unique()):
                if not axes or axis.name in axes:
                    robust += robustness(rows, axis, task=task, data=data, bootstrap=bootstrap, draw=drawn)
    return SweepReport(
        title=str(lock.get("scaling", "Scaling laws")),
        table=table,
        found=found,
        robust=robust,
        command=command,
        level=bootstrap.confidence,
        draw=drawn,
        created=created,
        lock=lock,
        searches=_csv(folder / SEARCHES),
        trainings=_csv(folder / TRAININGS),
        participants=_csv(folder / PARTICIPANTS),
    )


def _lock(file: Path) -> Mapping[str, Any]:
    """Content of a lock file; empty where there is none."""
    if not file.is_file():
        return {}
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ScanproofError("lock file must be YAML", file=file, value=str(error)) from error
    if not isinstance(found, dict) or "scaling" not in found:
        raise ScanproofError("lock file must be one of a sweep", file=file, key="scaling")
    return found


def _csv(file: Path) -> pd.DataFrame:
    return pd.read_csv(file) if file.is_file() else pd.DataFrame()
