from __future__ import annotations

import pytest
import scipy.stats
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.noise import complex_gaussian


def draw(shape, std, seed=5):
    return complex_gaussian(shape, std=std, generator=torch.Generator().manual_seed(seed))


def test_moments_are_per_part():
    noise = draw((400, 500), 0.7)
    assert noise.dtype == torch.complex64
    for part in (noise.real, noise.imag):
        assert abs(float(part.mean())) < 4 * 0.7 / 200000**0.5
        assert float(part.std()) == pytest.approx(0.7, rel=0.01)
    assert abs(float((noise.real * noise.imag).mean())) < 4 * 0.49 / 200000**0.5
    # circular: the pseudo-variance vanishes
    assert abs(complex((noise**2).mean())) < 0.01


def test_is_gaussian():
    noise = draw((100, 50), 2.0)
    assert scipy.stats.kstest(noise.real.flatten().numpy(), "norm", args=(0, 2.0)).pvalue > 0.001


@pytest.mark.parametrize("signal", [0.0, 0.5, 3.0])
def test_magnitude_is_rician(signal):
    std = 0.5
    magnitude = (signal + draw((300, 300), std)).abs()
    rice = scipy.stats.rice(signal / std, scale=std)
    assert float(magnitude.mean()) == pytest.approx(rice.mean(), abs=4 * rice.std() / 300)
    assert scipy.stats.kstest(magnitude.flatten()[:5000].numpy(), rice.cdf).pvalue > 0.001


def test_scales_the_same_pattern():
    torch.testing.assert_close(draw((3, 4), 2.0), 2 * draw((3, 4), 1.0))
    assert torch.equal(draw((3, 4), 0.0), torch.zeros(3, 4, dtype=torch.complex64))


@pytest.mark.parametrize("std", [-1.0, float("nan"), float("inf")])
def test_bad_std(std):
    with pytest.raises(ScanproofError, match="std must be finite and at least 0, got"):
        draw((2, 2), std)
