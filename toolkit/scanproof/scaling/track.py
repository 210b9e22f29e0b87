"""A sweep as MLflow runs: one for the sweep, nested in it one for each task, and in these one for each width."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.evaluation.bootstrap import Estimate
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.scaling.analysis import Scaling, sweeps
from scanproof.scaling.envelope import best_widths
from scanproof.scaling.findings import first_axis, headline, robustness_sentences, sweep_sentences
from scanproof.scaling.frames import fit_table, point_table, robustness_table, verdict_table
from scanproof.scaling.report import SweepReport, figures
from scanproof.scaling.robustness import Robustness
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.logged import data_inputs, log_frame
from scanproof.tracking.metrics import Point, part
from scanproof.tracking.model import TrainingRecord
from scanproof.tracking.params import flatten
from scanproof.tracking.runs import KIND, discard, find_runs, log_params, log_points, open_run
from scanproof.tracking.training import log_records
from scanproof.tracking.views import sweep_views

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_sweep(
    report: SweepReport,
    folder: Path,
    *,
    cohorts: Mapping[str, pd.DataFrame],
    trainings: Sequence[TrainingRecord],
    uri: str,
    artifact_root: Path | None = None,
) -> str:
    """Log a sweep; one that is logged already with the same definition and measurements is left as it is.

    ======================== ============================================================================
    run                      holds
    ======================== ============================================================================
    sweep                    its definition as parameters, hashes and verdicts as tags, exponents of each
                             task with their intervals (``<axis>/exponent.<task>``), data sets, tables,
                             figures, report, lock file and results
    task, in it              verdict, chosen form, best width and robustness as tags, the parameters of the chosen
                             laws with their intervals (``<axis>/exponent``), and the curve of the best widths
    width, in its task       curves of :func:`curve_points`
    training                 each network's history, and the hash of its weights; what was logged while it was
                             trained is left as it is
    ======================== ============================================================================

    The step of a curve is the number of training examples, that of a training its round.

    Args:
        report: with a lock file.
        folder: where the files of the sweep lie.
        cohorts: site to its case table.
        trainings: every network.
        uri: tracking URI.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        Id of the sweep's run.

    Raises:
        ScanproofError: the database or server cannot be used, or refuses a run.
    """
    lock = report.lock
    experiment_id = prepare(uri, experiment=report.title, artifact_root=artifact_root)
    identity = {name: str(lock[name]) for name in ("definition_sha256", "measures_sha256")}
    tags = {KIND: "scaling", **identity}
    with connect(uri) as client:
        client.set_experiment_tag(experiment_id, "mlflow.note.content", str(lock["definition"]["description"]))
        log_records(client, experiment_id, trainings)
        _set_views(client, experiment_id, report)
        runs = find_runs(client, experiment_id, tags)
        finished = [run for run in runs if run.info.status == "FINISHED"]
        if finished:
            return str(finished[0].info.run_id)
        discard(client, runs)
        data = {f"data_sha256/{part(site)}": digest for site, digest in lock["data_sha256"].items()}
        tags |= {"code_version": str(lock["code_version"]), **data, **_verdicts(report)}
        tags["mlflow.note.content"] = _note(report)
        with open_run(client, experiment_id, name=report.title, tags=tags) as parent:
            log_params(client, parent, flatten(lock["definition"]))
            log_points(client, parent, [point for one in report.clean for point in law_points(one, named=True)])
            for site, cases in cohorts.items():
                client.log_inputs(parent, datasets=data_inputs(site, cases, digest=lock["data_sha256"][site]))
            _log_files(client, parent, report, folder)
            for task, _, rows in sweeps(report.table):
                _log_task(client, experiment_id, report, task, rows, parent, identity)
    return parent


def _log_task(
    client: MlflowClient,
    experiment_id: str,
    report: SweepReport,
    task: str,
    rows: pd.DataFrame,
    parent: str,
    identity: Mapping[str, str],
) -> None:
    own = [one for one in report.clean if one.task == task]
    robust = [one for one in report.robust if one.task == task]
    tags = {KIND: "scaling-task", "task": task, **identity, **_task_tags(own, robust)}
    with open_run(client, experiment_id, name=task, tags=tags, parent=parent) as run_id:
        log_params(client, run_id, {"task": task})
        log_points(client, run_id, [point for one in own for point in law_points(one)])
        log_points(client, run_id, [point for one in own for point in envelope_points(one)])
        for width, curve in rows.groupby("width", sort=True):
            facts = {"task": task, "width": str(width), "parameters": str(curve["parameters"].iloc[0])}
            name, nested = f"{task} / width {width}", {KIND: "scaling-curve", **facts, **identity}
            with open_run(client, experiment_id, name=name, tags=nested, parent=run_id) as child:
                log_params(client, child, facts)
                log_points(client, child, curve_points(curve))


def curve_points(rows: pd.DataFrame) -> list[Point]:
    """Means over seeds and cases, with the number of training examples as step.

    Args:
        rows: of one task and width.

    Returns:
        ``val/<metric>``, ``test/<metric>`` and ``<shift>_<severity>/<metric>``, and ``seconds`` of a training.
    """
    keys = ["split", "shift", "severity", "metric", "examples"]
    means = rows.groupby(keys, sort=True)["value"].mean().reset_index()
    points = []
    for row in means.to_dict("records"):
        place = row["split"] if row["shift"] == CLEAN else f"{part(row['shift'])}_{row['severity']}"
        points.append(Point(f"{place}/{row['metric']}", float(row["value"]), int(row["examples"])))
    times = rows.drop_duplicates(["examples", "seed"]).groupby("examples", sort=True)["seconds"].mean().reset_index()
    points += [Point("seconds", float(row["seconds"]), int(row["examples"])) for row in times.to_dict("records")]
    return points


def law_points(one: Scaling, *, named: bool = False) -> list[Point]:
    """The parameters of the chosen law as metrics, with ``_lower`` and ``_upper``.

    Args:
        one: an analysis.
        named: put the task into the name, too.
    """
    end = f".{part(one.task)}" if named else ""
    return [
        point
        for name, value in one.chosen.estimates().items()
        for point in _with_interval(f"{one.axis.name}/{name}", value, end=end)
    ]


def envelope_points(one: Scaling) -> list[Point]:
    """The curve of the best widths, ``best/<axis>`` with its interval, and ``best/width``; N is the step."""
    points = []
    for index, best in enumerate(one.best):
        value = Estimate(*(side[index] for side in one.points))
        points += _with_interval(f"best/{one.axis.name}", value, step=best.examples)
        points.append(Point(f"best/{one.axis.name}_width", best.width, best.examples))
    return points


def _with_interval(key: str, value: Estimate, *, end: str = "", step: int = 0) -> list[Point]:
    ends = zip(("", "_lower", "_upper"), value, strict=True)
    return [Point(f"{key}{name}{end}", float(number), step) for name, number in ends if math.isfinite(float(number))]


def _verdicts(report: SweepReport) -> dict[str, str]:
    """Verdicts as tags: of every task and axis, and the best width with the most examples."""
    tags: dict[str, str] = {f"verdict.{part(one.task)}.{one.axis.name}": one.finding.verdict for one in report.clean}
    axis = first_axis(report.found)
    if axis is not None:
        of_axis: list[str] = [one.finding.verdict for one in report.clean if one.axis == axis]
        tags["verdict"] = ", ".join(f"{of_axis.count(name)} {name}" for name in sorted(set(of_axis)))
    for task, _, rows in sweeps(report.table):
        if axis is not None:
            tags[f"best_width.{part(task)}"] = str(best_widths(rows, axis)[-1].width)
    return tags


def _task_tags(found: Sequence[Scaling], robust: Sequence[Robustness]) -> dict[str, str]:
    axis = first_axis(found)
    main = next((one for one in found if one.axis == axis), None)
    if main is None:
        return {}
    tags: dict[str, str] = {f"verdict.{one.axis.name}": one.finding.verdict for one in found}
    tags |= {"verdict": main.finding.verdict, "why": main.finding.why, "form": main.choice.form}
    tags["best_width"] = str(main.best[-1].width)
    own = [one for one in robust if one.axis == axis]
    if own:
        tags["robustness"] = next((one for one in own if one.shift == ALL_SHIFTS), own[0]).effect
    return tags


def _note(report: SweepReport) -> str:
    points = [*sweep_sentences(report.found), *robustness_sentences(report.robust)]
    listed = "\n".join(f"- {text}" for text in points)
    more = (
        "Runs nested in this one hold the tasks, and in these the widths; the step of their curves is the number of "
        "training examples. `report.html` and the tables are among the artifacts."
    )
    return "\n\n".join(text for text in (headline(report.found, report.trainings), listed, more) if text)


def _log_files(client: MlflowClient, run_id: str, report: SweepReport, folder: Path) -> None:
    """Tables that MLflow's pages show, figures, and the files of the sweep."""
    found = report.found
    tables = {
        "verdicts": verdict_table(found),
        "fits": fit_table(found),
        "points": point_table(found),
        "robustness": robustness_table(report.robust),
        "learning_rates": report.searches,
        "trainings": report.trainings,
        "participants": report.participants,
    }
    for name, table in tables.items():
        log_frame(client, run_id, name, table)
    with tempfile.TemporaryDirectory() as scratch:
        for name, (figure, _) in figures(report).items():
            path = Path(scratch) / f"{name}.png"
            figure.savefig(path, dpi=150)
            client.log_artifact(run_id, str(path), "figures")
    for name in ("results.parquet", "scaling.lock.yaml", "report.html"):
        client.log_artifact(run_id, str(folder / name))


def _set_views(client: MlflowClient, experiment_id: str, report: SweepReport) -> None:
    axis, start = first_axis(report.found), int(time.time() * 1000)
    for number, view in enumerate(sweep_views(None if axis is None else axis.name)):
        client.set_experiment_tag(experiment_id, view.tag, view.state(created=start + number))
