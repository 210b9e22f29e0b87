"""Files of an analysis and of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scanproof.evaluation.table import CLEAN
from scanproof.reporting.export import write_tables
from scanproof.scaling.analysis import Scaling
from scanproof.scaling.frames import choice_table, enough_table, fit_table, plan_rows, point_table, verdict_table
from scanproof.scaling.page import fit_page, plan_page
from scanproof.scaling.planner import Plan

#: picture of the clean condition, beside the page
FIGURE = "fits.png"


def write_fits(found: Sequence[Scaling], folder: Path, *, title: str, command: str, level: float) -> list[Path]:
    """Write an analysis: the page ``README.md``, the picture ``fits.png`` (clean condition), and four tables as CSV.

    Args:
        found: analyses.
        folder: where to write; made where it is missing.
        title: of the page.
        command: that made them.
        level: coverage of the intervals.

    Returns:
        The files.
    """
    from scanproof.scaling.figure import scaling_figure

    clean = [one for one in found if one.shift == CLEAN] or list(found)
    page = fit_page(found, title=title, command=command, level=level, figure=FIGURE)
    tables = {
        "verdicts": verdict_table(found),
        "fits": fit_table(found),
        "choices": choice_table(found),
        "points": point_table(found),
    }
    written = write_tables(folder, tables=tables, page=page)
    scaling_figure(clean).savefig(folder / FIGURE, dpi=150, metadata={"Software": None})
    return [*written, folder / FIGURE]


def write_plans(plans: Sequence[Plan], folder: Path, *, title: str, command: str, level: float) -> list[Path]:
    """Write plans: the page ``README.md``, and two tables as CSV. See :func:`write_fits`."""
    page = plan_page(plans, title=title, command=command, level=level)
    return write_tables(folder, tables={"doublings": plan_rows(plans), "enough": enough_table(plans)}, page=page)
