from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.noise import complex_gaussian, rician


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
    for part in (noise.real, noise.imag, (noise.real + noise.imag) / 2**0.5):
        assert scipy.stats.kstest(part.flatten().numpy(), "norm", args=(0, 2.0)).pvalue > 0.001


def test_tails_are_gaussian():
    """Counts beyond 3, 4 and 4.5 standard deviations in eight million numbers."""
    noise = torch.view_as_real(draw((4_000_000,), 1.0)).flatten()
    for bound in (3.0, 4.0, 4.5):
        for tail in (noise > bound, noise < -bound):
            expected = scipy.stats.norm.sf(bound) * noise.numel()
            assert abs(int(tail.sum()) - expected) < 4 * expected**0.5


def test_neighbours_are_independent():
    """Also across the borders between what is drawn at a time."""
    noise = draw((300_000,), 1.0).numpy()
    for lag in (1, 2, 65535, 65536, 65537):
        assert abs(np.vdot(noise[:-lag], noise[lag:])) / (2 * (noise.size - lag)) < 4 / (noise.size - lag) ** 0.5
    starts = noise[::65536]
    assert len(set(starts)) == len(starts)


def test_threads_draw_the_same():
    threads = torch.get_num_threads()
    try:
        results = []
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            results.append(draw((3, 100_001), 1.0))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_state_of_the_generator_moves_on():
    generator = torch.Generator().manual_seed(1)
    first, second = (complex_gaussian((50,), std=1.0, generator=generator) for _ in range(2))
    assert not torch.isclose(first, second).any()


def test_rician_is_the_magnitude_of_complex_noise():
    images = torch.rand(3, 40, 900, generator=torch.Generator().manual_seed(2)).transpose(1, 2)
    before, std = images.clone(), [0.4, 0.0, 1.2]
    result = rician(images, std=std, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    noise = torch.stack([complex_gaussian((900, 40), std=one, generator=generator) for one in std])
    torch.testing.assert_close(result, (images + noise).abs(), rtol=1e-5, atol=1e-6)
    assert torch.equal(images, before)


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
    with pytest.raises(ScanproofError, match="std must be finite and at least 0, got"):
        rician(torch.ones(1, 2), std=[std], generator=torch.Generator())
