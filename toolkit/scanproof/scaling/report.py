"""A sweep as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import yaml

from scanproof.evaluation.bootstrap import Estimate
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.reporting.embedding import content_policy, page_environment, resource
from scanproof.reporting.notes import DATA_KINDS, KSPACE, NOT_CLINICAL
from scanproof.reporting.sections.vector import Drawing, drawing
from scanproof.reporting.vocabulary import counted, joined, plain, signed
from scanproof.scaling import findings
from scanproof.scaling.analysis import Scaling
from scanproof.scaling.axes import ERRORS, PUBLISHED, Axis
from scanproof.scaling.curves import robustness_figure, width_figure
from scanproof.scaling.figure import COLUMNS, scaling_figure
from scanproof.scaling.flattening import CLAIM
from scanproof.scaling.ladder import Draw
from scanproof.scaling.page import CAUTION, FORM_NAMES, METHOD
from scanproof.scaling.robustness import Robustness

_PACKAGE = "scanproof.scaling"
#: identifier and title of every section, in the order of the page
TITLES = {
    "finding": "Finding",
    "claim": "The claim",
    "tested": "What was tested, on whom",
    "laws": "Scaling laws",
    "widths": "Width of the network",
    "robustness": "Robustness",
    "published": "The published axes",
    "training": "Trainings",
    "numbers": "All numbers",
    "limits": "Limits",
    "glossary": "How to read this",
    "provenance": "Provenance",
}
_SPLITS = {"train": "Training", "val": "Validation", "test": "Test"}


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """Everything that the page of a sweep shows.

    Args:
        title: of the page.
        table: of one or several sweeps.
        found: analyses; none where there are too few sizes.
        robust: what more examples bring under artifacts.
        command: that made the page.
        level: coverage of the intervals.
        draw: what was drawn anew of the trainings.
        created: ISO 8601 date and time; empty to leave it out.
        lock: content of the lock file; empty for a table without one.
        participants: of each site and split; may be empty.
        trainings: how networks were trained; may be empty.
        searches: learning rates that were found; may be empty.
    """

    title: str
    table: pd.DataFrame
    found: Sequence[Scaling]
    robust: Sequence[Robustness]
    command: str
    level: float
    draw: Draw
    created: str = ""
    lock: Mapping[str, Any] = field(default_factory=dict)
    participants: pd.DataFrame = field(default_factory=pd.DataFrame)
    trainings: pd.DataFrame = field(default_factory=pd.DataFrame)
    searches: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def clean(self) -> list[Scaling]:
        """Analyses without artifacts."""
        return [one for one in self.found if one.shift == CLEAN]


def render(report: SweepReport) -> str:
    """The page; the same input gives the same text."""
    filters: dict[str, Callable[..., object]] = {
        "plain": plain,
        "signed": signed,
        "task": findings.task_name,
        "span": _span,
        "form": lambda name: FORM_NAMES[name],
        "short": _short,
    }
    drawings = {name: drawing(figure, words) for name, (figure, words) in figures(report).items()}
    sections = [(name, title) for name, title in TITLES.items() if _shown(name, report, drawings)]
    definition = report.lock.get("definition", {})
    return (
        page_environment(_PACKAGE, filters=filters)
        .get_template("scaling.html.j2")
        .render(
            report=report,
            definition=yaml.safe_dump(dict(definition), sort_keys=False, allow_unicode=True) if definition else "",
            description=definition.get("description", ""),
            warning=NOT_CLINICAL,
            headline=findings.headline(report.found, report.trainings),
            points=[*findings.sweep_sentences(report.found), *findings.robustness_sentences(report.robust)],
            claim=CLAIM,
            method=METHOD,
            caution=CAUTION,
            axis=findings.first_axis(report.found),
            scope=scope(report),
            flow=_flow(report.participants),
            splits=_SPLITS,
            drawings=drawings,
            sections=sections,
            robust=[one for one in report.robust if one.axis == report.robust[0].axis],
            all_shifts=ALL_SHIFTS,
            axes=list(dict.fromkeys(one.axis for one in report.clean)),
            errors=[one for one in report.clean if one.axis in ERRORS],
            published=[one for one in report.clean if one.axis in PUBLISHED],
            trainings=_trainings(report.trainings),
            searches=report.searches.to_dict("records"),
            points_of=_points,
            limits=findings.limits(
                report.found, report.table, trainings=report.trainings, searches=report.searches, data=_data(report)
            ),
            glossary=GLOSSARY,
            style=resource("report.css"),
            policy=content_policy([]),
        )
    )


def figures(report: SweepReport) -> dict[str, tuple[Any, str]]:
    """The pictures of a sweep by name, each a figure with what it shows in words."""
    found: dict[str, tuple[Any, str]] = {}
    for name, axes in (("laws", ERRORS), ("published", PUBLISHED)):
        own = [one for one in report.clean if one.axis in axes]
        if own:
            several = len({one.axis.name for one in own})
            columns = several if several > 1 else COLUMNS
            words = "; ".join(f"{plain(one.task)}, {one.axis.label}: {one.finding.verdict}" for one in own)
            found[name] = (scaling_figure(own, columns=columns), f"Curves against training examples: {words}.")
    axis = findings.first_axis(report.found) or _any_axis(report.table)
    if axis is not None:
        words = (
            f"{axis.label} of every width against training examples. The numbers of the best stand in a table below."
        )
        found["widths"] = (width_figure(report.table, axis), words)
    under = [one for one in report.robust if one.axis == axis]
    if under:
        words = "; ".join(findings.robustness_sentences(under))
        found["robustness"] = (robustness_figure(under, report.clean), f"Errors under artifacts: {words}")
    return found


def scope(report: SweepReport) -> list[str]:
    """What was tested, in sentences."""
    table = report.table
    tasks = [findings.task_name(task) for task in dict.fromkeys(table["task"])]
    sizes = [f"{size}" for size in sorted(table["examples"].unique())]
    widths = [f"{width}" for width in sorted(table["width"].unique())]
    networks = len(table[["task", "data", "examples", "width", "seed"]].drop_duplicates())
    shifts = sorted(plain(shift) for shift in set(table["shift"]) - {CLEAN})
    hours = table.drop_duplicates(["task", "data", "examples", "width", "seed"])["seconds"].sum() / 3600
    said = [
        f"{counted(networks, 'network')} of {counted(len(tasks), 'task')} ({joined(tasks)}): every width "
        f"({joined(widths)}) with every number of training examples ({joined(sizes)}), each from "
        f"{counted(int(table['seed'].nunique()), 'seed')}. Their training took {hours:.2g} processor hours.",
    ]
    if shifts:
        said.append(f"Test images were also disturbed by {counted(len(shifts), 'artifact')}: {joined(shifts)}.")
    return [_data(report), *said]


#: terms and what they mean
GLOSSARY = (
    ("N", "number of training examples; smaller sets lie in larger ones"),
    ("power law", "an error of c · N^exponent, a straight line where both axes are logarithmic"),
    ("broken power law", "two straight lines that meet at a break, sought among all places"),
    ("saturating power law", "a power law towards an asymptote that no number of examples gets below"),
    ("flattening", "how much less the local exponent is at the largest N than at the smallest; 0 for a power law"),
    ("best width", "the width with the best mean on validation cases; test cases take no part in the choice"),
    ("agree", "a form that flattens is chosen, and all intervals say so; see the method"),
    (
        "disagree",
        "more examples do not help, the curve gets steeper, or there is no room for a flattening that matters",
    ),
    ("undecided", "all else"),
    ("ratio", "error under an artifact over the clean error of the same networks on the same cases"),
)


def _shown(name: str, report: SweepReport, drawings: Mapping[str, Drawing]) -> bool:
    if name in ("laws", "widths", "robustness", "published"):
        return name in drawings
    return {
        "claim": bool(report.clean),
        "numbers": bool(report.clean),
        "training": bool(len(report.trainings) or len(report.searches)),
        "provenance": True,
    }.get(name, True)


def _any_axis(table: pd.DataFrame) -> Axis | None:
    measured = set(table["metric"])
    return next((axis for axis in (*ERRORS, *PUBLISHED) if axis.metric in measured), None)


def _data(report: SweepReport) -> str:
    """What the images are."""
    kinds = sorted(set(report.table["data"]))
    said = [DATA_KINDS[kind] for kind in kinds if kind in DATA_KINDS]
    return " ".join([*said, KSPACE["synthetic"]]) if said else f"Data: {joined(kinds)}."


def _flow(participants: pd.DataFrame) -> list[dict[str, Any]]:
    """A row each site with subjects and cases of each split."""
    if participants.empty:
        return []
    return [
        {"site": site, **{row["split"]: row for row in rows.to_dict("records")}}
        for site, rows in participants.groupby("site", sort=True)
    ]


def _trainings(trainings: pd.DataFrame) -> list[dict[str, Any]]:
    """A row each task and number of examples."""
    if trainings.empty:
        return []
    grouped = trainings.assign(cut=trainings["ended"] == "steps").groupby(["task", "examples"], sort=True)
    found = grouped.agg(count=("seed", "size"), cut=("cut", "sum"), steps=("best_step", "median"), rate=("rate", "max"))
    return [{str(name): value for name, value in row.items()} for row in found.reset_index().to_dict("records")]


def _points(one: Scaling) -> list[tuple[Any, Estimate]]:
    """The best width of each number of examples, and what it measures."""
    return [(best, Estimate(*(part[index] for part in one.points))) for index, best in enumerate(one.best)]


def _span(estimate: Estimate, digits: int = 3) -> str:
    """A value and its interval in brackets."""
    value, lower, upper = (signed(float(part), digits) for part in estimate)
    return f"{value} ({lower} to {upper})"


def _short(value: float) -> str:
    return f"{value:.3g}"
