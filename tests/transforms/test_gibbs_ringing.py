from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.transforms import GibbsNoise
from scipy.special import sici

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import GibbsRinging
from scanproof.transforms.severity import GRADINGS

LEVELS = [level["kept"] for level in GRADINGS["gibbs_ringing"].levels]


def samples(*shape):
    return torch.ones(1, *shape, dtype=torch.complex64)


@pytest.mark.parametrize("shape", [(20, 30), (21, 25), (12, 10, 9)])
@pytest.mark.parametrize("kept", [0.05, 0.4, 1.0])
def test_mask_is_an_ellipsoid_in_kspace(shape, kept):
    axes = np.meshgrid(*(2 * (np.arange(n) - n // 2) / n for n in shape), indexing="ij")
    expected = sum(a**2 for a in axes) <= kept**2 + 1e-12
    np.testing.assert_array_equal(GibbsRinging(kept=kept)(samples(*shape))[0].abs(), expected.astype(np.float32))


def test_mask_on_a_small_square():
    cross = torch.zeros(5, 5)
    cross[2, 1:4] = cross[1:4, 2] = 1
    assert torch.equal(GibbsRinging(kept=0.4)(samples(5, 5))[0].real, cross)


@pytest.mark.parametrize("alpha", [0.35, 0.5, 0.7])
@pytest.mark.parametrize("shape", [(25, 25), (15, 15, 15)])
def test_agrees_with_monai_on_an_odd_square(shape, alpha):
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1))
    theirs = GibbsNoise(alpha)(image).as_tensor()
    # MONAI returns the real part
    ours = GibbsRinging(kept=math.sqrt(2) * (1 - alpha))(image)
    torch.testing.assert_close(ours, theirs.abs(), atol=1e-5, rtol=0)


def test_monai_cuts_nothing_but_corners_where_the_docstring_says_so():
    ones = np.ones((1, 25, 25), dtype=np.complex64)
    cut = np.argwhere(GibbsNoise(0.28)._apply_mask(ones)[0] == 0) - 12
    assert len(cut)
    assert (np.hypot(*cut.T) > 12.5).all()


@pytest.mark.parametrize("kept", LEVELS)
def test_only_kept_frequencies_are_left_in_a_volume(kept):
    image = torch.rand(1, 12, 15, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 5
    result = image_to_kspace(GibbsRinging(kept=kept)(image), spatial_dims=3)
    expected = GibbsRinging(kept=kept)(image_to_kspace(image, spatial_dims=3))
    torch.testing.assert_close(result, expected, atol=1e-9, rtol=0)


def test_overshoot_is_that_of_the_theory():
    edge = torch.zeros(1, 512, 512, dtype=torch.float64)
    edge[..., 128:384] = 1
    overshoot = float(GibbsRinging(kept=0.1)(edge).max()) - 1
    # Wilbraham and Gibbs: Si(pi) / pi - 1 / 2
    assert overshoot == pytest.approx(sici(math.pi)[0] / math.pi - 0.5, abs=1e-3)


def test_energy_lost_is_that_outside(brain):
    # magnitudes would lose less: the ripples of the complex image change sign
    kspace = image_to_kspace(brain)
    result = GibbsRinging(severity=3)(kspace)
    outside = GibbsRinging(severity=3)(samples(*brain.shape[1:]))[0].real == 0
    torch.testing.assert_close(
        kspace.norm() ** 2 - result.norm() ** 2, kspace[:, outside].norm() ** 2, rtol=1e-3, atol=0
    )


def test_mean_intensity_stays(brain):
    for kept in LEVELS:
        torch.testing.assert_close(GibbsRinging(kept=kept)(brain + 1).mean(), brain.mean() + 1, rtol=1e-4, atol=0)


def test_coils_without_phase_agree_with_the_image(brain):
    coils = torch.stack([0.6 * brain[0], 0.8 * brain[0]])
    from_kspace = kspace_to_image(GibbsRinging(severity=4)(image_to_kspace(coils)))
    torch.testing.assert_close(
        root_sum_of_squares(from_kspace, 0)[None], GibbsRinging(severity=4)(brain), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("kept", [0, -1, 1.01, float("nan")])
def test_bad_options(kept):
    text = rf"gibbs_ringing: kept must be in \(0, 1\], got {kept} \(severity=0 is the identity\)"
    with pytest.raises(ScanproofError, match=text):
        GibbsRinging(kept=kept)
