from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.masks import cartesian_mask
from scanproof.physics.simulate import synthetic_kspace

Problem = dict[str, Tensor]


def phantom(height: int, width: int) -> Tensor:
    """Discs and a bar, float32 (1, H, W)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    image = 0.6 * (x**2 + 0.8 * y**2 < 0.7).float() + 0.4 * ((x - 0.2) ** 2 + y**2 < 0.1).float()
    return (image + 0.3 * ((x + 0.4).abs() < 0.08).float() * (y.abs() < 0.4).float())[None]


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """Makes slices of undersampled k-space that differ in phase and noise."""

    def make(
        *, slices: int = 1, shape: tuple[int, int] = (32, 28), coils: int = 4, noise: float = 0.01, seed: int = 1
    ) -> Problem:
        maps = birdcage_sensitivities(coils, shape)
        reference = phantom(*shape)
        mask = cartesian_mask(shape[1], kind="equispaced", acceleration=2, center_fraction=0.15, seed=seed)
        kspace = torch.stack(
            [
                synthetic_kspace(reference, maps, generator=torch.Generator().manual_seed(seed + n), noise_std=noise)
                for n in range(slices)
            ]
        )
        batched = maps.expand_as(kspace)
        return {"kspace": kspace * mask, "mask": mask, "sensitivities": batched, "reference": reference}

    return make
