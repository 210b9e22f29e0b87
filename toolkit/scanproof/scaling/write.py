"""Files of an analysis and of a plan."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from scanproof.reporting.export import write_tables
from scanproof.reporting.report import write_page
from scanproof.scaling.frames import (
    choice_table,
    enough_table,
    fit_table,
    plan_rows,
    point_table,
    robustness_table,
    verdict_table,
)
from scanproof.scaling.page import fit_page, plan_page
from scanproof.scaling.planner import Plan
from scanproof.scaling.report import SweepReport, figures, render

#: file of the page
REPORT = "report.html"


def write_report(report: SweepReport, folder: Path) -> Path:
    """Write the page of a sweep, which needs no other file."""
    return write_page(folder / REPORT, render(report))


def write_fits(report: SweepReport, folder: Path) -> list[Path]:
    """Write what was found for a manuscript: ``README.md``, tables as CSV and, in ``figures``, pictures as PNG.

    ========================= =================================================================================
    table                     rows
    ========================= =================================================================================
    ``verdicts.csv``          axes and conditions with the verdict on the claim
    ``fits.csv``              parameters of every form, with intervals
    ``choices.csv``           what speaks for each form
    ``points.csv``            numbers of examples with the best width and what it measures
    ``robustness.csv``        artifacts, where there are any, with the exponents of the error and of its ratio
    ``learning_rates.csv``,   of a sweep that was run here
    ``trainings.csv``,
    ``participants.csv``
    ========================= =================================================================================

    Args:
        report: what was found.
        folder: where to write; made where it is missing.

    Returns:
        The files, the page first.
    """
    found = report.found
    tables = {
        "verdicts": verdict_table(found),
        "fits": fit_table(found),
        "choices": choice_table(found),
        "points": point_table(found),
        "robustness": robustness_table(report.robust),
        "learning_rates": report.searches,
        "trainings": report.trainings,
        "participants": report.participants,
    }
    drawn = figures(report)
    page = fit_page(report, figures={name: f"figures/{name}.png" for name in drawn})
    with tempfile.TemporaryDirectory() as name:
        pictures = [Path(name) / f"{one}.png" for one in drawn]
        for path, (figure, _) in zip(pictures, drawn.values(), strict=True):
            figure.savefig(path, dpi=150, metadata={"Software": None})
        return write_tables(
            folder, tables={key: table for key, table in tables.items() if len(table)}, page=page, figures=pictures
        )


def write_plans(plans: Sequence[Plan], folder: Path, *, title: str, command: str, level: float) -> list[Path]:
    """Write plans: the page ``README.md``, and two tables as CSV. See :func:`write_fits`."""
    page = plan_page(plans, title=title, command=command, level=level)
    return write_tables(folder, tables={"doublings": plan_rows(plans), "enough": enough_table(plans)}, page=page)
