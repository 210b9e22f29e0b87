"""A sweep, analysed: what was measured on which axis, the laws that describe it, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.bootstrap import Bootstrap, Estimate
from scanproof.evaluation.table import CLEAN
from scanproof.scaling.axes import Axis, axes_of
from scanproof.scaling.choice import Choice, choose
from scanproof.scaling.envelope import Best, best_widths
from scanproof.scaling.fits.fit import FORMS, SIZES, Form
from scanproof.scaling.flattening import Finding, decide
from scanproof.scaling.intervals import Law, law, point_estimates
from scanproof.scaling.ladder import Draw, Ladder, ladder
from scanproof.scaling.table import SWEEP, conditions


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How one metric of one task goes with the number of examples.

    Attributes:
        task: of the sweep.
        data: of the sweep.
        shift: condition; of a shift the mean over its severities.
        axis: of the metric.
        best: the width of each number of examples.
        ladder: what these networks measure on test cases.
        points: the same with intervals, in units of the axis.
        laws: by form, those that the number of sizes allows.
        choice: between them.
        finding: what they say of the claim.
    """

    task: str
    data: str
    shift: str
    axis: Axis
    best: tuple[Best, ...]
    ladder: Ladder
    points: Estimate
    laws: dict[Form, Law]
    choice: Choice
    finding: Finding

    @property
    def chosen(self) -> Law:
        """The law of the chosen form."""
        return self.laws[self.choice.form]


def sweeps(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Task, data and rows of each sweep of a table."""
    for (task, data), rows in table.groupby(list(SWEEP), sort=True):
        yield str(task), str(data), rows


def analyse_table(
    table: pd.DataFrame,
    *,
    bootstrap: Bootstrap,
    axes: Sequence[str] = (),
    draw: Draw = "training",
    on_curve: Callable[[str], None] = lambda _: None,
) -> list[Scaling]:
    """Analyse all sweeps of a table under all conditions, on the axes asked for.

    Args:
        table: of one or several sweeps, as :func:`~scanproof.scaling.table.checked_sweep` gives it.
        bootstrap: of the intervals.
        axes: names; all that the metrics allow where none is given.
        draw: see :meth:`~scanproof.scaling.ladder.Ladder.samples`.
        on_curve: is told what is analysed next.

    Raises:
        ScanproofError: an axis that the table has no metric for; as :func:`analyse`.
    """
    possible = {axis.name: axis for axis in axes_of(table["metric"].unique())}
    if not possible:
        raise ScanproofError(
            "sweep must have mse, nrmse, psnr or ssim", key="metric", value=sorted(set(table["metric"]))
        )
    for name in axes:
        if name not in possible:
            raise unknown_name("axis of this sweep", name, possible, key="axis")
    found = []
    for task, data, rows in sweeps(table):
        for shift in conditions(rows):
            for axis in (possible[name] for name in axes or possible):
                if axis.metric not in set(rows["metric"]):
                    continue
                on_curve(f"{task}, {axis.label}, {shift}")
                found.append(analyse(rows, axis, task=task, data=data, shift=shift, bootstrap=bootstrap, draw=draw))
    return found


def analyse(
    rows: pd.DataFrame,
    axis: Axis,
    *,
    task: str,
    data: str,
    bootstrap: Bootstrap,
    shift: str = CLEAN,
    draw: Draw = "training",
) -> Scaling:
    """Analyse one sweep on one axis.

    The width is chosen on clean validation cases, for every condition the same.

    Args:
        rows: of one task and data set.
        axis: what to hold against the number of examples.
        task: of the sweep.
        data: of the sweep.
        bootstrap: of the intervals.
        shift: condition of the test cases.
        draw: see :meth:`~scanproof.scaling.ladder.Ladder.samples`.

    Raises:
        ScanproofError: fewer than three numbers of examples, or cases that are missing.
    """
    best = tuple(best_widths(rows, axis))
    measured = ladder(rows, axis, [(one.examples, one.width) for one in best], shift=shift)
    choice = choose(measured)
    laws = {
        form: law(measured, form, bootstrap=bootstrap, draw=draw)
        for form in FORMS
        if len(measured.sizes) >= SIZES[form]
    }
    return Scaling(
        task=task,
        data=data,
        shift=shift,
        axis=axis,
        best=best,
        ladder=measured,
        points=point_estimates(measured, bootstrap=bootstrap, draw=draw),
        laws=laws,
        choice=choice,
        finding=decide(choice, laws),
    )
