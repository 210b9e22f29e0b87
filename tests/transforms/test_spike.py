from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchio
from hypothesis import given, settings, strategies as st
from monai.transforms import KSpaceSpikeNoise

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import Spike
from scanproof.transforms.spike import add_waves, spike_offsets


@settings(max_examples=20, deadline=None)
@given(
    shape=st.lists(st.integers(5, 16), min_size=2, max_size=3),
    spikes=st.integers(1, 3),
    intensity=st.floats(0.05, 1),
    seed=st.integers(0, 2**40),
)
def test_waves_in_the_image_are_spikes_in_kspace(shape, spikes, intensity, seed):
    image = torch.rand(1, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    shift = Spike(intensity=intensity, spikes=spikes, seed=seed)
    kspace = image_to_kspace(image, spatial_dims=len(shape))
    disturbed = shift(kspace)
    from_kspace = kspace_to_image(disturbed, spatial_dims=len(shape)).abs()
    torch.testing.assert_close(shift(image), from_kspace, rtol=1e-6, atol=1e-9)
    assert 1 <= int(((disturbed - kspace).abs() > 1e-9).sum()) <= spikes
    assert kspace.abs().max() == pytest.approx(float(image.sum()) / math.sqrt(image.numel()))


def test_every_coil_is_disturbed_in_its_own_phase(kspace):
    scaled = kspace * torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1)
    added = Spike(intensity=0.35, seed=2)(scaled) - scaled
    magnitude = kspace_to_image(scaled).abs().square().sum(dim=0, keepdim=True).sqrt()
    largest = image_to_kspace(magnitude).abs().max()
    place = (added.abs() > 1e-6).nonzero()
    assert place.shape == (3, 3)
    assert (place[:, 1:] == place[0, 1:]).all()
    values = added[tuple(place.T)]
    torch.testing.assert_close(values.abs(), (0.35 * largest).expand(3), rtol=1e-4, atol=0)
    assert values.angle().diff().abs().min() > 1e-3


def test_severities_scale_one_pattern(brain_kspace):
    weak, strong = (Spike(severity=s, seed=3)(brain_kspace) - brain_kspace for s in (1, 5))
    torch.testing.assert_close(strong, 10 * weak, rtol=1e-3, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(4, 300), min_size=2, max_size=3), seed=st.integers(0, 2**40))
def test_spikes_fall_on_a_ring(shape, seed):
    offset = spike_offsets(shape, 1, generator=torch.Generator().manual_seed(seed))[0]
    assert any(offset)
    assert all(0 <= n // 2 + k < n for n, k in zip(shape, offset, strict=True))
    distance = math.hypot(*(k / (n // 2) for n, k in zip(shape, offset, strict=True)))
    rounding = math.hypot(*(1 / (n // 2) for n in shape))
    assert 0.2 - rounding <= distance <= 0.6 + rounding


@pytest.mark.parametrize("shape", [(12, 15), (8, 9, 10)])
def test_agrees_with_torchio_but_for_the_magnitude(shape):
    """TorchIO's spike has no phase at the corner of the image, ours at its centre; it returns the real part."""
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1)) + 0.5
    index = [2, 5, 7][: len(shape)]
    volume = image if len(shape) == 3 else image[..., None]
    places = np.array([[(i + 0.5) / n for i, n in zip([*index, 0], volume.shape[1:], strict=False)]])
    theirs = torchio.Spike(spikes_positions=places, intensity=0.3)(volume).reshape(image.shape)
    offset = [i - n // 2 for i, n in zip(index, shape, strict=True)]
    turns = sum(k * (n // 2) / n for k, n in zip(offset, shape, strict=True))
    strength = torch.polar(torch.tensor([[0.3]]), torch.tensor([[2 * math.pi * turns]])).to(torch.complex128)
    ours = add_waves(image[None], [offset], strength)[0]
    amplitude = 0.3 * image.mean()
    wave = theirs - image
    assert wave.abs().max() <= amplitude * 1.001
    torch.testing.assert_close(ours, torch.hypot(theirs, (amplitude**2 - wave**2).clamp_min(0).sqrt()))


def test_agrees_with_monai_but_for_the_magnitude(image):
    """MONAI replaces the logarithm of the magnitude and keeps the phase: a spike of the difference."""
    clean = image_to_kspace(image)
    index = (5, 17)
    wanted = 0.4 * clean.abs().max()
    # MONAI's transform has the norm of the unscaled one, and neither centring of the image nor a magnitude
    theirs = KSpaceSpikeNoise(loc=index, k_intensity=float(torch.log(wanted * math.sqrt(image[0].numel()))))(image)
    raw = torch.fft.fftshift(torch.fft.fftn(image[0]))[index]
    offset = [5 - 12, 17 - 13]
    added = raw / raw.abs() * wanted * math.sqrt(image[0].numel()) - raw
    strength = added / image.sum() * torch.exp(2j * torch.pi * torch.tensor(-7 * 12 / 24 + 4 * 13 / 26))
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(26), indexing="ij")
    wave = added / image[0].numel() * torch.exp(2j * torch.pi * (offset[0] * rows / 24 + offset[1] * columns / 26))
    torch.testing.assert_close(theirs.as_tensor(), image + wave.real, rtol=1e-4, atol=1e-5)
    ours = add_waves(image[None], [offset], strength.reshape(1, 1))[0]
    torch.testing.assert_close(ours, (image + wave).abs(), rtol=1e-4, atol=1e-5)


def test_channels_are_disturbed_in_their_own_units(image):
    result = Spike(severity=4, seed=1)(torch.cat([image, 10 * image, 0 * image]))
    torch.testing.assert_close(result[1], 10 * result[0])
    assert (result[2] == 0).all()


def test_gradient_of_an_empty_channel_is_finite(image):
    given_image = torch.cat([image, 0 * image]).requires_grad_()
    Spike(severity=4, seed=1)(given_image).sum().backward()
    assert torch.isfinite(given_image.grad).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"intensity": 0}, r"spike: intensity must be positive and finite, got 0 \(severity=0 is the identity\)"),
        ({"severity": 1, "spikes": 0}, "spike: spikes must be at least 1, got 0"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        Spike(**options)
