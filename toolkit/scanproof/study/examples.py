"""Example images of a finished study, read from the store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scanproof.data.cohort import Cohort
from scanproof.data.labels import label_columns
from scanproof.evaluation.table import CLEAN
from scanproof.reporting.curves import extract_curves
from scanproof.reporting.model import ImagePanel
from scanproof.reporting.ranking import rank_chains
from scanproof.reporting.sections.misread import misread_cases
from scanproof.reporting.sections.operating import called
from scanproof.study.plan import Plan, Task
from scanproof.study.store import Store
from scanproof.study.tasks.cohort import read_cohort
from scanproof.study.tasks.images import read_images

#: misread cases that are pictured
PICTURED = 4


def image_panels(plan: Plan, store: Store) -> list[ImagePanel]:
    """For each shift at its highest severity, one case of the first training site in every reconstruction.

    The case is the first with a positive label (the first of all where there are no labels). The disturbed image
    is the fully sampled reconstruction under the shift, or the study's first method where there is none.
    """
    tests = [task for task in plan.reconstructions if task.params["split"] == "test"]
    trained = [_site(cohort) for task in plan.fits for cohort in task.inputs["cohorts"]]
    site = trained[0] if trained else _site(tests[0].inputs["cohort"][0])
    tests = [task for task in tests if _site(task.inputs["cohort"][0]) == site]
    cohort = _test_cohort(store, plan.cohorts[site])
    positive = np.flatnonzero(cohort.cases[label_columns(cohort.cases)].eq(1).any(axis=1))
    case = int(positive[0]) if len(positive) else 0
    panels = []
    for shift in dict.fromkeys(str(task.params["shift"]) for task in tests):
        chosen = _most_severe([task for task in tests if task.params["shift"] == shift])
        title = "no shift" if shift == CLEAN else f"{shift.replace('_', ' ')}, severity {_severity(chosen[0])}"
        panels += [_panel(store, task, chosen, case, title=title) for task in _one_acceleration(chosen)]
    return panels


def failure_panels(
    plan: Plan, store: Store, results: pd.DataFrame, predictions: pd.DataFrame, *, sensitivity: float
) -> list[ImagePanel]:
    """The cases that shift misleads the best chain about most, under the shift that does so most often.

    Each is shown at the highest severity of that shift; of a volume, its middle slice.

    Args:
        plan: of the study.
        store: where it ran.
        results: results table.
        predictions: per-case probabilities.
        sensitivity: of the operating points.
    """
    best = rank_chains(results, extract_curves(results)).chains[0].chain
    if best.classifier is None:
        return []
    panels = []
    for one in misread_cases(called(predictions, chain=best, sensitivity=sensitivity), most=PICTURED):
        tests = [
            task
            for task in plan.reconstructions
            if _site(task.inputs["cohort"][0]) == one.site and task.params["shift"] == one.shift
        ]
        chosen = _most_severe(tests)
        task = next(
            task
            for task in chosen
            if (task.params["reconstruction"], task.params["acceleration"]) == (best.reconstruction, best.acceleration)
        )
        case = _slice(_test_cohort(store, chosen[0].inputs["cohort"][0]), one.case)
        wrong = f"{one.wrong} of {one.readings} readings wrong"
        panels.append(_panel(store, task, chosen, case, title=f"{one.case}, {wrong}"))
    return panels


def _panel(store: Store, task: Task, alike: Sequence[Task], case: int, *, title: str) -> ImagePanel:
    """One case as a task reconstructs it, beside what the others of the same condition make of it."""
    # subjects that are rendered again are their own reference
    reference = _test_cohort(store, task.inputs["cohort"][0]).images[case, 0]
    disturbed = next((other for other in alike if other.params["method"] == "fully_sampled"), alike[0])
    image = _image(store, task, case)
    return ImagePanel(
        title=title,
        site=_site(task.inputs["cohort"][0]),
        shift=str(task.params["shift"]),
        severity=_severity(task),
        reconstruction=str(task.params["reconstruction"]),
        images={
            "reference": reference,
            "artifact": _image(store, disturbed, case),
            "reconstruction": image,
            "error": np.abs(image - reference),
        },
    )


def _test_cohort(store: Store, task: Task) -> Cohort:
    return read_cohort(store.get(task.key)).select("test")


def _slice(cohort: Cohort, case: str) -> int:
    """Row of a case, or of the middle slice of a volume."""
    names = cohort.cases["case"].astype(str)
    rows = np.flatnonzero((names == case) | (names.str.rpartition("-")[0] == case))
    return int(rows[len(rows) // 2])


def _site(cohort: Task) -> str:
    return str(cohort.params["site"])


def _severity(task: Task) -> int:
    return int(str(task.params["severity"]))


def _most_severe(tasks: Sequence[Task]) -> list[Task]:
    highest = max(map(_severity, tasks))
    return [task for task in tasks if _severity(task) == highest]


def _one_acceleration(tasks: Sequence[Task]) -> list[Task]:
    """The highest acceleration of each method: what it does to an image shows best there."""
    best: dict[str, Task] = {}
    for task in tasks:
        name = str(task.params["reconstruction"])
        if name not in best or float(str(task.params["acceleration"])) > float(str(best[name].params["acceleration"])):
            best[name] = task
    return list(best.values())


def _image(store: Store, task: Task, case: int) -> np.ndarray:
    image: np.ndarray = read_images(store.get(task.key))[case, 0]
    return image
