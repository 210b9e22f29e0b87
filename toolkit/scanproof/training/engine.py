"""Supervised training on MONAI's trainer and evaluator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, RandomSampler

from scanproof.data.keys import IMAGE, LABEL
from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed
from scanproof.training.batches import ShapeBatches, shapes_of
from scanproof.training.checkpoint import Checkpoint, Progress, Stateful
from scanproof.training.learner import Backpropagation, Learner, plain
from scanproof.training.options import TrainingOptions

if TYPE_CHECKING:
    from ignite.engine import Engine
    from ignite.metrics import Metric

__all__ = ["Handler", "Learner", "TrainingOptions", "TrainingResult", "train"]


class Handler(Protocol):
    """What MONAI calls a handler: something that can be attached to a trainer."""

    def attach(self, engine: Engine) -> None:
        """Register with the engine's events."""


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
    learner: Learner | None = None,
    checkpoint: Path | None = None,
) -> TrainingResult:
    """Train a network in place and return its best weights.

    Runs on the network's device. On a CPU with a fixed number of threads the result depends on the arguments
    alone: shuffling, augmentation and dropout draw from ``seed``, and PyTorch's global generator is left as it was.

    Items may differ in shape: a batch holds items of one shape, as they are (see
    :mod:`scanproof.training.batches`). Each item is looked at once for its shape, unless the data set has an attribute
    ``shapes``.

    Args:
        network: maps ``image`` to a prediction.
        training: items are dictionaries with ``image`` (a tensor or a tuple of tensors) and ``label`` (the target, of
            any shape).
        validation: likewise.
        loss: of (prediction, label), the mean over the items of a batch.
        score: one named ignite metric, computed on validation predictions after each epoch; it chooses the best
            epoch and stops training. Further metrics are recorded. The evaluator's output has ``pred``, ``label`` and
            ``weight``, what the batch counts in a mean over batches.
        options: optimisation settings.
        seed: seed of everything random in training.
        smaller_is_better: the score is an error.
        handlers: further MONAI handlers for the trainer; they find validation metrics in ``engine.state.metrics``.
        learner: changes the weights; :class:`Backpropagation` of the loss without.
        checkpoint: file that holds the training after every epoch. Where it exists, training goes on from it, to the
            result that it would have had without the interruption; it is deleted at the end.

    Raises:
        ScanproofError: empty data, a loss that is not finite (it says in which epoch), or a checkpoint of another
            training. One that cannot be read is named in a warning, and training starts anew.
    """
    from ignite.engine import Events
    from monai.data import DataLoader
    from monai.engines import SupervisedEvaluator, SupervisedTrainer
    from monai.handlers import LrScheduleHandler, ValidationHandler

    for name, data in (("training", training), ("validation", validation)):
        if len(data) == 0:  # type: ignore[arg-type]
            raise ScanproofError(f"{name} data must not be empty")
    device = next(network.parameters()).device
    teacher: Learner = learner or Backpropagation(network, plain(network, loss), options)
    shuffle = torch.Generator().manual_seed(derive_seed(seed, "shuffle"))
    order = RandomSampler(training, generator=shuffle)  # type: ignore[arg-type]
    batches = ShapeBatches(order, shapes_of(training), size=options.batch_size)
    in_order = range(len(validation))  # type: ignore[arg-type]
    checks = ShapeBatches(in_order, shapes_of(validation), size=max(64, options.batch_size))
    schedules = [
        torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=options.epochs) for optimiser in teacher.optimisers
    ]
    states: dict[str, Stateful] = {"network": network}
    for number, (optimiser, schedule) in enumerate(zip(teacher.optimisers, schedules, strict=True)):
        states |= {f"optimiser {number}": optimiser, f"schedule {number}": schedule}
    kept = None
    if checkpoint is not None:
        kept = Checkpoint(checkpoint, {"seed": seed, **asdict(options), "length": len(batches)}, states)
    name = next(iter(score))
    sign = -1.0 if smaller_is_better else 1.0
    progress, mean = Progress(), _Mean()

    def iterate(engine: Engine, batch: Mapping[str, Any]) -> dict[str, Any]:
        network.train()
        inputs, target = _prepare(batch, device)
        prediction, value = teacher.step(inputs, target)
        mean.add(float(value), weight=batches.weight(len(target)))
        return {"pred": prediction, "label": target, "loss": float(value)}

    def evaluate(engine: Engine, batch: Mapping[str, Any]) -> dict[str, Any]:
        network.eval()
        inputs, target = _prepare(batch, device)
        with torch.no_grad():
            return {"pred": network(inputs), "label": target, "weight": checks.weight(len(target))}

    with torch.random.fork_rng(devices=[]), _quiet_ignite():
        loader = DataLoader(training, batch_sampler=batches, generator=shuffle, num_workers=0)
        torch.manual_seed(derive_seed(seed, "training"))
        evaluator = SupervisedEvaluator(
            device=device,
            val_data_loader=DataLoader(validation, batch_sampler=checks, num_workers=0),
            network=network,
            iteration_update=evaluate,
            key_val_metric=dict(score),
            decollate=False,
        )
        trainer = SupervisedTrainer(
            device=device,
            max_epochs=options.epochs,
            train_data_loader=loader,
            network=network,
            optimizer=teacher.optimisers[0],
            loss_function=loss,
            iteration_update=iterate,
            decollate=False,
        )

        def end_of_batches(engine: Engine) -> None:
            engine.state.metrics["train_loss"] = mean.take()

        def end_of_epoch(engine: Engine) -> None:
            engine.state.metrics.update(evaluator.state.metrics)
            row = {key: float(value) for key, value in engine.state.metrics.items()}
            progress.add(row, score=sign * row[name], network=network, patience=options.patience)
            if progress.stopped:
                engine.terminate()
            if kept is not None:
                kept.save(progress, random={"shuffle": shuffle.get_state(), "global": torch.random.get_rng_state()})

        # in the order in which they are to be called
        trainer.add_event_handler(Events.EPOCH_COMPLETED, end_of_batches)
        ValidationHandler(interval=1, validator=evaluator).attach(trainer)
        for schedule in schedules:
            # MONAI's annotation names the base class that PyTorch used before version 2
            LrScheduleHandler(schedule, print_lr=False).attach(trainer)  # type: ignore[arg-type]
        trainer.add_event_handler(Events.EPOCH_COMPLETED, end_of_epoch)
        for handler in handlers:
            handler.attach(trainer)
        found = None if kept is None else kept.read()
        if kept is not None and found is not None:
            random = kept.restore(found, progress)
            shuffle.set_state(random["shuffle"])
            torch.random.set_rng_state(random["global"])
            done = len(progress.rows)
            trainer.state.epoch, trainer.state.iteration = done, done * len(batches)
        if not progress.stopped and len(progress.rows) < options.epochs:
            trainer.run()

    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    history = pd.DataFrame(progress.rows).astype({"epoch": "int64"})
    network.load_state_dict(progress.best)
    return TrainingResult(weights=progress.best, history=history, best_epoch=progress.best_epoch)


class _Mean:
    """The mean loss of an epoch's batches."""

    def __init__(self) -> None:
        self.total, self.weight = 0.0, 0

    def add(self, value: float, *, weight: int) -> None:
        self.total += value * weight
        self.weight += weight

    def take(self) -> float:
        """The mean; the next epoch begins."""
        found = self.total / self.weight
        self.total, self.weight = 0.0, 0
        return found


def _prepare(batch: Mapping[str, Any], device: torch.device) -> tuple[Any, Tensor]:
    """Inputs and target of a batch, on a device."""

    def move(value: Any) -> Any:
        return value.to(device) if isinstance(value, Tensor) else tuple(move(one) for one in value)

    return move(batch[IMAGE]), move(batch[LABEL])


@contextmanager
def _quiet_ignite() -> Iterator[None]:
    """Ignite logs every epoch at INFO on loggers of its own; the caller reports progress instead."""
    disabled = logging.root.manager.disable
    logging.disable(max(logging.INFO, disabled))
    try:
        yield
    finally:
        logging.disable(disabled)
