from __future__ import annotations

import pytest
import torch


@pytest.fixture
def complex_normal():
    """Draws complex128 standard normal arrays from a fixed seed."""
    generator = torch.Generator().manual_seed(20240607)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.complex128, generator=generator)

    return draw
