from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from scanproof.data.check.intensity import BINS, measure_intensity, signal_to_noise


@settings(deadline=None)
@given(hnp.arrays(np.float32, (4, 5, 3), elements=st.floats(-100, 1000, width=32)))
def test_numbers_are_those_of_numpy(voxels: np.ndarray) -> None:
    found = measure_intensity(voxels)
    exact = voxels.astype(np.float64)
    assert (found.low, found.median, found.high) == pytest.approx(np.quantile(exact, [0.01, 0.5, 0.99]))
    assert (found.minimum, found.maximum) == (voxels.min(), voxels.max())
    assert found.zeros == pytest.approx((voxels == 0).mean())
    assert sum(found.histogram) == voxels.size
    assert len(found.histogram) == BINS


def test_large_volumes_are_sampled_evenly() -> None:
    voxels = np.tile(np.arange(128, dtype=np.float32), 2**17).reshape(256, 256, 256)
    found = measure_intensity(voxels[::-1])
    assert found.median == pytest.approx(63.5, abs=2)
    assert (found.minimum, found.maximum) == (0, 127)


@pytest.mark.parametrize("snr", [5, 20, 80])
def test_noise_is_estimated_inside_the_object(snr: float) -> None:
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.linspace(-1, 1, 160), np.linspace(-1, 1, 128), indexing="ij")
    smooth = 100 * (1 + 0.3 * np.cos(3 * x)) * (np.hypot(x, y) < 0.8)
    noise = smooth[smooth > 0].mean() / snr
    noisy = np.hypot(smooth + rng.normal(0, noise, smooth.shape), rng.normal(0, noise, smooth.shape))
    # the rim of the object and a noisy background at low ratios blur it
    assert signal_to_noise(noisy) == pytest.approx(snr, rel=0.25)


@pytest.mark.parametrize("plane", [np.zeros((8, 8)), np.ones((64, 64)), np.ones((1, 1)), np.ones((4, 4))])
def test_no_noise_gives_no_estimate(plane: np.ndarray) -> None:
    assert signal_to_noise(plane) is None


def test_clipped_values_are_counted() -> None:
    voxels = np.minimum(np.random.default_rng(1).rayleigh(100, (32, 32, 4)), 150).astype(np.float32)
    assert measure_intensity(voxels).saturated == pytest.approx((voxels == 150).mean())
