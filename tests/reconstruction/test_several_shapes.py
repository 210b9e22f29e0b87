"""Training sets whose examinations differ in matrix size and number of coils."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from scanproof.reconstruction.base import Reconstructor
from scanproof.reconstruction.unet import UNet
from scanproof.reconstruction.unrolled.reconstructors import Modl, ProximalGradient, VarNet

from .unrolled.conftest import acquire

SMALL = {"epochs": 2, "batch_size": 2, "unrolls": 2}
METHODS: dict[str, Callable[[], Reconstructor]] = {
    "unet": lambda: UNet(features=(2, 2, 2, 2, 2, 2), epochs=2, batch_size=2),
    "proximal": lambda: ProximalGradient(features=3, **SMALL),
    "greedy": lambda: ProximalGradient(features=3, training="greedy", **SMALL),
    "checkpointing": lambda: ProximalGradient(features=3, training="checkpointing", **SMALL),
    "invertible": lambda: Modl(features=3, layers=2, training="invertible", **SMALL),
    "modl": lambda: Modl(features=3, layers=2, iterations=3, **SMALL),
    "varnet": lambda: VarNet(features=(2, 2, 2, 2, 2, 2), **SMALL),
}
KINDS = [{"shape": (20, 16), "coils": 3}, {"shape": (20, 16), "coils": 2}, {"shape": (16, 24), "coils": 3}]


@pytest.mark.parametrize("name", METHODS)
def test_they_train_together_and_each_counts(name: str) -> None:
    method = METHODS[name]()
    training = [acquire(seed, **KINDS[seed % 3]) for seed in range(7)]
    validation = [acquire(100 + seed, **KINDS[min(seed, 2)]) for seed in range(5)]
    result = method.fit(training, validation, seed=1)
    errors = []
    for sample in validation:
        image = method(sample["kspace"], sample["mask"], sample["sensitivities"])
        assert image.shape == sample["reference"].shape
        errors.append((image - sample["reference"]).abs().mean().item())
    best = result.history["val_loss"][result.best_epoch - 1]
    # each validation slice by itself gives what batches of one shape gave
    assert best == pytest.approx(torch.tensor(errors).mean().item(), rel=1e-4)
