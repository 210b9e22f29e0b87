from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.masks import cartesian_mask
from scanproof.physics.simulate import synthetic_kspace
from scanproof.reconstruction.unrolled.network import UnrolledNetwork
from scanproof.reconstruction.unrolled.unrolls import ModlStep, ProximalStep, Unroll

UNROLLS: dict[str, Callable[[], Unroll]] = {
    "proximal": lambda: ProximalStep(features=6),
    "modl": lambda: ModlStep(features=6, layers=3, weight=0.5),
}


def acquire(seed: int, *, shape: tuple[int, int] = (20, 16), coils: int = 3) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = (x**2 + y**2 < 0.7).float()
    reference = (inside * (0.5 + 0.5 * torch.rand(4, 4, generator=draw).repeat_interleave(shape[0] // 4, 0)
                 .repeat_interleave(shape[1] // 4, 1)))[None]  # fmt: skip
    maps = birdcage_sensitivities(coils, shape)
    mask = cartesian_mask(shape[1], kind="random", acceleration=2, center_fraction=0.25, seed=seed)
    kspace = synthetic_kspace(reference, maps, generator=draw, noise_std=1e-3) * mask
    return {"kspace": kspace, "mask": mask, "sensitivities": maps, "reference": reference}


def collate(seeds: range) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    samples = [acquire(seed) for seed in seeds]
    kspace, mask, maps, reference = (
        torch.stack([sample[key] for sample in samples]) for key in ("kspace", "mask", "sensitivities", "reference")
    )
    return (kspace, mask, maps), reference


def made(kind: str, *, seed: int = 1, std: float = 0.05, **options: object) -> UnrolledNetwork:
    """A network whose weights are no longer zero, with regularisers that are contractions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UnrolledNetwork(UNROLLS[kind], **options)
        for parameter in network.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=std)
    return network


@pytest.fixture(params=list(UNROLLS))
def kind(request) -> str:
    return request.param
