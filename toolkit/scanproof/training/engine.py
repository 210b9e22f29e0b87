"""Supervised training on MONAI's trainer and evaluator."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
        clip: norm to which a larger gradient is cut; None leaves gradients as they are.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    patience: int = 8
    clip: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise ScanproofError("must be at least 1", key=f"training.{name}", value=getattr(self, name))
        if self.learning_rate <= 0:
            raise ScanproofError("must be positive", key="training.learning_rate", value=self.learning_rate)
        if self.clip is not None and not self.clip > 0:
            raise ScanproofError("must be positive", key="training.clip", value=self.clip)
        if self.weight_decay < 0:
            raise ScanproofError("must not be negative", key="training.weight_decay", value=self.weight_decay)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW on some parameters."""
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)


class Learner(Protocol):
    """Changes weights batch by batch."""

    @property
    def optimisers(self) -> Sequence[torch.optim.Optimizer]:
        """Whose learning rates follow the schedule."""

    def step(self, inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a batch; the prediction and its loss, both as they were before."""


class Backpropagation:
    """Learns by the gradient of one loss.

    Args:
        network: maps inputs to a prediction.
        loss: of (prediction, target).
        options: optimiser and clipping.
    """

    def __init__(self, network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], options: TrainingOptions) -> None:
        self.network, self.loss, self.clip = network, loss, options.clip
        self.optimisers = [options.optimiser(network.parameters())]

    def step(self, inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Learner.step`."""
        self.optimisers[0].zero_grad(set_to_none=True)
        prediction = self.network(inputs)
        loss = self.loss(prediction, target)
        torch.autograd.backward(loss)
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimisers[0].step()
        return prediction.detach(), loss.detach()


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

    Args:
        network: maps ``image`` to a prediction.
        training: items are dictionaries with ``image`` (a tensor or a tuple of tensors) and ``label`` (the target, of
            any shape).
        validation: likewise.
        loss: of (prediction, label).
        score: one named ignite metric, computed on validation predictions after each epoch; it chooses the best
            epoch and stops training. Further metrics are recorded.
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
    from ignite.metrics import Average
    from monai.data import DataLoader
    from monai.engines import SupervisedEvaluator, SupervisedTrainer
    from monai.handlers import LrScheduleHandler, ValidationHandler

    for name, data in (("training", training), ("validation", validation)):
        if len(data) == 0:  # type: ignore[arg-type]
            raise ScanproofError(f"{name} data must not be empty")
    device = next(network.parameters()).device
    teacher: Learner = learner or Backpropagation(network, loss, options)
    shuffle = torch.Generator().manual_seed(derive_seed(seed, "shuffle"))
    loader = DataLoader(training, batch_size=options.batch_size, shuffle=True, generator=shuffle, num_workers=0)
    schedules = [
        torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=options.epochs) for optimiser in teacher.optimisers
    ]
    name = next(iter(score))
    sign = -1.0 if smaller_is_better else 1.0
    progress = _Progress()

    def iterate(engine: Engine, batch: Mapping[str, Any]) -> dict[str, Any]:
        network.train()
        inputs, target = _prepare(batch, device)
        prediction, value = teacher.step(inputs, target)
        return {"pred": prediction, "label": target, "loss": float(value)}

    with torch.random.fork_rng(devices=[]), _quiet_ignite():
        torch.manual_seed(derive_seed(seed, "training"))
        evaluator = SupervisedEvaluator(
            device=device,
            val_data_loader=DataLoader(validation, batch_size=max(64, options.batch_size), num_workers=0),
            network=network,
            key_val_metric=dict(score),
            prepare_batch=_prepare,
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
            key_train_metric={"train_loss": Average(output_transform=lambda output: output["loss"])},
            decollate=False,
        )
        states: dict[str, _Stateful] = {"network": network}
        for number, (optimiser, schedule) in enumerate(zip(teacher.optimisers, schedules, strict=True)):
            states |= {f"optimiser {number}": optimiser, f"schedule {number}": schedule}
        identity = {"seed": seed, **asdict(options), "length": len(loader)}

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
            progress.rows.append({"epoch": engine.state.epoch, **row})
            if progress.best_epoch == 0 or sign * row[name] > progress.best_score:
                progress.best_epoch, progress.best_score = engine.state.epoch, sign * row[name]
                progress.best = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
            elif engine.state.epoch - progress.best_epoch >= options.patience:
                progress.stopped = True
                engine.terminate()
            if checkpoint is not None:
                random = {"shuffle": shuffle.get_state(), "global": torch.random.get_rng_state()}
                _save(checkpoint, identity=identity, states=states, progress=progress, random=random)

        ValidationHandler(interval=1, validator=evaluator).attach(trainer)
        for schedule in schedules:
            # MONAI's annotation names the base class that PyTorch used before version 2
            LrScheduleHandler(schedule, print_lr=False).attach(trainer)  # type: ignore[arg-type]
        trainer.add_event_handler(Events.EPOCH_COMPLETED, record)
        for handler in handlers:
            handler.attach(trainer)
        random = None
        if checkpoint is not None and checkpoint.exists():
            random = _restore(checkpoint, identity=identity, states=states, progress=progress)
        if random is not None:
            shuffle.set_state(random["shuffle"])
            # PyTorch's sampler draws once more when it finds that an epoch is over, which is in the next one
            torch.randperm(len(training), generator=shuffle)  # type: ignore[arg-type]
            torch.random.set_rng_state(random["global"])
            done = len(progress.rows)
            trainer.state.epoch, trainer.state.iteration = done, done * len(loader)
        if not progress.stopped and len(progress.rows) < options.epochs:
            trainer.run()

    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    history = pd.DataFrame(progress.rows).astype({"epoch": "int64"})
    network.load_state_dict(progress.best)
    return TrainingResult(weights=progress.best, history=history, best_epoch=progress.best_epoch)


