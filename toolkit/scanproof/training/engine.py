"""Supervised training on MONAI's trainer and evaluator."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed

if TYPE_CHECKING:
    from ignite.engine import Engine
    from ignite.metrics import Metric


class Handler(Protocol):
    """What MONAI calls a handler: something that can be attached to a trainer."""

    def attach(self, engine: Engine) -> None:
        """Register with the engine's events."""


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a network is trained.

    Args:
        epochs: most epochs to train.
        batch_size: samples a step.
        learning_rate: peak rate of AdamW; it falls to zero over the epochs along a cosine.
        weight_decay: of AdamW.
        patience: epochs without a better validation score after which training stops.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    patience: int = 8

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise ScanproofError("must be at least 1", key=f"training.{name}", value=getattr(self, name))
        if self.learning_rate <= 0:
            raise ScanproofError("must be positive", key="training.learning_rate", value=self.learning_rate)
        if self.weight_decay < 0:
            raise ScanproofError("must not be negative", key="training.weight_decay", value=self.weight_decay)


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves.

    Args:
        weights: state dictionary of the epoch with the best validation score.
        history: one row an epoch: ``epoch``, training loss and validation metrics.
        best_epoch: the epoch of ``weights``, counted from one.
    """

    weights: dict[str, Tensor]
    history: pd.DataFrame
    best_epoch: int


def train(
    network: nn.Module,
    *,
    training: Dataset[Mapping[str, Any]],
    validation: Dataset[Mapping[str, Any]],
    loss: Callable[[Tensor, Tensor], Tensor],
    score: Mapping[str, Metric],
    options: TrainingOptions,
    seed: int,
    smaller_is_better: bool = False,
    handlers: Sequence[Handler] = (),
) -> TrainingResult:
    """Train a network in place and return its best weights.

    Runs on the network's device. On a CPU with a fixed number of threads the result depends on the arguments
    alone: shuffling, augmentation and dropout draw from ``seed``, and PyTorch's global generator is left as it was.

    Args:
        network: maps ``image`` to a prediction.
        training: items are dictionaries with ``image`` and ``label`` (the target, of any shape).
        validation: likewise.
        loss: of (prediction, label).
        score: one named ignite metric, computed on validation predictions after each epoch; it chooses the best
            epoch and stops training. Further metrics are recorded.
        options: optimisation settings.
        seed: seed of everything random in training.
        smaller_is_better: the score is an error.
        handlers: further MONAI handlers for the trainer; they find validation metrics in ``engine.state.metrics``.

    Raises:
        ScanproofError: empty data, or a loss that is not finite (it says in which epoch).
    """
    from ignite.engine import Events
    from ignite.metrics import Average
    from monai.data import DataLoader
    from monai.engines import SupervisedEvaluator, SupervisedTrainer
    from monai.handlers import CheckpointSaver, EarlyStopHandler, LrScheduleHandler, ValidationHandler

    for name, data in (("training", training), ("validation", validation)):
        if len(data) == 0:  # type: ignore[arg-type]
            raise ScanproofError(f"{name} data must not be empty")
    device = next(network.parameters()).device
    shuffle = torch.Generator().manual_seed(derive_seed(seed, "shuffle"))
    loader = DataLoader(training, batch_size=options.batch_size, shuffle=True, generator=shuffle, num_workers=0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=options.epochs)
    name = next(iter(score))
    sign = -1.0 if smaller_is_better else 1.0
    rows: list[dict[str, float]] = []

    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]), _quiet_ignite():
        torch.manual_seed(derive_seed(seed, "training"))
        evaluator = SupervisedEvaluator(
            device=device,
            val_data_loader=DataLoader(validation, batch_size=max(64, options.batch_size), num_workers=0),
            network=network,
            key_val_metric=dict(score),
            decollate=False,
        )
        trainer = SupervisedTrainer(
            device=device,
            max_epochs=options.epochs,
            train_data_loader=loader,
            network=network,
            optimizer=optimizer,
            loss_function=loss,
            key_train_metric={"train_loss": Average(output_transform=lambda output: output["loss"])},
            decollate=False,
        )

        def record(engine: Engine) -> None:
            engine.state.metrics.update(evaluator.state.metrics)
            row = {key: float(value) for key, value in engine.state.metrics.items()}
            for key, value in row.items():
                if not math.isfinite(value):
                    raise ScanproofError(
                        f"{key} must stay finite",
                        key=f"epoch {engine.state.epoch}",
                        value=value,
                        hint="try a lower learning rate",
                    )
            rows.append({"epoch": engine.state.epoch, **row})

        ValidationHandler(interval=1, validator=evaluator).attach(trainer)
        # MONAI's annotation names the base class that PyTorch used before version 2
        LrScheduleHandler(schedule, print_lr=False).attach(trainer)  # type: ignore[arg-type]
        trainer.add_event_handler(Events.EPOCH_COMPLETED, record)
        CheckpointSaver(
            save_dir=folder,
            save_dict={"network": network},
            save_key_metric=True,
            key_metric_filename="best.pt",
            key_metric_negative_sign=smaller_is_better,
        ).attach(evaluator)
        EarlyStopHandler(
            patience=options.patience,
            score_function=lambda engine: sign * engine.state.metrics[name],
            trainer=trainer,
        ).attach(evaluator)
        for handler in handlers:
            handler.attach(trainer)
        trainer.run()
        # the file was written above by this very process and holds tensors only
        weights = torch.load(Path(folder) / "best.pt", map_location="cpu", weights_only=True)

    history = pd.DataFrame(rows).astype({"epoch": "int64"})
    best = int(history["epoch"].iloc[int((sign * history[name]).argmax())])
    network.load_state_dict(weights)
    return TrainingResult(weights={k: v.clone() for k, v in weights.items()}, history=history, best_epoch=best)


class _quiet_ignite:  # noqa: N801 (reads as a context)
    """Ignite logs every epoch at INFO on loggers of its own; the caller reports progress instead."""

    def __enter__(self) -> None:
        self._disabled = logging.root.manager.disable
        logging.disable(max(logging.INFO, self._disabled))

    def __exit__(self, *exception: object) -> None:
        logging.disable(self._disabled)
