from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from monai.transforms import RandRicianNoise

from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import ComplexNoise


def noisy(data, seed=1, **options):
    return ComplexNoise(**options, seed=seed)(data)


@pytest.mark.parametrize("level", [0.05, 0.4])
def test_strength(brain, brain_kspace, level):
    noise = noisy(brain_kspace, level=level) - brain_kspace
    expected = level * brain.std(correction=0)
    for part in (noise.real, noise.imag):
        torch.testing.assert_close(part.std(), expected, rtol=0.02, atol=0)
        assert abs(part.mean()) < 4 * expected / part.numel() ** 0.5


def test_noise_is_white_and_independent_between_coils(brain_kspace):
    noise = noisy(brain_kspace, severity=3) - brain_kspace
    covariance = torch.cov(noise.flatten(1))
    power = covariance.diagonal().real.mean()
    assert (covariance - power * torch.eye(4)).abs().max() < 0.05 * power
    # white: the same power at the edge of k-space as in its middle
    middle = noise[:, 40:60, 50:70].abs().square().mean()
    torch.testing.assert_close(noise.abs().square().mean(), middle, rtol=0.08, atol=0)


def test_severities_scale_one_pattern(brain_kspace):
    weak, strong = (noisy(brain_kspace, severity=s) - brain_kspace for s in (1, 5))
    torch.testing.assert_close(strong, 8 * weak, rtol=1e-3, atol=1e-4)


def disc(radius=40, size=128):
    y, x = np.mgrid[:size, :size] - size // 2
    return torch.from_numpy((x**2 + y**2 < radius**2).astype("float32"))[None]


def test_one_coil_is_rician():
    image = disc()
    sigma = 0.3 * float(image.std(correction=0))
    result = noisy(image, level=0.3)
    for signal in (0.0, 1.0):
        values = result[image == signal].numpy()[:4000]
        assert scipy.stats.kstest(values, scipy.stats.rice(signal / sigma, scale=sigma).cdf).pvalue > 0.001


def test_several_coils_are_non_central_chi():
    image, coils = disc(), 6
    maps = birdcage_sensitivities(coils, image.shape[1:])
    result = noisy(image_to_kspace(maps * image), level=0.3)
    combined = root_sum_of_squares(kspace_to_image(result), 0)
    sigma = 0.3 * float(image.std(correction=0))
    for signal in (0.0, 1.0):
        values = (combined[image[0] == signal] / sigma).square().numpy()[:4000]
        law = scipy.stats.ncx2(2 * coils, (signal / sigma) ** 2) if signal else scipy.stats.chi2(2 * coils)
        assert scipy.stats.kstest(values, law.cdf).pvalue > 0.001


def test_same_law_as_monai():
    image = disc()
    monai = RandRicianNoise(prob=1, mean=0, std=0.2, relative=True, sample_std=False).set_random_state(seed=1)
    ours, theirs = noisy(image, level=0.2), monai(image.clone())
    for signal in (0.0, 1.0):
        assert scipy.stats.ks_2samp(ours[image == signal], theirs[image == signal].as_tensor()).pvalue > 0.001


def test_channels_have_their_own_strength(brain):
    result = noisy(torch.cat([brain, 10 * brain]), level=0.1) - torch.cat([brain, 10 * brain])
    assert 8 < float(result[1].std() / result[0].std()) < 12
    bright = brain[0] > 0.5  # where the magnitude does not bias the noise
    assert abs(np.corrcoef(result[0][bright], result[1][bright])[0, 1]) < 0.1


def test_gradient_does_not_change_the_noise(brain):
    """Images that want a gradient and those that do not take different ways to the same pattern."""
    plain = noisy(brain, severity=3)
    torch.testing.assert_close(noisy(brain.clone().requires_grad_(), severity=3).detach(), plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(noisy(brain.double(), severity=3).float(), plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1000.0])
def test_standard_deviation_of_many_parts(offset):
    volume = torch.rand(1, 70, 80, 60, generator=torch.Generator().manual_seed(4)) + offset
    std = 0.1 * float(volume.double().std(correction=0))
    if offset:  # far above the noise, where the magnitude sees the one channel of it
        np.testing.assert_allclose((noisy(volume, level=0.1) - volume).double().std(), std, rtol=5e-3)
    kspace = image_to_kspace(volume.double(), spatial_dims=3)
    np.testing.assert_allclose((noisy(kspace, level=0.1) - kspace).real.std(), std, rtol=5e-3)


def test_constant_channel_has_no_noise(brain):
    images = torch.cat([torch.full_like(brain, 0.3), brain])
    with pytest.warns(UserWarning, match="a constant image has no standard deviation, it got no noise"):
        result = noisy(images, severity=5)
    assert torch.equal(result[0], images[0])
    assert not torch.allclose(result[1], images[1])


def test_level_zero_is_refused():
    with pytest.raises(ValueError, match=r"complex_noise: level must be positive and finite, got 0 \(severity=0 is"):
        ComplexNoise(level=0)