@dataclass
class _Progress:
    """How far a training has come."""

    rows: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: float = 0.0
    stopped: bool = False


class _Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


def _prepare(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Any, Tensor]:
    """Inputs and target of a batch, on a device."""

    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device=device, non_blocking=non_blocking)
        return tuple(move(one) for one in value)

    return move(batch["image"]), move(batch["label"])


def _save(
    path: Path,
    *,
    identity: Mapping[str, Any],
    states: Mapping[str, _Stateful],
    progress: _Progress,
    random: Mapping[str, Tensor],
) -> None:
    content = {
        "identity": dict(identity),
        "states": {name: one.state_dict() for name, one in states.items()},
        "progress": vars(progress),
        "random": dict(random),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    torch.save(content, temporary)
    temporary.replace(path)


def _restore(
    path: Path, *, identity: Mapping[str, Any], states: Mapping[str, _Stateful], progress: _Progress
) -> dict[str, Tensor] | None:
    """Take over a checkpoint; gives the states of the random generators, None where it cannot be read."""
    try:
        # tensors and plain types only: nothing in it can run
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = content["identity"]
    except Exception as error:
        said = str(error).partition("\n")[0]
        warnings.warn(f"{path}: checkpoint cannot be read, training starts anew: {said}", RuntimeWarning, stacklevel=3)
        return None
    for key, value in identity.items():
        if found.get(key) != value:
            raise ScanproofError(
                f"checkpoint must be of this training, with {key} {value}", file=path, key=key, value=found.get(key),
                hint="delete it to train anew",
            )  # fmt: skip
    for name, one in states.items():
        one.load_state_dict(content["states"][name])
    vars(progress).update(content["progress"])
    random: dict[str, Tensor] = content["random"]
    return random


class _quiet_ignite:  # noqa: N801 (reads as a context)
    """Ignite logs every epoch at INFO on loggers of its own; the caller reports progress instead."""

    def __enter__(self) -> None:
        self._disabled = logging.root.manager.disable
        logging.disable(max(logging.INFO, self._disabled))

    def __exit__(self, *exception: object) -> None:
        logging.disable(self._disabled)
