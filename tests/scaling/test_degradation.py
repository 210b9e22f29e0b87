"""What networks learn to undo."""

from __future__ import annotations

import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.scaling.degradation import GaussianNoise, LowResolution, Undersampling, make_degradation

ROWS = torch.linspace(0, 3.14, 32)
#: smooth: a disc that is bright in the middle
IMAGE = (torch.sin(ROWS)[:, None] * torch.sin(torch.linspace(0, 3.14, 40))).reshape(1, 1, 32, 40) ** 2
IMAGE = IMAGE / IMAGE.max()


def draw(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", ["denoising", "mri", "super_resolution"])
def test_noise_is_new_in_every_call_and_the_same_for_the_same_state(task: str) -> None:
    options = {"center_fraction": 0.1, "coils": 2} if task == "mri" else {}
    degradation = make_degradation(task, options)
    objects = degradation.objects(IMAGE.expand(3, -1, -1, -1), seeds=[1, 2, 3])
    first, second = (degradation.inputs(objects, generator=generator) for generator in [draw()] * 2)
    assert first.shape == (3, 1, 32, 40)
    assert first.dtype == torch.float32
    assert not torch.equal(first, second)
    assert torch.equal(first, degradation.inputs(objects, generator=draw()))
    quiet = degradation.inputs(objects, generator=draw(), disturb=[lambda data: 0.5 * data] * 3)
    assert quiet.mean() < 0.8 * first.mean()


def test_noise_has_the_published_size() -> None:
    noise = GaussianNoise()
    objects = noise.objects(torch.zeros(20, 1, 64, 64), seeds=range(20))
    assert float(noise.inputs(objects, generator=draw()).std()) == pytest.approx(25 / 255, rel=0.01)


def test_low_resolution_keeps_low_frequencies_and_nothing_else() -> None:
    low = LowResolution(factor=2, sigma=0)
    smooth = 1 + torch.cos(2 * torch.pi * 3 * torch.arange(32) / 32).reshape(1, 1, 32, 1).expand(1, 1, 32, 40)
    fine = 1 + torch.cos(2 * torch.pi * 12 * torch.arange(32) / 32).reshape(1, 1, 32, 1).expand(1, 1, 32, 40)
    for image, expected in ((smooth, smooth), (fine, torch.ones_like(fine))):
        given = low.inputs(low.objects(image.contiguous(), seeds=[1]), generator=draw())
        torch.testing.assert_close(given, expected.contiguous(), rtol=0, atol=1e-5)


def test_noise_of_low_resolution_is_that_of_the_small_image() -> None:
    """Zero-padding spreads the noise of a quarter of the samples over four times the pixels."""
    low = LowResolution(factor=2, sigma=0.1)
    objects = low.objects(torch.zeros(30, 1, 32, 32), seeds=range(30))
    assert float(low.inputs(objects, generator=draw()).std()) == pytest.approx(0.1, rel=0.1)


def test_all_lines_and_no_noise_give_the_image() -> None:
    full = Undersampling(acceleration=1, mask="full", coils=4, snr=1e9)
    given = full.inputs(full.objects(IMAGE, seeds=[1]), generator=draw())
    torch.testing.assert_close(given, IMAGE, rtol=0, atol=1e-5)


def test_undersampling_keeps_the_phase_of_an_object_and_moves_the_mask() -> None:
    scanner = Undersampling(center_fraction=0.1, coils=2, snr=1e9)
    objects = scanner.objects(IMAGE.expand(2, -1, -1, -1), seeds=[1, 2])
    assert not torch.equal(objects.images[0], objects.images[1])
    torch.testing.assert_close(objects[[1]].images, scanner.objects(IMAGE, seeds=[2]).images)
    given = {
        tuple(scanner.inputs(objects[[0]], generator=draw(seed)).mul(1e3).round().flatten().tolist())
        for seed in range(8)
    }
    assert 1 < len(given) <= 8


@pytest.mark.parametrize(
    ("task", "options", "rule"),
    [
        ("denoising", {"sigma": 0}, "sigma: must be positive and finite, got 0"),
        ("mri", {"snr": -1}, "snr: must be positive and finite, got -1"),
        ("super_resolution", {"factor": 1}, "factor: must be above 1, got 1"),
        ("super_resolution", {"sigma": -1}, "sigma: must be finite and at least 0, got -1"),
        ("deblurring", {}, "unknown scaling task, got 'deblurring'"),
    ],
)
def test_errors_name_the_value(task: str, options: dict, rule: str) -> None:
    with pytest.raises(ScanproofError, match=rule):
        make_degradation(task, options)
