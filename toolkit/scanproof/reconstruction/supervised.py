"""Training of a reconstruction network on pairs of what it is given and the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from scanproof.seeds import derive_seed
from scanproof.training.devices import training_device
from scanproof.training.engine import Handler, Learner, TrainingOptions, TrainingResult, train

N = TypeVar("N", bound=nn.Module)


def train_on_references(
    build: Callable[[], N],
    training: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    *,
    options: TrainingOptions,
    seed: int,
    handlers: Sequence[Handler] = (),
    checkpoint: Path | None = None,
    learner: Callable[[N], Learner] | None = None,
) -> tuple[N, TrainingResult]:
    """Build a network and train it on the mean absolute error, which also chooses the best epoch.

    It is trained on :func:`~scanproof.training.devices.training_device`, and comes back to the CPU.

    Args:
        build: makes the network; its weights are drawn from the seed.
        training: items with ``image``, what the network is given, and ``label``, the reference.
        validation: likewise.
        options: optimisation settings.
        seed: of everything random.
        handlers: see :func:`~scanproof.training.engine.train`.
        checkpoint: likewise.
        learner: makes what changes the network's weights; backpropagation of that error without.

    Returns:
        The network with its best weights, ready to reconstruct, and what training leaves.
    """
    from monai.data import Dataset

    from scanproof.training.scores import ValidationLoss

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial weights"))
        network = build().to(training_device())
    loss = nn.L1Loss()
    result = train(
        network,
        training=Dataset(training),
        validation=Dataset(validation),
        loss=loss,
        score={"val_loss": ValidationLoss(loss)},
        options=options,
        seed=seed,
        smaller_is_better=True,
        handlers=handlers,
        checkpoint=checkpoint,
        learner=None if learner is None else learner(network),
    )
    return network.cpu().eval(), result
