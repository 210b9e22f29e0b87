from __future__ import annotations

import pytest
import torch
from nilearn.datasets import load_mni152_template

from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.simulate import synthetic_kspace


@pytest.fixture(scope="session")
def brain():
    """An axial slice of the MNI152 head, 2 mm, float32 ``(1, 99, 117)`` in [0, 1]."""
    volume = load_mni152_template(resolution=2).get_fdata(dtype="float32")
    image = torch.from_numpy(volume[:, :, 45].copy())[None]
    return image / image.max()


@pytest.fixture(scope="session")
def brain_kspace(brain):
    """Four-coil k-space of that slice, complex64 ``(4, 99, 117)``."""
    maps = birdcage_sensitivities(4, brain.shape[1:])
    return synthetic_kspace(brain, maps, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def image():
    """A positive random image ``(1, 24, 26)``."""
    return torch.rand(1, 24, 26, generator=torch.Generator().manual_seed(2)) + 0.1


@pytest.fixture
def kspace():
    """Random three-coil k-space ``(3, 24, 26)``."""
    return torch.randn(3, 24, 26, dtype=torch.complex64, generator=torch.Generator().manual_seed(3))
