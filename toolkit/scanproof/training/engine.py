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

from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed
from scanproof.training.batches import ShapeBatches, shapes_of
from scanproof.training.checkpoint import Checkpoint, Progress, states_of
from scanproof.training.learner import Backpropagation, Learner, Losses, plain
from scanproof.training.options import TrainingOptions
from scanproof.training.processes import Processes, check_fits, same_start
from scanproof.training.validation import evaluator_of, on_device

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

    Where ``torch.distributed`` has a default group, all its processes call this with the same arguments and train
    together: they share each batch, or whatever else the learner does, and predict validation batches in turn. The
    result is the same in every process, and that of one process up to rounding. The first process alone writes the
    checkpoint and is watched by handlers; an error in one ends all. Transforms run in every process, on all items.

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
        handlers: further MONAI handlers for the trainer; they find validation metrics in ``engine.state.metrics``, and
            in ``engine.state.history`` the rows of the epochs before an interruption.
        learner: changes the weights; :class:`Backpropagation` of the loss without.
        checkpoint: file that holds the training after every epoch. Where it exists, training goes on from it, to the
            result that it would have had without the interruption; it is deleted at the end.

    Raises:
        ScanproofError: empty data, a loss that is not finite (it says in which epoch), or a checkpoint of another
            training. One that cannot be read is named in a warning, and training starts anew. With several processes,
            a network with batch normalization, and an error in another process.
    """
    from ignite.engine import Events
    from monai.data import DataLoader
    from monai.engines import SupervisedTrainer
    from monai.handlers import LrScheduleHandler, ValidationHandler

    for name, data in (("training", training), ("validation", validation)):
        if len(data) == 0:  # type: ignore[arg-type]
            raise ScanproofError(f"{name} data must not be empty")
    processes = Processes.now()
    if processes.several:
        check_fits(network)
        same_start(network, processes)
    device = next(network.parameters()).device
    teacher: Learner = learner or Backpropagation(network, plain(network, loss), options)
    schedules = [
        torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=options.epochs) for optimiser in teacher.optimisers
    ]
    shuffle = torch.Generator().manual_seed(derive_seed(seed, "shuffle"))
    name = next(iter(score))
    sign = -1.0 if smaller_is_better else 1.0
    progress, losses = Progress(), Losses()

    def iterate(engine: Engine, batch: Mapping[str, Any]) -> dict[str, Any]:
        network.train()
        inputs, target = on_device(batch, device)
        prediction, value = teacher.step(inputs, target)
        losses.add(float(value), weight=batches.weight(len(target)))
        return {"pred": prediction, "label": target, "loss": float(value)}

    def begin_epoch(engine: Engine) -> None:
        if not processes.first:  # the first goes on where it is, as one process alone does
            torch.manual_seed(derive_seed(seed, "training", processes.rank, engine.state.epoch))

    def end_batches(engine: Engine) -> None:
        engine.state.metrics["train_loss"] = losses.take(teacher)

    def end_epoch(engine: Engine) -> None:
        engine.state.metrics.update(evaluator.state.metrics)
        row = processes.tell({key: float(value) for key, value in engine.state.metrics.items()})
        with processes.together():
            progress.add(row, score=sign * row[name], network=network, patience=options.patience)
            if kept is not None and processes.first:
                kept.save(progress, random={"shuffle": shuffle.get_state(), "global": torch.random.get_rng_state()})
        if progress.stopped:
            engine.terminate()

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _quiet_ignite():
        order = RandomSampler(training, generator=shuffle)  # type: ignore[arg-type]
        batches = ShapeBatches(order, shapes_of(training), size=options.batch_size)
        loader = DataLoader(training, batch_sampler=batches, generator=shuffle, num_workers=0)
        torch.manual_seed(derive_seed(seed, "training"))
        evaluator = evaluator_of(
            network, validation, score=score, batch_size=options.batch_size, device=device, processes=processes
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
        trainer.add_event_handler(Events.EPOCH_STARTED, begin_epoch)
        # at the end of an epoch, in this order
        trainer.add_event_handler(Events.EPOCH_COMPLETED, end_batches)
        ValidationHandler(interval=1, validator=evaluator).attach(trainer)
        for schedule in schedules:
            # MONAI's annotation names the base class that PyTorch used before version 2
            LrScheduleHandler(schedule, print_lr=False).attach(trainer)  # type: ignore[arg-type]
        trainer.add_event_handler(Events.EPOCH_COMPLETED, end_epoch)
        for handler in handlers if processes.first else ():
            handler.attach(trainer)
        kept = None
        if checkpoint is not None:
            states = states_of(network, teacher.optimisers, schedules)
            kept = Checkpoint(checkpoint, {"seed": seed, **asdict(options), "length": len(batches)}, states)
            if (random := kept.resume(progress, processes)) is not None:
                shuffle.set_state(random["shuffle"])
                torch.random.set_rng_state(random["global"])
                done = len(progress.rows)
                trainer.state.epoch, trainer.state.iteration = done, done * len(batches)
                trainer.state.history = list(progress.rows)
        if not progress.stopped and len(progress.rows) < options.epochs:
            trainer.run()

    if checkpoint is not None and processes.first:
        checkpoint.unlink(missing_ok=True)
    history = pd.DataFrame(progress.rows).astype({"epoch": "int64"})
    network.load_state_dict(progress.best)
    return TrainingResult(weights=progress.best, history=history, best_epoch=progress.best_epoch)


@contextmanager
def _quiet_ignite() -> Iterator[None]:
    """Ignite logs every epoch at INFO on loggers of its own; the caller reports progress instead."""
    disabled = logging.root.manager.disable
    logging.disable(max(logging.INFO, disabled))
    try:
        yield
    finally:
        logging.disable(disabled)
