"""Runs by explicit id: opened, filled in batches, found and discarded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from scanproof.owner import this_process
from scanproof.tracking.metrics import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: tag that tells what a run stands for: ``site``, ``all-sites``, ``chain``, ``reconstruction`` or ``training``
KIND = "scanproof.kind"
#: tag of a training run that holds the key of its task
TASK = "scanproof.task"
#: tag that tells which process fills a run, see :mod:`scanproof.owner`
PROCESS = "scanproof.process"

_PARENT = "mlflow.parentRunId"
_SOURCE = {"mlflow.source.name": "scanproof", "mlflow.source.type": "LOCAL"}
# limits of one request to MLflow
_METRICS = 1000
_PARAMS = 100


def create_run(client: MlflowClient, experiment_id: str, *, name: str, tags: Mapping[str, str]) -> Run:
    """A new run of this program."""
    made = {**_SOURCE, PROCESS: json.dumps(this_process())}
    return client.create_run(experiment_id, tags={**made, **tags}, run_name=name)


@contextmanager
def open_run(
    client: MlflowClient, experiment_id: str, *, name: str, tags: Mapping[str, str], parent: str | None = None
) -> Iterator[str]:
    """A run for the length of a block: finished at its end, failed if the block breaks.

    Args:
        client: MLflow client.
        experiment_id: experiment of the run.
        name: what the list of runs shows.
        tags: tags of the run.
        parent: id of the run under which this one is nested.

    Yields:
        Id of the run.
    """
    nested = {} if parent is None else {_PARENT: parent}
    run_id = create_run(client, experiment_id, name=name, tags={**tags, **nested}).info.run_id
    try:
        yield run_id
    except BaseException:
        with suppress(Exception):  # the first error tells more than that its run could not be marked either
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def log_points(client: MlflowClient, run_id: str, points: Sequence[Point]) -> None:
    """Log metrics in as few requests as MLflow allows."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(point.key, point.value, now, point.step) for point in points]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS])


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    """Log parameters in as few requests as MLflow allows."""
    from mlflow.entities import Param

    entities = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(entities), _PARAMS):
        client.log_batch(run_id, params=entities[start : start + _PARAMS])


def find_runs(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> list[Run]:
    """All active runs that carry these tags, the oldest first.

    Values are compared here rather than in MLflow's query language, which cannot quote every text.
    """
    first, value = next(iter(tags.items()))
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id],
            filter_string=f"tags.`{first}` = '{value}'",
            max_results=1000,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        runs += [run for run in page if all(run.data.tags.get(key) == text for key, text in tags.items())]
        token = page.token
        if not token:
            return runs


def discard(client: MlflowClient, runs: Sequence[Run]) -> None:
    """Mark runs that will be logged anew as failed and delete them with the runs nested in them.

    MLflow keeps deleted runs until ``mlflow gc``.
    """
    for run in runs:
        nested = find_runs(client, run.info.experiment_id, {_PARENT: run.info.run_id})
        for old in [*nested, run]:
            if old.info.status == "RUNNING":
                client.set_terminated(old.info.run_id, "FAILED")
            client.delete_run(old.info.run_id)
