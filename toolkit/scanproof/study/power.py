"""What a finished pilot study lets one expect of a larger one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.classification_metrics import auroc
from scanproof.evaluation.statistics.power import Aim, Expected, Goal, Plan, plan_size
from scanproof.evaluation.statistics.simulation import Check, simulate
from scanproof.evaluation.table import CHAIN, CLEAN, PREDICTION_COLUMNS, check_table, conform, predictions_schema
from scanproof.study.definition import Study
from scanproof.study.run import Workspace

if TYPE_CHECKING:
    from rich.table import Table

FloatArray = npt.NDArray[np.float64]

#: what is shown of each goal, with its size and the confidence in percent
_AIMS = {
    "half_width": "one model, to ± {0:g} ({1:g} % interval)",
    "difference": "two models differ, when by {0:g}",
    "margin": "no worse by {0:g}, when equal",
}


def pilot_predictions(study: Study, workspace: Workspace) -> pd.DataFrame:
    """The predictions of a finished study.

    Raises:
        ScanproofError: the study has not been run, has no classification, or its table is damaged.
    """
    file = workspace.folder(study) / "predictions.parquet"
    if not file.is_file():
        raise ScanproofError("study must have been run", file=file, value="no predictions", hint="scanproof run")
    predictions = check_table(
        conform(pd.read_parquet(file), PREDICTION_COLUMNS, name=file.name), predictions_schema(), name=file.name
    )
    if predictions.empty:
        raise ScanproofError("a pilot study must classify", file=file, value="no predictions")
    return predictions


def expected_from(
    predictions: pd.DataFrame, *, reconstruction: str | None = None, otherwise: Expected | None = None
) -> Expected:
    """What a pilot's clean test cases lead to expect.

    Means over sites, targets and models: the AUROC, how much it varies between trainings, and the correlation, by
    normal scores within a class, of slices of a subject and of two models on a slice. Few subjects tell a correlation
    badly: of 20, the error is about 0.2. Few subjects also make trainings look more different than they are.

    Args:
        predictions: the per-case probability table.
        reconstruction: behind which the models read; all of the study without.
        otherwise: what to expect where the pilot does not tell: the spread of a single training, the correlation of a
            single model, the confidence.

    Raises:
        ScanproofError: an unknown reconstruction, no clean test case, or no site with both classes.
    """
    rest = Expected() if otherwise is None else otherwise
    clean = predictions[(predictions["split"] == "test") & (predictions["shift"] == CLEAN)]
    if reconstruction is not None:
        known = sorted(clean["reconstruction"].unique())
        if reconstruction not in known:
            raise unknown_name("reconstruction", reconstruction, known, key="--reconstruction")
        clean = clean[clean["reconstruction"] == reconstruction]
    found: dict[str, list[float]] = {name: [] for name in ("auroc", "variance", "correlation", "intraclass")}
    named = clean.assign(norm=clean["norm"].fillna(""), seed=clean["seed"].fillna(-1))  # a pivot drops missing names
    for _, part in named.groupby(["site", "reconstruction", "acceleration", "target"]):
        table = part.pivot_table(
            index=["subject", "case", "label"], columns=["classifier", "norm", "seed"], values="probability"
        )
        labels = table.index.get_level_values("label").to_numpy(np.int64)
        if len(set(labels)) < 2:
            continue
        scores = _normal_scores(table.to_numpy(np.float64).T, labels)
        areas = pd.Series(auroc(labels, table.to_numpy(np.float64).T)[:, 0], index=table.columns)
        found["auroc"] += areas.tolist()
        by_model = areas.groupby(level=["classifier", "norm"])
        found["variance"] += by_model.var(ddof=1).dropna().tolist()
        models = [np.flatnonzero(by_model.ngroup() == group) for group in range(by_model.ngroups)]
        found["correlation"] += [
            float(np.mean(np.corrcoef(scores[one], scores[other])[: len(one), len(one) :]))
            for one, other in combinations(models, 2)
        ]
        subjects = table.index.get_level_values("subject").to_numpy(object)
        found["intraclass"] += [_intraclass(row, subjects) for row in scores]
    if not found["auroc"]:
        rule = "a pilot study must have clean test cases of both classes"
        raise ScanproofError(rule, file="predictions", key="label")
    cases = clean[["site", "subject", "case"]].drop_duplicates()
    labels_once = clean.drop_duplicates(["site", "subject", "case", "target"])["label"]
    return replace(
        rest,
        auroc=float(np.clip(np.mean(found["auroc"]), 0.51, 0.99)),
        prevalence=float(labels_once.mean()),
        slices=max(round(len(cases) / len(cases[["site", "subject"]].drop_duplicates())), 1),
        intraclass=float(np.clip(np.mean(found["intraclass"]), 0, 1)),
        correlation=float(np.clip(np.mean(found["correlation"] or [rest.correlation]), 0, 0.99)),
        spread=float(np.sqrt(np.mean(found["variance"] or [rest.spread**2]))),
        trainings=int(clean.groupby([*CHAIN], dropna=False)["seed"].nunique(dropna=False).max()),
    )


def expectation(
    given: Mapping[str, float | None], *, pilot: Study | None, root: Path, reconstruction: str | None = None
) -> Expected:
    """What to expect of a study: what is given, else what the pilot tells, else defaults.

    Args:
        given: fields of :class:`~scanproof.evaluation.statistics.power.Expected`, None where not given.
        pilot: a finished study.
        root: folder in which it was run.
        reconstruction: of the pilot.

    Raises:
        ScanproofError: a number outside its range, a reconstruction without a pilot, or an unusable pilot.

    Example:
        >>> expectation({"auroc": 0.9, "slices": None}, pilot=None, root=Path("mlruns")).spread
        0.01
    """
    fields = {name: value for name, value in given.items() if value is not None}
    if pilot is None and reconstruction is not None:
        raise ScanproofError("needs a pilot study", key="--reconstruction", value=reconstruction)
    expected = Expected(spread=0.01)
    if pilot is not None:
        expected = expected_from(
            pilot_predictions(pilot, Workspace(root=root)), reconstruction=reconstruction, otherwise=expected
        )
    return replace(expected, **fields)  # type: ignore[arg-type]


def planned(
    sizes: Mapping[str, Iterable[float]], expected: Expected, *, power: float, simulated: int = 0
) -> list[tuple[Plan, Check | None]]:
    """How large a study must be for each goal, and what simulated studies of that size show.

    Args:
        sizes: of each aim of :class:`~scanproof.evaluation.statistics.power.Goal`; where none is given, 0.05 of each.
        expected: of the study.
        power: of differences and margins.
        simulated: studies to simulate for each goal.

    Raises:
        ScanproofError: as :func:`~scanproof.evaluation.statistics.power.plan_size`.
    """
    goals = [Goal(aim=aim, size=size, power=power) for aim in get_args(Aim) for size in sizes.get(aim, ())]
    goals = goals or [Goal(aim=aim, size=0.05, power=power) for aim in get_args(Aim)]
    plans = [plan_size(goal, expected) for goal in goals]
    return [(plan, simulate(plan, expected, studies=simulated) if simulated else None) for plan in plans]


def power_table(plans: Sequence[tuple[Plan, Check | None]], expected: Expected) -> Table:
    """Goals and what they take, for a console."""
    from rich.table import Table

    checked = any(check is not None for _, check in plans)
    caption = (
        f"expected: AUROC {expected.auroc:.3g}, prevalence {expected.prevalence:.3g}, {expected.slices} slices a "
        f"subject that correlate by {expected.intraclass:.2g}, models by {expected.correlation:.2g}; "
        f"{expected.trainings} trainings whose AUROC has a standard deviation of {expected.spread:.2g}"
    )
    table = Table(title="Subjects that a study needs", caption=caption)
    table.add_column("to show, in AUROC")
    for name in ("power", "subjects", "cases", "standard error", *(("simulated",) if checked else ())):
        table.add_column(name, justify="right")
    for plan, check in plans:
        goal, row = plan.goal, []
        if check is not None:
            width = goal.aim == "half_width"
            row = [f"± {check.half_width:.3f}" if width else f"{100 * check.reached:.0f} % of {check.studies}"]
        share = "" if goal.aim == "half_width" else f"{100 * goal.power:.0f} %"
        numbers = (f"{plan.subjects}", f"{plan.cases}", f"{plan.standard_error:.4f}")
        table.add_row(_AIMS[goal.aim].format(goal.size, 100 * expected.confidence), share, *numbers, *row)
    return table


def _normal_scores(scores: FloatArray, labels: npt.NDArray[np.int64]) -> FloatArray:
    """Scores on the scale of a normal distribution, by their ranks, each class about a mean of 0."""
    normal = stats.norm.ppf((stats.rankdata(scores, axis=1) - 0.5) / scores.shape[1])
    for label in (0, 1):
        normal[:, labels == label] -= normal[:, labels == label].mean(axis=1, keepdims=True)
    return np.asarray(normal, np.float64)


def _intraclass(scores: FloatArray, subjects: npt.NDArray[np.object_]) -> float:
    """Intraclass correlation of a one-way analysis of variance; 0 where no subject has two cases."""
    _, member, sizes = np.unique(subjects.astype(str), return_inverse=True, return_counts=True)
    count, n = len(sizes), len(scores)
    if count < 2 or n == count:
        return 0.0
    means = np.bincount(member, weights=scores) / sizes
    between = (sizes * (means - scores.mean()) ** 2).sum() / (count - 1)
    within = ((scores - means[member]) ** 2).sum() / (n - count)
    size = (n - (sizes**2).sum() / n) / (count - 1)
    return float((between - within) / (between + (size - 1) * within))
