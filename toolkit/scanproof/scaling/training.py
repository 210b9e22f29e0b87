"""Training by the published protocol: fresh noise each step, a rate that falls on plateaus, a stop at its lowest."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanproof.errors import ScanproofError, unknown_name
from scanproof.scaling.degradation import Degradation, Objects
from scanproof.seeds import derive_seed, generator
from scanproof.training.checkpoint import Checkpoint, Progress, states_of
from scanproof.training.engine import Handler
from scanproof.training.processes import Processes

if TYPE_CHECKING:
    from ignite.engine import Engine

Optimiser = Literal["adam", "rmsprop"]
Loss = Literal["mse", "l1", "ssim"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a network is trained; see :class:`scanproof.scaling.definition.TrainingPlan` for the elements.

    Args:
        optimiser: Adam or RMSprop, with PyTorch's own defaults.
        loss: mean over a batch; SSIM is MONAI's, as one minus it.
        batch_size: examples of a step; a small set is gone through several times in one.
        clip: norm to which a larger gradient is cut; None leaves it.
        every: steps between validations, a round; None for one pass over the examples.
        decay: what the rate is multiplied by on a plateau.
        patience: rounds without a better validation loss that make a plateau.
        lowest: the rate never falls below this share of the first.
        stop: rounds at the lowest rate after which training ends.
        steps: most steps; None for no limit.
    """

    optimiser: Optimiser
    loss: Loss
    batch_size: int
    clip: float | None
    every: int | None
    decay: float
    patience: int
    lowest: float
    stop: int
    steps: int | None


@dataclass(frozen=True)
class Data:
    """What a network learns from.

    Args:
        objects: of the training examples.
        references: float32 (N, 1, H, W), what they should look like.
        inputs: degraded validation images, always the same.
        targets: their references.
    """

    objects: Objects
    references: Tensor
    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Args:
        weights: of the round with the smallest validation loss.
        history: one row a round: ``epoch`` (the round, from one), ``step``, ``train_loss``, ``val_loss``,
            ``learning_rate`` and ``seconds`` of processor time so far (of any clock on a GPU).
        best_round: of the weights.
    """

    weights: dict[str, Tensor]
    history: pd.DataFrame
    best_round: int


class DivergedError(ScanproofError):
    """A loss that is not finite."""


def train_network(
    network: nn.Module,
    data: Data,
    degradation: Degradation,
    protocol: Protocol,
    *,
    rate: float,
    seed: int,
    checkpoint: Path | None = None,
    handlers: Sequence[Handler] = (),
) -> Trained:
    """Train a network in place, and give it the weights of its best round.

    The batch of a step and its noise are drawn from (seed, step), so training that was interrupted goes on as it would
    have without. Runs on the network's device; on a CPU with a fixed number of threads the result, but for the
    seconds, depends on the arguments alone.

    Args:
        network: maps degraded images to estimates.
        data: to learn from.
        degradation: what it learns to undo.
        protocol: how.
        rate: first learning rate.
        seed: of everything random.
        checkpoint: file that holds the training after every round; see
            :class:`~scanproof.training.checkpoint.Checkpoint`. It is deleted at the end.
        handlers: MONAI handlers that watch; a round is an epoch to them. They find its row of the history in
            ``engine.state.metrics``, and those before an interruption in ``engine.state.history``.

    Raises:
        DivergedError: a loss that is not finite.
        ScanproofError: a checkpoint of another training.
    """
    device = next(network.parameters()).device
    measure = loss_function(protocol.loss)
    optimiser = _optimiser(network, protocol, rate)
    lowest = rate * protocol.lowest
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=protocol.decay, patience=protocol.patience, min_lr=lowest, threshold=0.0, eps=0.0
    )
    count = len(data.references)
    every = protocol.every or math.ceil(count / protocol.batch_size)
    most = math.inf if protocol.steps is None else protocol.steps
    inputs, targets = data.inputs.to(device), data.targets.to(device)
    progress, kept = Progress(), None
    if checkpoint is not None:
        identity = {"seed": seed, "rate": rate, "examples": count, "protocol": repr(protocol)}
        kept = Checkpoint(checkpoint, identity, states_of(network, [optimiser], [plateau]))
        kept.resume(progress, Processes.now())
    step = int(progress.rows[-1]["step"]) if progress.rows else 0

    def one_round(engine: Engine, _: object) -> None:
        nonlocal step
        clock = _clock(device)
        losses = []
        while True:
            rows = batch_rows(step, size=protocol.batch_size, count=count, seed=seed)
            degraded = degradation.inputs(data.objects[rows], generator=generator(seed, "noise", step)).to(device)
            network.train()
            optimiser.zero_grad(set_to_none=True)
            loss = measure(network(degraded), data.references[rows].to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            if protocol.clip is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), protocol.clip)
            optimiser.step()
            losses.append(float(loss.detach()))
            step += 1
            if step % every == 0 or step >= most:
                break
        found = float(measure(predict(network, inputs), targets))
        row = {"step": step, "train_loss": float(np.mean(losses)), "val_loss": found, "learning_rate": _rate(optimiser)}
        for name, value in row.items():
            if not math.isfinite(value):
                rule = f"{name} must stay finite"
                raise DivergedError(rule, key=f"step {step}", value=value, hint="try a lower learning rate")
        before = progress.rows[-1]["seconds"] if progress.rows else 0.0
        engine.state.metrics = {**row, "seconds": before + _clock(device) - clock}
        progress.add(engine.state.metrics, score=-found, network=network, patience=protocol.steps or 2**62)
        plateau.step(found)
        if kept is not None:
            kept.save(progress, random={})

    def end_round(engine: Engine) -> None:
        if step >= most or _ended(progress, lowest, protocol.stop):
            engine.terminate()

    if step < most and not _ended(progress, lowest, protocol.stop):
        rounds = protocol.steps and math.ceil(protocol.steps / every)
        _run(one_round, end_round, handlers, done=progress.rows, most=rounds)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    network.load_state_dict(progress.best)
    history = pd.DataFrame(progress.rows).astype({"epoch": "int64", "step": "int64"})
    return Trained(weights=progress.best, history=history, best_round=progress.best_epoch)


def predict(network: nn.Module, inputs: Tensor, *, together: int = 32) -> Tensor:
    """Estimates of degraded images, some together; on the network's device."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(part) for part in torch.split(inputs, together)])


