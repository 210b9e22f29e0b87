from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from mlflow.entities import Run
from monai.data import Dataset
from torch.utils.data import DataLoader

from scanproof.errors import ScanproofError
from scanproof.tracking import sqlite
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.handler import TrainingHandler
from scanproof.tracking.model import TrackedStudy, TrainingRecord
from scanproof.tracking.training import log_training, training_handler
from scanproof.tracking.uri import ENVIRONMENT, sqlite_path
from scanproof.training.engine import TrainingOptions, train
from scanproof.training.scores import ValidationLoss

# the handler's module has loaded ignite and MONAI's handlers without the warnings of theirs
from ignite.engine import Engine, Events  # isort: skip
from ignite.metrics import Average, MeanAbsoluteError  # isort: skip
from monai.engines import SupervisedEvaluator, SupervisedTrainer  # isort: skip
from monai.handlers import ValidationHandler  # isort: skip


@pytest.fixture
def record(make_study: Callable[..., TrackedStudy]) -> TrainingRecord:
    return make_study().training[0]


def runs_of(uri: str, key: str) -> list[Run]:
    with connect(uri) as client:
        experiment = client.get_experiment_by_name("knees")
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], filter_string=f"tags.`scanproof.task` = '{key}'")
        return sorted(found, key=lambda run: run.info.start_time)


def steps(uri: str, run: Run, key: str) -> dict[int, float]:
    with connect(uri) as client:
        return {entry.step: entry.value for entry in client.get_metric_history(run.info.run_id, key)}


def handler_for(uri: str, key: str = "b2") -> TrainingHandler:
    return training_handler(
        uri, experiment="knees", record_key=key, name="resnet18/group/seed 2", params={"optimizer": {"rate": 0.1}}
    )


def make_trainer(epochs: int = 3) -> tuple[SupervisedTrainer, SupervisedEvaluator]:
    """One weight that learns to double its input."""
    data = [{"image": torch.tensor([x]), "label": torch.tensor([2 * x])} for x in (0.5, 1.0)]
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    common = {"device": torch.device("cpu"), "network": network, "decollate": False}
    evaluator = SupervisedEvaluator(
        val_data_loader=DataLoader(data, batch_size=2),
        key_val_metric={"error": MeanAbsoluteError(lambda output: (output["pred"], output["label"]))},
        **common,
    )
    trainer = SupervisedTrainer(
        max_epochs=epochs,
        train_data_loader=DataLoader(data, batch_size=2),
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=torch.nn.MSELoss(),
        key_train_metric={"train_loss": Average(lambda output: output["loss"])},
        **common,
    )
    ValidationHandler(interval=1, validator=evaluator, epoch_level=True).attach(trainer)
    for engine in (trainer, evaluator):
        engine.logger.setLevel(logging.CRITICAL)
    return trainer, evaluator


def test_training_is_followed_live(uri: str) -> None:
    trainer, evaluator = make_trainer()
    handler = handler_for(uri)
    handler.attach(trainer)
    handler.attach(evaluator)
    losses: dict[int, float] = {}
    seen_open: list[str] = []

    @trainer.on(Events.EPOCH_COMPLETED)
    def note(engine: Engine) -> None:
        losses[engine.state.epoch] = engine.state.metrics["train_loss"]
        seen_open.append(runs_of(uri, "b2")[0].info.status)

    trainer.run()
    (run,) = runs_of(uri, "b2")
    assert seen_open == ["RUNNING"] * 3
    assert (run.info.status, run.info.run_name) == ("FINISHED", "resnet18/group/seed 2")
    assert run.data.tags["scanproof.kind"] == "training"
    assert run.data.params == {"optimizer.rate": "0.1", "max_epochs": "3", "epoch_length": "1"}
    assert list(losses) == [1, 2, 3]
    assert losses[3] < losses[1]
    assert steps(uri, run, "train_loss") == pytest.approx(losses)
    errors = steps(uri, run, "error")
    assert list(errors) == [1, 2, 3]
    assert errors[3] < errors[1]
    assert not handler.broken


