from __future__ import annotations

import numpy as np
import pytest
import sigpy.mri
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares


@pytest.mark.parametrize("shape", [(32, 40), (31, 17), (5, 4)])
@pytest.mark.parametrize("coils", [1, 2, 5, 8])
@pytest.mark.parametrize("radius", [1.5, 2.5])
def test_agrees_with_sigpy(coils, shape, radius):
    ours = birdcage_sensitivities(coils, shape, radius=radius).numpy()
    theirs = sigpy.mri.birdcage_maps((coils, *shape), r=radius)
    theirs /= np.sqrt((np.abs(theirs) ** 2).sum(0))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("coils", [1, 3, 8])
@pytest.mark.parametrize("shape", [(6, 7), (3, 6, 7)])
def test_root_sum_of_squares_is_one(coils, shape):
    maps = birdcage_sensitivities(coils, shape)
    assert maps.shape == (coils, *shape)
    torch.testing.assert_close(root_sum_of_squares(maps, 0), torch.ones(shape))


def test_volume_repeats_the_slice():
    volume = birdcage_sensitivities(4, (3, 6, 7))
    assert torch.equal(volume[:, 2], birdcage_sensitivities(4, (6, 7)))


def test_root_sum_of_squares_gradient_is_finite_at_zero():
    x = torch.zeros(3, 2, dtype=torch.complex64, requires_grad=True)
    root_sum_of_squares(x, 0).sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize(
    ("coils", "shape", "radius", "text"),
    [
        (0, (4, 4), 1.5, "coils must be at least 1, got 0"),
        (2, (4,), 1.5, r"shape must hold at least two positive sizes, got \(4,\)"),
        (2, (4, 0), 1.5, r"shape must hold at least two positive sizes, got \(4, 0\)"),
        (2, (4, 4), 1.0, r"radius must be above sqrt\(2\) half fields of view, got 1.0"),
    ],
)
def test_bad_options(coils, shape, radius, text):
    with pytest.raises(ScanproofError, match=text):
        birdcage_sensitivities(coils, shape, radius=radius)