def loss_function(name: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of (estimates, references), whose maxima are about one.

    Raises:
        ScanproofError: unknown name.

    Example:
        >>> float(loss_function("l1")(torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)))
        1.0
    """
    if name == "mse":
        return F.mse_loss
    if name == "l1":
        return F.l1_loss
    if name == "ssim":
        from monai.losses.ssim_loss import SSIMLoss

        return SSIMLoss(spatial_dims=2, data_range=1.0)
    raise unknown_name("loss", name, ("mse", "l1", "ssim"))


def batch_rows(step: int, *, size: int, count: int, seed: int) -> list[int]:
    """The examples of a step: the next of an endless row of passes, each in an order of its own.

    Example:
        >>> sorted(batch_rows(0, size=2, count=4, seed=1) + batch_rows(1, size=2, count=4, seed=1))
        [0, 1, 2, 3]
    """
    places = (divmod(position, count) for position in range(step * size, (step + 1) * size))
    return [_shuffled(turn, count, seed)[place] for turn, place in places]


@lru_cache(maxsize=4)
def _shuffled(turn: int, count: int, seed: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(derive_seed(seed, "batches", turn)).permutation(count).tolist()
    return drawn


def _run(
    one_round: Callable[[Engine, object], None],
    end_round: Callable[[Engine], None],
    handlers: Sequence[Handler],
    *,
    done: Sequence[dict[str, float]],
    most: int | None,
) -> None:
    """Go through rounds, each an epoch of one step to an engine of ignite's, until one of them ends it.

    Args:
        one_round: trains and validates.
        end_round: ends the engine after the last; what it calls an epoch is complete then, and handlers hear of it.
        handlers: that watch.
        done: rows of the rounds before an interruption.
        most: rounds that there can be.
    """
    from ignite.engine import Engine, Events

    engine = Engine(one_round)
    engine.add_event_handler(Events.EPOCH_COMPLETED, end_round)
    engine.logger = logging.Logger("rounds", logging.CRITICAL + 1)  # callers tell of progress and errors
    engine.state.max_epochs, engine.state.epoch_length = most or 2**31, 1
    engine.state.epoch = engine.state.iteration = len(done)
    engine.state.history = list(done)  # type: ignore[attr-defined]
    for handler in handlers:
        handler.attach(engine)
    engine.run([None])


def _optimiser(network: nn.Module, protocol: Protocol, rate: float) -> torch.optim.Optimizer:
    kinds: dict[str, type[torch.optim.Adam] | type[torch.optim.RMSprop]]
    kinds = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
    if protocol.optimiser not in kinds:
        raise unknown_name("optimiser", protocol.optimiser, kinds)
    return kinds[protocol.optimiser](network.parameters(), lr=rate)


def _rate(optimiser: torch.optim.Optimizer) -> float:
    return float(optimiser.param_groups[0]["lr"])


def _ended(progress: Progress, lowest: float, stop: int) -> bool:
    """Whether so many rounds, the last ones, had the lowest rate."""
    last = progress.rows[-stop:]
    return len(last) == stop and all(row["learning_rate"] <= lowest for row in last)


def _clock(device: torch.device) -> float:
    return time.process_time() if device.type == "cpu" else time.perf_counter()