def test_named_database_counts_more_than_the_environment(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv(ENVIRONMENT, other)
    trainer, _ = make_trainer(epochs=1)
    handler_for(uri).attach(trainer)
    trainer.run()
    assert [run.info.status for run in runs_of(uri, "b2")] == ["FINISHED"]
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("skip_completed", [False, True])
def test_early_stop_finishes_the_run(uri: str, skip_completed: bool) -> None:
    trainer, _ = make_trainer()
    handler_for(uri).attach(trainer)

    @trainer.on(Events.EPOCH_COMPLETED(once=2))
    def stop(engine: Engine) -> None:
        engine.terminate(skip_completed=skip_completed)

    trainer.run()
    (run,) = runs_of(uri, "b2")
    assert run.info.status == "FINISHED"
    assert list(steps(uri, run, "train_loss")) == [1, 2]


@pytest.mark.parametrize(("error", "status"), [(ArithmeticError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_broken_training_fails_its_run(uri: str, error: type[BaseException], status: str) -> None:
    trainer, _ = make_trainer()
    handler_for(uri).attach(trainer)

    @trainer.on(Events.EPOCH_STARTED(once=2))
    def stop(engine: Engine) -> None:
        raise error("stop")

    with pytest.raises(error, match="stop"):
        trainer.run()
    assert [run.info.status for run in runs_of(uri, "b2")] == [status]


def test_training_goes_on_without_mlflow(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    trainer, _ = make_trainer(epochs=4)
    handler = handler_for(uri)
    handler.attach(trainer)

    @trainer.on(Events.EPOCH_STARTED(once=2))
    def take_the_run_away(engine: Engine) -> None:
        with connect(uri) as client:
            client.delete_run(runs_of(uri, "b2")[0].info.run_id)

    trainer.run()
    assert trainer.state.epoch == 4
    assert handler.broken
    said = [entry.getMessage() for entry in caplog.records if entry.name.startswith("scanproof")]
    assert len(said) == 1
    assert said[0].startswith("training resnet18/group/seed 2 goes on without MLflow: ")


def test_training_goes_on_while_another_program_locks_the_database(
    uri: str, caplog: pytest.LogCaptureFixture, record: TrainingRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 2.0)
    trainer, _ = make_trainer(epochs=3)
    handler = handler_for(uri, record.key)
    handler.attach(trainer)
    path = sqlite_path(uri)
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        trainer.add_event_handler(Events.EPOCH_STARTED(once=2), lambda: other.execute("BEGIN EXCLUSIVE"))
        trainer.run()
    assert trainer.state.epoch == 3
    assert handler.broken
    said = [entry.getMessage() for entry in caplog.records if entry.name.startswith("scanproof")]
    assert len(said) == 1
    assert "goes on without MLflow" in said[0]
    # what was half logged is replaced by the whole curve when the study is logged
    log_training([record], uri, experiment="knees")
    (run,) = runs_of(uri, record.key)
    assert steps(uri, run, "auroc") == {2: 0.8, 3: 0.9}


def test_training_starts_without_mlflow(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 100)
    handler = handler_for(f"sqlite:///{tmp_path}/mlflow.db")
    trainer, _ = make_trainer(epochs=1)
    handler.attach(trainer)
    trainer.run()
    assert trainer.state.epoch == 1
    assert "goes on without MLflow" in caplog.text


def test_wrong_uri_is_the_users_to_mend() -> None:
    with pytest.raises(ScanproofError, match="not a folder"):
        handler_for("mlruns")


def test_metrics_of_several_numbers_are_left_out(uri: str) -> None:
    engine = Engine(lambda engine, batch: None)

    @engine.on(Events.EPOCH_COMPLETED)
    def measure(engine: Engine) -> None:
        engine.state.metrics = {"score": torch.tensor(0.5), "one": 1, "classes": torch.ones(3)}

    handler = handler_for(uri)
    handler.attach(engine)
    engine.run([0], max_epochs=1)
    (run,) = runs_of(uri, "b2")
    assert run.data.metrics == {"score": 0.5, "one": 1.0}
    assert not handler.broken


def test_interrupted_training_leaves_its_whole_curve(uri: str, tmp_path: Path) -> None:
    data = Dataset([{"image": torch.tensor([x]), "label": torch.tensor([2 * x])} for x in (0.5, 1.0, 2.0)])
    loss = torch.nn.L1Loss()

    def fit(interrupt: int | None = None):
        network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(network.weight)

        class Watched:
            def attach(self, engine: Engine) -> None:
                handler_for(uri).attach(engine)
                if interrupt is not None:
                    engine.add_event_handler(Events.EPOCH_STARTED(once=interrupt), self.end)

            def end(self, engine: Engine) -> None:
                raise KeyboardInterrupt

        return train(
            network,
            training=data,
            validation=data,
            loss=loss,
            score={"val_loss": ValidationLoss(loss)},
            options=TrainingOptions(epochs=5, batch_size=2),
            seed=1,
            smaller_is_better=True,
            handlers=[Watched()],
            checkpoint=tmp_path / "last.pt",
        )

    with pytest.raises(KeyboardInterrupt):
        fit(interrupt=3)
    result = fit()
    killed, run = runs_of(uri, "b2")
    assert (killed.info.status, run.info.status) == ("KILLED", "FINISHED")
    assert list(steps(uri, killed, "val_loss")) == [1, 2]
    for name in ("train_loss", "val_loss"):
        assert steps(uri, run, name) == pytest.approx(dict(zip(range(1, 6), result.history[name], strict=True)))
    assert "epoch" not in run.data.metrics


def test_stored_training_is_logged_once(uri: str, record: TrainingRecord) -> None:
    logged = log_training([record], uri, experiment="knees")
    assert log_training([record, record], uri, experiment="knees") == logged
    (run,) = runs_of(uri, record.key)
    assert logged == {record.key: run.info.run_id}
    assert (run.info.status, run.info.run_name) == ("FINISHED", record.name)
    assert run.data.params == {"epochs": "3", "norm": "batch"}
    assert run.data.tags["scanproof.trained"] == "classifier"
    assert run.data.tags["model_sha256"] == record.model_sha256
    assert steps(uri, run, "train_loss") == {1: 0.7, 2: 0.5, 3: 0.4}
    assert steps(uri, run, "auroc") == {2: 0.8, 3: 0.9}


def test_live_training_is_not_logged_again_but_gets_its_hash(uri: str, record: TrainingRecord) -> None:
    trainer, _ = make_trainer(epochs=1)
    handler_for(uri, record.key).attach(trainer)
    trainer.run()
    (live,) = runs_of(uri, record.key)
    assert log_training([record], uri, experiment="knees") == {record.key: live.info.run_id}
    (run,) = runs_of(uri, record.key)
    assert run.data.tags["model_sha256"] == record.model_sha256
    assert run.data.metrics.keys() == {"train_loss"}


def test_what_killed_trainings_left_is_deleted(uri: str, record: TrainingRecord) -> None:
    """An open run, one that was closed, and a whole one of a process that died before it could store its result."""
    experiment_id = prepare(uri, experiment="knees")
    tags = {"scanproof.kind": "training", "scanproof.task": record.key}
    with connect(uri) as client:
        left = [client.create_run(experiment_id, tags=tags).info.run_id for _ in range(4)]
        for run_id, status in zip(left[1:], ("KILLED", "FINISHED", "FINISHED"), strict=True):
            client.set_terminated(run_id, status)
    logged = log_training([record], uri, experiment="knees")
    assert logged[record.key] in left[2:]
    (run,) = runs_of(uri, record.key)
    assert (run.info.run_id, run.info.status) == (logged[record.key], "FINISHED")
    assert log_training([record], uri, experiment="knees") == logged
    with connect(uri) as client:
        assert {client.get_run(run_id).info.status for run_id in left} == {"FAILED", "KILLED", "FINISHED"}


def test_open_run_of_a_killed_training_is_closed_when_it_starts_again(uri: str) -> None:
    experiment_id = prepare(uri, experiment="knees")
    with connect(uri) as client:
        first = client.create_run(experiment_id, tags={"scanproof.kind": "training", "scanproof.task": "b2"})
    trainer, _ = make_trainer(epochs=1)
    handler_for(uri).attach(trainer)
    trainer.run()
    statuses = {run.info.run_id: run.info.status for run in runs_of(uri, "b2")}
    assert statuses.pop(first.info.run_id) == "KILLED"
    assert list(statuses.values()) == ["FINISHED"]


def test_long_history_takes_several_requests(uri: str, record: TrainingRecord) -> None:
    history = pd.DataFrame({"epoch": range(1, 601), "a": 0.5, "b": 0.25})
    log_training([replace(record, history=history)], uri, experiment="knees")
    (run,) = runs_of(uri, record.key)
    assert len(steps(uri, run, "a")) == len(steps(uri, run, "b")) == 600
