"""The MONAI handler behind :func:`scanproof.tracking.training.training_handler`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanproof.tracking.client import close, environment, import_mlflow
from scanproof.tracking.experiment import artifact_location, prepare
from scanproof.tracking.metrics import Point, part
from scanproof.tracking.runs import KIND, TASK, create_run, find_runs, log_params, log_points
from scanproof.tracking.uri import ENVIRONMENT

import_mlflow()  # before MONAI does it, which would leave its telemetry on
with warnings.catch_warnings():
    # ignite loads a part of PyTorch 2.13 that PyTorch itself calls deprecated
    warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated")
    from ignite.engine import Engine, Events
    from monai.handlers.mlflow_handler import MLFlowHandler

_logger = logging.getLogger(__name__)


class TrainingHandler(MLFlowHandler):
    """MONAI's MLflow handler with a run of its own that always ends, and that never ends the training.

    The differences from MONAI's handler: the given URI counts even where ``MLFLOW_TRACKING_URI`` is set; the run is
    a new one with the task's tag, never an open run of the same name; only metrics of epochs are logged, with the
    epoch as step; epochs that a training had before an interruption, which ``engine.state.history`` holds, are logged
    again, so that its last run has the whole curve; the engine that starts the run finishes it, so that validation
    inside a training does not; if the engine raises, the run is marked as failed; and every error of MLflow is caught.

    Args:
        uri: tracking URI.
        experiment: name of the experiment.
        key: hash of the training task.
        name: name of the run.
        params: parameters of the run.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Attributes:
        broken: an error of MLflow has ended the logging.
    """

    def __init__(
        self,
        uri: str,
        *,
        experiment: str,
        key: str,
        name: str,
        params: Mapping[str, str],
        artifact_root: Path | None = None,
    ) -> None:
        self.broken = False
        self._name, self._key, self._params = name, key, params
        self._run_id = ""
        self._owner: Engine | None = None
        with self._guarded():
            self._experiment_id = prepare(uri, experiment=experiment, artifact_root=artifact_root)
            with environment(**{ENVIRONMENT: None}):
                super().__init__(
                    tracking_uri=uri,
                    iteration_log=False,
                    experiment_name=experiment,
                    run_name=name,
                    artifact_location=artifact_location(uri, experiment, artifact_root),
                )

    def attach(self, engine: Engine) -> None:
        """Register with the events of a trainer or evaluator."""
        if self.broken:
            return
        super().attach(engine)
        if not engine.has_event_handler(self._finish, Events.COMPLETED):
            # an engine that is told to stop may be told not to complete
            engine.add_event_handler(Events.TERMINATE, self._finish)
            engine.add_event_handler(Events.COMPLETED, self._finish)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def start(self, engine: Engine) -> None:
        """Open the run when the first engine starts; a run that a killed training of this task left is closed."""
        if self.broken or self._owner is not None:
            return
        with self._guarded():
            tags = {KIND: "training", TASK: self._key}
            for left in find_runs(self.client, self._experiment_id, tags):
                if left.info.status == "RUNNING":
                    self.client.set_terminated(left.info.run_id, "KILLED")
            run = create_run(self.client, self._experiment_id, name=self._name, tags=tags)
            self._owner, self._run_id = engine, run.info.run_id
            self.cur_run = run  # type: ignore[assignment]  # MONAI declares only that it starts as None
            log_params(self.client, self._run_id, self._params)
            super().start(engine)
            for row in getattr(engine.state, "history", ()):
                self._log_metrics({name: row[name] for name in row if name != "epoch"}, step=int(row["epoch"]))

    def epoch_completed(self, engine: Engine) -> None:
        """Log the metrics of the engine's epoch."""
        if self.broken:
            return
        with self._guarded():
            super().epoch_completed(engine)

    def _log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log what is a single number; a metric of several classes, say, has no place in a curve."""
        points = [Point(part(key), float(value), step or 0) for key, value in metrics.items() if _is_number(value)]
        log_points(self.client, self._run_id, points)

    def _finish(self, engine: Engine) -> None:
        self._end(engine, "FINISHED")

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self._end(engine, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise error  # ignite leaves it to the handlers of an exception to raise it again

    def _end(self, engine: Engine, status: str) -> None:
        if self.broken or engine is not self._owner:
            return
        with self._guarded():
            self.client.set_terminated(self._run_id, status)
            close(self.client)
        self.cur_run, self._owner = None, None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Catch what MLflow raises, say so once, and log nothing from then on."""
        try:
            yield
        except Exception as error:
            self.broken = True
            _logger.warning("training %s goes on without MLflow: %s", self._name, error)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or getattr(value, "ndim", None) == 0
