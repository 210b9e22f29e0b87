from __future__ import annotations

import pytest
import torch
import torchio
from monai.transforms import AdjustContrast

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import GammaDown, GammaUp
from scanproof.transforms.gamma import power_law

CASES = [(GammaUp, 1.4), (GammaUp, 3.0), (GammaDown, 0.86), (GammaDown, 0.3)]


@pytest.mark.parametrize(("shift", "gamma"), CASES)
def test_agrees_with_monai(brain, shift, gamma):
    assert brain.min() == 0
    image = 250 * brain
    theirs = AdjustContrast(gamma)(image).as_tensor()
    ours = shift(gamma=gamma)(image)
    # fainter signal is gained less, so that the gradient stays finite
    seen = brain > 1e-6
    torch.testing.assert_close(ours[seen], theirs[seen], rtol=1e-4, atol=1e-3)
    assert (ours[~seen] <= theirs[~seen] + 1e-3).all()


@pytest.mark.parametrize(("shift", "gamma"), CASES)
def test_agrees_with_torchio_where_the_maximum_is_one(brain, shift, gamma):
    assert brain.max() == 1
    theirs = torchio.Gamma(gamma)(brain[..., None])[..., 0]
    torch.testing.assert_close(shift(gamma=gamma)(brain), theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("shift", "gamma"), CASES)
@pytest.mark.parametrize("spatial", [(24, 26), (8, 10, 12)])
def test_coils_keep_phases_and_ratios(shift, gamma, spatial):
    images = torch.randn(3, *spatial, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    result = kspace_to_image(
        shift(gamma=gamma)(image_to_kspace(images, spatial_dims=len(spatial))), spatial_dims=len(spatial)
    )
    gain = result / images
    assert gain.imag.abs().max() < 1e-9
    torch.testing.assert_close(gain, gain[:1].expand_as(gain))
    before, after = (root_sum_of_squares(x, 0)[None] for x in (images, result))
    torch.testing.assert_close(after, shift(gamma=gamma)(before))


def test_sensitivities_stay(brain):
    maps = birdcage_sensitivities(4, brain.shape[1:])
    images = kspace_to_image(GammaDown(severity=5)(image_to_kspace(maps * (brain + 0.1))))
    combined = (maps.conj() * images).sum(0)
    torch.testing.assert_close(combined.real[None], GammaDown(severity=5)(brain + 0.1), rtol=1e-3, atol=1e-3)
    assert combined.imag.abs().max() < 1e-4


def test_scale_has_no_influence_and_channels_have_their_own_maximum(brain):
    result = GammaUp(severity=3)(torch.cat([brain, 1000 * brain]))
    torch.testing.assert_close(result[1], 1000 * result[0], rtol=1e-4, atol=1e-2)


def test_order_and_maximum_stay(image):
    for shift, gamma in CASES:
        result = shift(gamma=gamma)(image)
        assert torch.equal(result.flatten().argsort(), image.flatten().argsort())
        torch.testing.assert_close(result.max(), image.max())
        assert ((result <= image) if gamma > 1 else (result >= image * (1 - 1e-6))).all()


@pytest.mark.parametrize("gamma", [0.3, 1.4, 3.0])
def test_gradient_is_finite_where_there_is_no_signal(gamma):
    real = torch.tensor([[[0.0, 0.0, 1e-9, 0.5, 1.0]]], dtype=torch.float64)
    for images in (real, real.expand(1, 2, 5) * (1 + 1j)):
        leaf = images.clone().requires_grad_()
        power_law(leaf, gamma).abs().sum().backward()
        assert torch.isfinite(leaf.grad).all()
    leaf = torch.zeros(1, 1, 4, requires_grad=True)
    power_law(leaf, gamma).sum().backward()
    assert torch.isfinite(leaf.grad).all()


def test_half_precision():
    image = torch.tensor([[[0.0, 1000.0, 60000.0]]], dtype=torch.float16)
    torch.testing.assert_close(GammaUp(gamma=2)(image), torch.tensor([[[0.0, 16.67, 60000]]]).half(), rtol=2e-3, atol=0)


@pytest.mark.parametrize("gamma", [1, 0.5, -1, float("nan"), float("inf")])
def test_bad_gamma_up(gamma):
    with pytest.raises(ScanproofError, match=f"gamma_up: gamma must be above 1 and finite, got {gamma}"):
        GammaUp(gamma=gamma)


@pytest.mark.parametrize("gamma", [1, 1.5, 0, -1, float("nan")])
def test_bad_gamma_down(gamma):
    with pytest.raises(ScanproofError, match=rf"gamma_down: gamma must be in \(0, 1\), got {gamma}"):
        GammaDown(gamma=gamma)


def test_bits_do_not_depend_on_the_number_of_threads():
    threads = torch.get_num_threads()
    try:
        for extra in range(12):
            image = torch.rand(1, 181, 217 + extra, generator=torch.Generator().manual_seed(extra))
            results = []
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                results.append(GammaDown(severity=4)(image))
            assert torch.equal(results[0], results[1])
            assert torch.equal(results[0], results[2])
    finally:
        torch.set_num_threads(threads)
