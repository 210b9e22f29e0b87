from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.masks import cartesian_mask
from scanproof.physics.noise import complex_gaussian
from scanproof.physics.noise_level import noise_level
from scanproof.physics.simulate import synthetic_kspace


def blob(height: int, width: int) -> torch.Tensor:
    """An object without sharp edges, whose energy does not reach the edge of k-space."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return torch.exp(-8 * (x**2 + y**2))[None]


@settings(max_examples=10, deadline=None)
@given(st.integers(48, 96), st.integers(48, 96), st.sampled_from([1e-3, 0.02, 0.5]), st.integers(0, 1000))
def test_finds_the_noise_that_was_added(height: int, width: int, std: float, seed: int) -> None:
    maps = birdcage_sensitivities(4, (height, width))
    rng = torch.Generator().manual_seed(seed)
    kspace = synthetic_kspace(blob(height, width), maps, generator=rng, noise_std=std)
    mask = cartesian_mask(width, kind="random", acceleration=3, center_fraction=0.1, seed=seed)
    assert noise_level(kspace * mask, mask).item() == pytest.approx(std, rel=0.15)


def test_edges_count_as_noise_but_never_less_than_there_is() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    image = (x**2 + y**2 < 0.5).float()[None]
    full = torch.ones(1, 1, 48, dtype=torch.bool)
    maps = birdcage_sensitivities(4, (48, 48))
    for std in (0.001, 0.01, 0.1):
        kspace = synthetic_kspace(image, maps, generator=torch.Generator().manual_seed(1), noise_std=std)
        assert 0.95 * std < noise_level(kspace, full).item() < std + 0.03


def test_each_slice_has_its_own_level_and_mask() -> None:
    levels = torch.tensor([1.0, 5.0, 0.0])
    rng = torch.Generator().manual_seed(1)
    kspace = complex_gaussian((3, 2, 64, 60), std=1.0, generator=rng) * levels[:, None, None, None]
    options = {"kind": "random", "acceleration": 2, "center_fraction": 0.1}
    mask = torch.stack([cartesian_mask(60, seed=s, **options) for s in (1, 2, 3)])
    found = noise_level(kspace * mask, mask)
    assert found.shape == (3, 1, 1, 1)
    torch.testing.assert_close(found.flatten(), levels, rtol=0.1, atol=0)
    for one, k, m in zip(found, kspace, mask, strict=True):
        assert torch.equal(noise_level(k * m, m), one)


def test_corners_that_a_scanner_left_out_do_not_count() -> None:
    rng = torch.Generator().manual_seed(1)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    kspace = complex_gaussian((4, 64, 64), std=1.0, generator=rng) * (x**2 + y**2 <= 1)
    assert noise_level(kspace, torch.ones(1, 1, 64, dtype=torch.bool)).item() == pytest.approx(1, rel=0.05)


def test_spikes_hardly_count() -> None:
    rng = torch.Generator().manual_seed(1)
    kspace = complex_gaussian((4, 64, 64), std=1.0, generator=rng)
    kspace[:, 1, 1] = 1e4
    assert noise_level(kspace, torch.ones(1, 1, 64, dtype=torch.bool)).item() == pytest.approx(1, rel=0.05)


def test_bad_input() -> None:
    with pytest.raises(ScanproofError, match=r"kspace: must be complex \(..., coil, H, W\), got 'torch.float32"):
        noise_level(torch.ones(1, 4, 4), torch.ones(4, dtype=torch.bool))
    with pytest.raises(ScanproofError, match=r"share: must be in \(0, 1\], got 0"):
        noise_level(torch.ones(1, 4, 4) + 0j, torch.ones(4, dtype=torch.bool), share=0)
