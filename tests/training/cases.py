"""Small trainings that one process and several do alike; imported by tests and by the processes that they start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.data import Dataset
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "reconstruction"))
from unrolled.conftest import acquire

from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.unet import ResidualUnet
from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.network import UnrolledNetwork
from scanproof.reconstruction.unrolled.pipeline import PipelinedLearner
from scanproof.reconstruction.unrolled.unrolls import ProximalStep
from scanproof.training.engine import TrainingOptions, TrainingResult, train
from scanproof.training.learner import Backpropagation, Learner, plain
from scanproof.training.processes import Processes
from scanproof.training.scores import ValidationLoss

OPTIONS = TrainingOptions(epochs=3, batch_size=3, learning_rate=1e-2, clip=0.05)


def unrolled(keep: str = "everything", *, shared: bool = False, modules: int = 1) -> UnrolledNetwork:
    return UnrolledNetwork(lambda: ProximalStep(features=4), unrolls=2, shared=shared, modules=modules, keep=keep)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "end_to_end": unrolled,
    "shared": lambda: unrolled(shared=True),
    "checkpointing": lambda: unrolled("inputs"),
    "invertible": lambda: unrolled("nothing"),
    "unet": lambda: ResidualUnet((2, 2, 2, 2, 2, 2)),
    "greedy": lambda: unrolled(modules=2),
}


def examination(seed: int, *, name: str) -> dict[str, Any]:
    """Every second one has another matrix and number of coils."""
    shape, coils = (((20, 16), 3), ((16, 24), 2))[seed % 2]
    sample = acquire(seed, shape=shape, coils=coils)
    kspace, mask, maps, reference = (sample[key] for key in ("kspace", "mask", "sensitivities", "reference"))
    if name != "greedy":  # which is compared to the bit
        kspace, maps, reference = kspace.to(torch.complex128), maps.to(torch.complex128), reference.double()
    if name == "unet":
        return {"image": torch.view_as_real(SenseOperator(maps, mask).adjoint(kspace)), "label": reference}
    return {"image": (kspace, mask, maps), "label": reference}


def learner_of(name: str, network: nn.Module) -> Learner:
    if name == "greedy":
        learner = GreedyLearner(network, OPTIONS.optimiser, clip=OPTIONS.clip)
        return PipelinedLearner(learner, Processes.now()) if Processes.now().several else learner
    return Backpropagation(network, plain(network, nn.L1Loss()) if name == "unet" else network.measure, OPTIONS)


def trained(
    name: str,
    *,
    change: Callable[[nn.Module, Learner], None] = lambda network, learner: None,
    **options: Any,
) -> TrainingResult:
    """Train a network on 4 + 3 items in batches of up to 3, so that one of several processes has none of a batch."""
    with torch.random.fork_rng():
        torch.manual_seed(1 + 10 * Processes.now().rank)  # the start of the first process counts
        network = NETWORKS[name]()
    if name != "greedy":
        network = network.double()
    learner = learner_of(name, network)
    change(network, learner)
    loss = nn.L1Loss()
    return train(
        network,
        training=Dataset([examination(seed, name=name) for seed in range(7)]),
        validation=Dataset([examination(100 + seed, name=name) for seed in range(5)]),
        loss=loss,
        score={"val_loss": ValidationLoss(loss)},
        options=OPTIONS,
        seed=4,
        smaller_is_better=True,
        learner=learner,
        **options,
    )


def saved(result: TrainingResult) -> dict[str, Any]:
    return {"weights": result.weights, "history": result.history.to_dict("list"), "best_epoch": result.best_epoch}


def differences(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    return max(float((first[name] - second[name]).abs().max()) for name in first)
