"""From a scaling file to a graph of tasks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scanproof.data.cohort import SPLITS
from scanproof.errors import ScanproofError
from scanproof.scaling.definition import SearchPlan, Sweep, TaskPlan, check_examples
from scanproof.scaling.kinds import KINDS
from scanproof.study.data_plans import DemoData
from scanproof.study.fingerprint import method_version
from scanproof.study.kinds import add_kinds
from scanproof.study.plan import Task
from scanproof.study.sources import CohortSource, demo_sources, site_sources
from scanproof.transforms import SHIFTS

add_kinds(KINDS)


@dataclass(frozen=True)
class Cell:
    """One network of a sweep.

    Args:
        task: name of the task.
        examples: size of its training set.
        width: of the network.
        seed: of its training.
        training: the task that trains it.
        test: the task that measures it.
    """

    task: str
    examples: int
    width: int
    seed: int
    training: Task
    test: Task


@dataclass(frozen=True)
class SweepPlan:
    """All tasks of a sweep.

    Args:
        tasks: every task once, inputs before those who read them.
        cohorts: site to its cohort task.
        cells: one a network, in the order of the file.
    """

    tasks: Sequence[Task]
    cohorts: Mapping[str, Task]
    cells: Sequence[Cell]

    @property
    def wanted(self) -> tuple[Task, ...]:
        """Tasks whose results are read."""
        return tuple({task.key: task for cell in self.cells for task in (cell.training, cell.test)}.values())


def make_plan(sweep: Sweep, *, site_key: bytes = b"", device: str = "cpu") -> SweepPlan:
    """Lay out a sweep's tasks.

    Args:
        sweep: the definition.
        site_key: key of the subjects' pseudonyms (local data only).
        device: where networks are trained; it is no part of what is asked for.

    Raises:
        ScanproofError: a manifest that breaks a rule, fewer training examples than the largest set has.
    """
    common: dict[str, object] = {"seed": sweep.seed, "threads": sweep.compute.threads}
    cohorts = {
        source.site: Task("cohort", {**common, **source.params}, local={"paths": dict(source.paths)})
        for source in _sources(sweep, site_key)
    }
    planner = _Planner(sweep, common, tuple(cohorts.values()), device)
    cells = [
        planner.cell(plan, examples, width, seed)
        for plan, width, examples, seed in itertools.product(sweep.tasks, sweep.widths, sweep.examples, sweep.seeds)
    ]
    trained = [task for cell in cells for task in (*planner.before(cell.training), cell.training, cell.test)]
    tasks = {task.key: task for task in [*cohorts.values(), *trained]}
    return SweepPlan(tasks=list(tasks.values()), cohorts=cohorts, cells=cells)


class _Planner:
    def __init__(self, sweep: Sweep, common: Mapping[str, object], cohorts: tuple[Task, ...], device: str) -> None:
        self.sweep, self.common, self.cohorts = sweep, common, cohorts
        self.local = {"device": device}

    def cell(self, plan: TaskPlan, examples: int, width: int, seed: int) -> Cell:
        """A network: how it is trained and measured."""
        training = self._training(plan, examples, width, seed)
        degraded = {"task": plan.task, "options": plan.options}
        shifts = [[shift.name, severity] for shift in self.sweep.shifts for severity in sorted(shift.severities)]
        params = {**self.common, **degraded, "width": width, "metrics": self.sweep.metrics, "shifts": shifts}
        versions = {str(name): method_version(SHIFTS.location(str(name))) for name, _ in shifts}
        if any(versions.values()):
            params["shift_packages"] = versions
        test = Task("scale_test", params, {"cohorts": self.cohorts, "network": (training,)})
        return Cell(task=plan.name, examples=examples, width=width, seed=seed, training=training, test=test)

    def _training(self, plan: TaskPlan, examples: int, width: int, seed: int) -> Task:
        how = self.sweep.training_of(plan)
        protocol = how.model_dump(mode="json", exclude={"rate"})
        params = {**self.common, "task": plan.task, "options": plan.options, "width": width, "protocol": protocol}
        inputs = {"cohorts": self.cohorts}
        if not isinstance(how.rate, SearchPlan):
            params |= {"examples": examples, "training_seed": seed, "rate": how.rate}
            return Task("scale_train", params, inputs, self.local)
        # one search for all seeds
        size = examples if how.rate.at == "each" else max(self.sweep.examples)
        search = how.rate.model_dump(mode="json", exclude={"at"})
        asked = {**params, "examples": size, "training_seed": self.sweep.seeds[0], "search": search}
        rate = Task("scale_rate", asked, inputs, self.local)
        params |= {"examples": examples, "training_seed": seed, "rate": None}
        return Task("scale_train", params, {**inputs, "rate": (rate,)}, self.local)

    @staticmethod
    def before(training: Task) -> tuple[Task, ...]:
        """What a training reads besides the cohorts."""
        return training.inputs.get("rate", ())


def _sources(sweep: Sweep, site_key: bytes) -> list[CohortSource]:
    """The training sites of the data."""
    if isinstance(sweep.data, DemoData):
        found = demo_sources(sweep.data, adjacent=False)
        return [source for source in found if source.training]
    found = site_sources(sweep.data, seed=sweep.seed, labelled=False, site_key=site_key, adjacent=False)
    sources = [source for source in found if source.training]
    counts = dict.fromkeys(SPLITS, 0)
    for source in sources:
        files: Sequence[Mapping[str, str]] = source.params["files"]  # type: ignore[assignment]
        for file in files:
            counts[file["split"]] += getattr(sweep.data, "slices", 1)  # type: ignore[index]
    for split, count in counts.items():
        if count == 0:
            raise ScanproofError("training sites must have cases in every split", key="data", value=f"none for {split}")
    check_examples(sweep.examples, counts["train"])
    return sources
