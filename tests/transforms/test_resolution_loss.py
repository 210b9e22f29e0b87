from __future__ import annotations

import numpy as np
import pytest
import sigpy
import torch
from monai.transforms import RandSimulateLowResolution
from scipy.signal import windows

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import GibbsRinging, ResolutionLoss
from scanproof.transforms.resolution_loss import hamming


def spread(factor, size=193):
    point = torch.zeros(1, size, size, dtype=torch.float64)
    point[0, size // 2, size // 2] = 1
    return ResolutionLoss(factor=factor)(point)[0, size // 2].numpy()


def test_window_agrees_with_scipy():
    expected = windows.hamming(41)
    np.testing.assert_allclose(hamming(torch.linspace(-1, 1, 41, dtype=torch.float64)), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(24, 32), (16, 24, 32)])
@pytest.mark.parametrize("factor", [2, 4])
def test_agrees_with_a_cropped_acquisition(shape, factor):
    image = np.random.default_rng(1).random(shape) + 1
    # both ends of a half-open range of samples belong to the window
    matrix = [n // factor + 1 for n in shape]
    kspace = sigpy.resize(sigpy.fft(image), matrix)
    for axis, n in enumerate(matrix):
        kspace = kspace * windows.hamming(n).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    expected = np.abs(sigpy.ifft(sigpy.resize(kspace, shape)))
    # sigpy computes in single precision
    np.testing.assert_allclose(ResolutionLoss(factor=factor)(torch.from_numpy(image)[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("factor", [4, 8])
def test_point_spread(factor):
    profile = spread(factor)
    fine = np.interp(np.linspace(0, 192, 192 * 50 + 1), np.arange(193), profile)
    assert (fine > fine.max() / 2).sum() / 50 == pytest.approx(1.81 * factor, rel=0.02)
    lobes = profile / profile.max()
    lobes[96 - 2 * factor : 96 + 2 * factor + 1] = 0
    assert lobes.max() < 0.01


def test_no_ripples_unlike_gibbs():
    edge = torch.zeros(1, 96, 96)
    edge[..., 24:72] = 1
    assert ResolutionLoss(factor=3)(edge).max() < 1.01
    assert GibbsRinging(kept=1 / 3)(edge).max() > 1.07


def test_aliases_less_than_monai(brain):
    # stripes of the highest frequency vanish, where single pixels would keep them as wide stripes
    stripes = torch.ones(1, 30, 33)
    stripes[..., ::2] = 0
    theirs = RandSimulateLowResolution(1.0, zoom_range=(0.34, 0.34), upsample_mode="bilinear")(stripes)
    assert theirs.std() > 0.2
    assert ResolutionLoss(factor=3)(stripes)[..., 4:-4].std() < 0.02


@pytest.mark.parametrize("shape", [(2, 13, 16), (1, 9, 12, 11), (1, 70, 5, 6)])
def test_image_and_kspace_agree(shape):
    dims = len(shape) - 1
    image = torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 1
    shift = ResolutionLoss(severity=3)
    expected = kspace_to_image(shift(image_to_kspace(image, spatial_dims=dims)), spatial_dims=dims)
    torch.testing.assert_close(shift(image), expected.abs())


def test_coils_without_phase_agree_with_the_image(brain):
    coils = torch.stack([0.6 * brain[0], 0.8 * brain[0]])
    shift = ResolutionLoss(severity=4)
    from_kspace = kspace_to_image(shift(image_to_kspace(coils)))
    torch.testing.assert_close(root_sum_of_squares(from_kspace, 0)[None], shift(brain), atol=1e-4, rtol=0)


def test_constant_stays():
    with pytest.warns(UserWarning, match="nothing to change"):
        result = ResolutionLoss(factor=30)(torch.full((1, 16, 16), 2.0))
    torch.testing.assert_close(result, torch.full((1, 16, 16), 2.0))


@pytest.mark.parametrize("factor", [1, 0.5, -1, float("nan"), float("inf")])
def test_bad_options(factor):
    text = rf"resolution_loss: factor must be above 1 and finite, got {factor} \(severity=0 is the identity\)"
    with pytest.raises(ScanproofError, match=text):
        ResolutionLoss(factor=factor)
