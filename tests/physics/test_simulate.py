from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.simulate import smooth_phase, synthetic_kspace


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=20, deadline=None)
@given(shape=st.lists(st.integers(1, 12), min_size=1, max_size=3), seed=st.integers(0, 2**31))
def test_phase_range_and_dtype(shape, seed):
    phase = smooth_phase(shape, generator=seeded(seed), scale=2.0)
    assert phase.shape == tuple(shape)
    assert phase.dtype == torch.float32
    assert phase.abs().max() <= 2.0


def test_phase_is_smooth_and_independent_of_resolution():
    fine = smooth_phase((120, 120), generator=seeded())
    coarse = smooth_phase((40, 40), generator=seeded())
    assert fine.abs().max() == pytest.approx(torch.pi, abs=1e-5)
    # the steepest possible term turns by pi * 3 half periods * pi / 120 a pixel, times a few terms
    assert fine.diff(dim=0).abs().max() < 0.5
    # the middle of every 3 x 3 block of fine pixels is the centre of a coarse one; the peak is resampled too
    torch.testing.assert_close(fine[1::3, 1::3], coarse, rtol=0, atol=0.05)


@pytest.mark.parametrize("shape", [(24, 30), (23, 17), (4, 9, 10)])
def test_without_noise_the_coils_combine_to_the_image(shape):
    magnitude = torch.rand(1, *shape, generator=seeded())
    maps = birdcage_sensitivities(5, shape)
    kspace = synthetic_kspace(magnitude, maps, generator=seeded())
    assert kspace.shape == (5, *shape)
    assert kspace.dtype == torch.complex64
    images = kspace_to_image(kspace, spatial_dims=len(shape))
    torch.testing.assert_close(root_sum_of_squares(images, 0), magnitude[0], rtol=1e-4, atol=1e-5)
    combined = (maps.conj() * images).sum(0)
    phase = smooth_phase(shape, generator=seeded())
    torch.testing.assert_close(combined, torch.polar(magnitude[0], phase), rtol=1e-4, atol=1e-5)


def test_noise_is_added_without_changing_the_phase():
    magnitude, maps = torch.rand(1, 64, 60, generator=seeded()), birdcage_sensitivities(4, (64, 60))
    clean = synthetic_kspace(magnitude, maps, generator=seeded(3))
    noisy = synthetic_kspace(magnitude, maps, generator=seeded(3), noise_std=0.2)
    difference = noisy - clean
    assert float(difference.real.std()) == pytest.approx(0.2, rel=0.03)
    assert float(difference.imag.std()) == pytest.approx(0.2, rel=0.03)
    assert torch.equal(noisy, synthetic_kspace(magnitude, maps, generator=seeded(3), noise_std=0.2))


GOOD, MAPS = torch.ones(1, 4, 6), birdcage_sensitivities(2, (4, 6))


@pytest.mark.parametrize(
    ("magnitude", "maps", "text"),
    [
        (GOOD + 0j, MAPS, "magnitude: must be real, got 'torch.complex64'"),
        (GOOD, MAPS.real, "sensitivities: must be complex, got 'torch.float32'"),
        (GOOD[0], MAPS, r"magnitude: must be \(1, \*spatial\) .*\(4, 6\), got \(4, 6\)"),
        (torch.ones(1, 6, 4), MAPS, r"got \(1, 6, 4\)"),
        (-GOOD, MAPS, "magnitude: must be finite and non-negative everywhere"),
        (GOOD * float("nan"), MAPS, "magnitude: must be finite and non-negative everywhere"),
        (GOOD * float("inf"), MAPS, "magnitude: must be finite and non-negative everywhere"),
    ],
)
def test_bad_input(magnitude, maps, text):
    with pytest.raises(ScanproofError, match=text):
        synthetic_kspace(magnitude, maps, generator=seeded())


@pytest.mark.parametrize(("shape", "scale", "text"), [((), 1, "shape must hold"), ((3, 3), -1, "scale must be finite")])
def test_bad_phase(shape, scale, text):
    with pytest.raises(ScanproofError, match=text):
        smooth_phase(shape, generator=seeded(), scale=scale)
