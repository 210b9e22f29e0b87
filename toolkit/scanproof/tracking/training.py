"""Trainings as MLflow runs: live while MONAI trains, or afterwards from their stored history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.metrics import Point, part
from scanproof.tracking.model import TrainingRecord
from scanproof.tracking.params import flatten
from scanproof.tracking.runs import KIND, TASK, discard, find_runs, log_params, log_points, open_run
from scanproof.tracking.uri import check_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from scanproof.tracking.handler import TrainingHandler


def training_handler(
    uri: str,
    *,
    experiment: str,
    record_key: str,
    name: str,
    params: Mapping[str, object],
    artifact_root: Path | None = None,
) -> TrainingHandler:
    """A MONAI handler that logs a training epoch by epoch as a run of the study's experiment.

    Nothing that happens to MLflow stops the training: after the first error, which is logged as a warning, the
    handler does nothing more, and :func:`log_training` can log the whole history later.

    Args:
        uri: tracking URI.
        experiment: name of the experiment, which is the name of the study.
        record_key: hash of the training task.
        name: name of the run.
        params: settings of the training.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        A handler whose ``attach`` takes the trainer and, where metrics of its own are wanted, the evaluator.

    Raises:
        ScanproofError: a URI that MLflow does not accept.
    """
    uri = check_uri(uri)
    from scanproof.tracking.handler import TrainingHandler

    return TrainingHandler(
        uri, experiment=experiment, key=record_key, name=name, params=flatten(params), artifact_root=artifact_root
    )


def log_training(
    records: Sequence[TrainingRecord], uri: str, *, experiment: str, artifact_root: Path | None = None
) -> dict[str, str]:
    """Log every training that has no finished run yet, e.g. because its result came from the store.

    What killed or broken trainings left is deleted, as MLflow deletes: until ``mlflow gc``. A run that was logged live
    gets the hash of its model, which is known only afterwards.

    Args:
        records: the trainings.
        uri: tracking URI.
        experiment: name of the experiment.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        Key of each training to the id of its finished run.

    Raises:
        ScanproofError: the database or server cannot be used, or refuses a run.
    """
    experiment_id = prepare(uri, experiment=experiment, artifact_root=artifact_root)
    with connect(uri) as client:
        return log_records(client, experiment_id, records)


def log_records(client: MlflowClient, experiment_id: str, records: Sequence[TrainingRecord]) -> dict[str, str]:
    """:func:`log_training` for a client and an experiment that exist."""
    found = find_runs(client, experiment_id, {KIND: "training"}) if records else []
    logged: dict[str, str] = {}
    for record in records:
        if record.key in logged:
            continue
        runs = [run for run in found if run.data.tags.get(TASK) == record.key]
        finished = next((run for run in runs if run.info.status == "FINISHED"), None)
        discard(client, [run for run in runs if run is not finished])
        if finished is None:
            logged[record.key] = _log_record(client, experiment_id, record)
            continue
        logged[record.key] = finished.info.run_id
        for key, value in _late_tags(record).items():
            if finished.data.tags.get(key) != value:
                client.set_tag(finished.info.run_id, key, value)
    return logged


def history_points(history: pd.DataFrame) -> list[Point]:
    """Metrics of a history, with the epoch as step.

    Example:
        >>> history_points(pd.DataFrame({"epoch": [1, 2], "auroc": [float("nan"), 0.8]}))
        [Point(key='auroc', value=0.8, step=2)]
    """
    points = []
    for column in history.columns.drop("epoch"):
        for epoch, value in zip(history["epoch"], history[column], strict=True):
            if not pd.isna(value):
                points.append(Point(part(column), float(value), int(epoch)))
    return points


def _log_record(client: MlflowClient, experiment_id: str, record: TrainingRecord) -> str:
    tags = {KIND: "training", TASK: record.key, **_late_tags(record)}
    with open_run(client, experiment_id, name=record.name, tags=tags) as run_id:
        log_params(client, run_id, flatten(record.params))
        log_points(client, run_id, history_points(record.history))
    return run_id


def _late_tags(record: TrainingRecord) -> dict[str, str]:
    return {"scanproof.trained": record.kind, "model_sha256": record.model_sha256}
