from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import FieldStrength
from scanproof.transforms.field_strength import contrast_exponent


def tissues():
    """A disc of two tissues on an empty background."""
    y, x = np.mgrid[:96, :96] - 48
    image = np.where(x**2 + y**2 < 40**2, np.where(x < 0, 1.0, 0.6), 0.0)
    return torch.from_numpy(image)[None]


@pytest.mark.parametrize("ratio", [0.5, 0.2, 0.07])
def test_signal_to_noise_ratio_falls_with_the_field(ratio):
    """Noise of the assumed level, as it would be in the data, and the added one make the expected sum."""
    image, snr = tissues(), 25.0
    signal = float(image[image > 0].mean())
    clean, noisy = (FieldStrength(ratio=ratio, snr=s, seed=1)(image_to_kspace(image)) for s in (1e9, snr))
    noise = kspace_to_image(noisy) - kspace_to_image(clean)
    for part in (noise.real, noise.imag):
        total = math.hypot(float(part.std()), signal / snr)
        assert signal / total == pytest.approx(snr * ratio, rel=0.03)
        assert scipy.stats.kstest((part / part.std()).flatten()[:3000].numpy(), "norm").pvalue > 0.001


@pytest.mark.parametrize("ratio", [0.5, 0.07])
def test_contrast_shrinks_and_the_mean_stays(ratio):
    image = tissues()
    result = FieldStrength(ratio=ratio, snr=1e9)(image)
    inside = image > 0
    torch.testing.assert_close(result[inside].mean(), image[inside].mean())
    high, low = result[image == 1].mean(), result[image == 0.6].mean()
    assert float(torch.log(high / low)) == pytest.approx(contrast_exponent(ratio) * math.log(1 / 0.6), rel=1e-5)
    assert (result[~inside] < 1e-6).all()


@pytest.mark.parametrize("ratio", [0.7, 0.33, 0.12])
def test_exponent_is_that_of_a_saturation_recovery(ratio):
    """Two tissues whose T1 differ by a little, seen at both fields with the same repetition time."""
    repetition, times = 500.0, np.array([1000.0, 1001.0])
    contrasts = [np.diff(np.log(-np.expm1(-repetition / t)))[0] for t in (times, times * ratio ** (1 / 3))]
    assert contrast_exponent(ratio) == pytest.approx(contrasts[1] / contrasts[0], rel=2e-3)


def test_kspace_and_image_have_the_same_contrast(brain, brain_kspace):
    image = root_sum_of_squares(kspace_to_image(brain_kspace), 0)[None]
    shift = FieldStrength(severity=5, snr=1e9)
    from_kspace = root_sum_of_squares(kspace_to_image(shift(brain_kspace)), 0)[None]
    torch.testing.assert_close(from_kspace, shift(image), rtol=1e-3, atol=1e-4)


def test_background_is_not_amplified_without_end():
    image = tissues()
    image[image == 0] = 1e-6
    result = FieldStrength(ratio=0.07, snr=1e9)(image)
    assert result[image == 1e-6].max() < 3e-6


def test_gradient_is_finite_where_the_image_is_zero():
    image = tissues().requires_grad_()
    FieldStrength(severity=3)(image).sum().backward()
    assert torch.isfinite(image.grad).all()


def test_severities_scale_one_noise(brain_kspace):
    noises = []
    for ratio in (0.5, 0.07):
        noisy, clean = (FieldStrength(ratio=ratio, snr=snr, seed=3)(brain_kspace) for snr in (40, 1e9))
        noises.append((noisy - clean) / math.sqrt(ratio**-2 - 1))
    torch.testing.assert_close(*noises, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ratio": 1}, r"field_strength: ratio must be in \(0, 1\), got 1 \(severity=0 is the identity\)"),
        ({"ratio": 0}, r"field_strength: ratio must be in \(0, 1\), got 0"),
        ({"severity": 1, "snr": 0}, "field_strength: snr must be positive and finite, got 0"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        FieldStrength(**options)
