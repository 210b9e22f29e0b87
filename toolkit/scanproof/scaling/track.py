"""A sweep as MLflow runs: one for the sweep, and nested in it one for each task and width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.metrics import Point, part
from scanproof.tracking.params import flatten
from scanproof.tracking.runs import KIND, discard, find_runs, log_params, log_points, open_run

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_sweep(
    results: pd.DataFrame,
    *,
    experiment: str,
    description: str,
    lock: Mapping[str, Any],
    files: Sequence[Path],
    uri: str,
    artifact_root: Path | None = None,
) -> str:
    """Log a sweep; one that is logged already with the same definition and measurements is left as it is.

    The sweep's run holds its definition as parameters, hashes as tags and the files. A nested run, one a task and
    width, holds curves whose step is the number of training examples: the mean over seeds and cases of each metric,
    as ``val/<metric>``, ``test/<metric>`` and ``<shift>_<severity>/<metric>``, and ``seconds`` of a training.

    Args:
        results: the table of :func:`scanproof.scaling.results.results_table`.
        experiment: its name.
        description: shown with the experiment.
        lock: content of the lock file.
        files: artifacts of the sweep's run.
        uri: tracking URI.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        Id of the sweep's run.

    Raises:
        ScanproofError: the database or server cannot be used, or refuses a run.
    """
    experiment_id = prepare(uri, experiment=experiment, artifact_root=artifact_root)
    identity = {name: str(lock[name]) for name in ("definition_sha256", "measures_sha256")}
    tags = {KIND: "scaling", **identity}
    with connect(uri) as client:
        client.set_experiment_tag(experiment_id, "mlflow.note.content", description)
        runs = find_runs(client, experiment_id, tags)
        finished = [run for run in runs if run.info.status == "FINISHED"]
        if finished:
            return str(finished[0].info.run_id)
        discard(client, runs)
        data = {f"data_sha256/{part(site)}": digest for site, digest in lock["data_sha256"].items()}
        tags |= {"code_version": str(lock["code_version"]), **data}
        with open_run(client, experiment_id, name=experiment, tags=tags) as parent:
            log_params(client, parent, flatten(lock["definition"]))
            for file in files:
                client.log_artifact(parent, str(file))
            for _, rows in results.groupby(["task", "width"], sort=True):
                _log_curves(client, experiment_id, rows, parent, identity)
    return parent


def _log_curves(
    client: MlflowClient,
    experiment_id: str,
    rows: pd.DataFrame,
    parent: str,
    identity: Mapping[str, str],
) -> None:
    facts = {name: str(rows[name].iloc[0]) for name in ("task", "width", "parameters")}
    tags = {KIND: "scaling-curve", **facts, **identity}
    name = f"{facts['task']} / width {facts['width']}"
    with open_run(client, experiment_id, name=name, tags=tags, parent=parent) as run_id:
        log_params(client, run_id, facts)
        log_points(client, run_id, curve_points(rows))


def curve_points(rows: pd.DataFrame) -> list[Point]:
    """Means over seeds and cases, with the number of training examples as step.

    Args:
        rows: of one task and width.
    """
    keys = ["split", "shift", "severity", "metric", "examples"]
    means = rows.groupby(keys, sort=True)["value"].mean().reset_index()
    points = []
    for row in means.to_dict("records"):
        place = row["split"] if row["shift"] == "none" else f"{part(row['shift'])}_{row['severity']}"
        points.append(Point(f"{place}/{row['metric']}", float(row["value"]), int(row["examples"])))
    times = rows.drop_duplicates(["examples", "seed"]).groupby("examples", sort=True)["seconds"].mean().reset_index()
    points += [Point("seconds", float(row["seconds"]), int(row["examples"])) for row in times.to_dict("records")]
    return points
