from __future__ import annotations

import numpy as np
import pytest
import torch
import torchio
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import Ghosting
from scanproof.transforms.ghosting import ghost_weights


@pytest.mark.parametrize("axis", [-1, -2, 0, 1])
@pytest.mark.parametrize("ghosts", [2, 4, 6])
def test_ghosts_stand_at_fractions_of_the_field_of_view(axis, ghosts):
    size, intensity = 48, 0.5
    point = torch.zeros(1, size, size, dtype=torch.float64)
    point[0, 24, 24] = 1
    result = Ghosting(ghosts=ghosts, intensity=intensity, axis=axis, center_fraction=0, seed=1)(point)
    along = result[0, :, 24] if axis in (-2, 0) else result[0, 24, :]
    at = (24 + np.arange(ghosts) * size // ghosts) % size
    # the protected centre line takes at most intensity / size away
    np.testing.assert_allclose(along[at[0]], 1 - intensity / ghosts, atol=intensity / size + 1e-9)
    np.testing.assert_allclose(along[at[1:]], intensity / ghosts, atol=intensity / size + 1e-9)
    along[at] = 0
    assert along.max() < intensity / size + 1e-9
    assert result[0, 3, 5] < 1e-9


@settings(max_examples=30, deadline=None)
@given(
    lines=st.integers(16, 200),
    ghosts=st.integers(2, 8),
    center=st.floats(0, 0.3),
    data=st.data(),
    intensity=st.floats(0.1, 1),
)
def test_weights(lines, ghosts, center, data, intensity):
    first = data.draw(st.integers(0, ghosts - 1))
    weights = ghost_weights(lines, ghosts=ghosts, intensity=intensity, center_fraction=center, first=first)
    weak = torch.nonzero(weights != 1).flatten()
    assert (weak % ghosts == first).all()
    assert (weights[weak] == 1 - intensity).all()
    distance = (weak - lines // 2).abs().min()
    assert distance > center * lines / 2 - 1
    assert weights[lines // 2] == 1


@pytest.mark.parametrize("shape", [(32, 36), (33, 35)])
@pytest.mark.parametrize(("ghosts", "intensity"), [(3, 0.2), (7, 0.6), (11, 1.0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_agrees_with_torchio(shape, ghosts, intensity, axis):
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1))
    theirs = torchio.Ghosting(num_ghosts=ghosts, axis=axis, intensity=intensity, restore=None)(image[..., None])[..., 0]
    weights = ghost_weights(shape[axis], ghosts=ghosts, intensity=intensity).float()
    weights = weights.reshape(-1, 1) if axis == 0 else weights
    ours = kspace_to_image(image_to_kspace(image) * weights)
    # TorchIO returns the real part
    torch.testing.assert_close(ours.real, theirs, atol=1e-5, rtol=0)


def test_transform_applies_the_weights(kspace):
    result = Ghosting(severity=3, seed=2)(kspace)
    ratio = (result / kspace).real
    combs = [ghost_weights(26, ghosts=5, intensity=0.6, first=f).float() for f in range(5)]
    assert any(torch.allclose(ratio, comb.expand_as(ratio), atol=1e-4) for comb in combs)


@pytest.mark.parametrize("axis", [-1, -2, -3])
def test_images_are_weighted_as_their_kspace(axis):
    """Without going there; the parts that volumes are cut into do not show."""
    volume = torch.rand(2, 70, 90, 110, generator=torch.Generator().manual_seed(1))
    shift = Ghosting(severity=4, axis=axis, seed=3)
    for image in volume:
        kspace = image_to_kspace(image[None].double(), spatial_dims=3)
        expected = kspace_to_image(shift(kspace), spatial_dims=3).abs().float()
        torch.testing.assert_close(shift(image[None]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("ghosts", "combs"),
    [(8, {(1, 9, 17, 25)}), (5, {(0, 5, 10, 15, 20, 25), (1, 6, 11, 16, 21)}), (2, {tuple(range(0, 26, 2))})],
)
def test_centre_is_midway_between_weakened_lines(kspace, ghosts, combs):
    """The centre of 26 lines is line 13."""
    shift = Ghosting(ghosts=ghosts, intensity=1)
    assert {tuple((shift(kspace, seed=n)[0, 0] == 0).nonzero().flatten().tolist()) for n in range(20)} == combs


def test_protected_band(kspace):
    lost = (Ghosting(ghosts=2, intensity=1, center_fraction=0.4)(kspace)[0, 0] == 0).nonzero().flatten().tolist()
    assert lost == [0, 2, 4, 6, 20, 22, 24]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ghosts": 1, "intensity": 0.5}, "ghosting: ghosts must be at least 2, got 1"),
        ({"ghosts": 2.5, "intensity": 0.5}, "ghosting: ghosts must be a whole number, got 2.5"),
        ({"ghosts": 2, "intensity": 1.5}, r"ghosting: intensity must be in \(0, 1\], got 1.5"),
        ({"ghosts": 2, "intensity": 0.0}, r"intensity must be in \(0, 1\], got 0.0 \(severity=0 is the identity\)"),
        ({"severity": 1, "center_fraction": 1}, r"ghosting: center_fraction must be in \[0, 1\), got 1"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        Ghosting(**options)


def test_no_line_to_weaken():
    with pytest.raises(ScanproofError, match=r"must leave lines to weaken outside the k-space centre, got 4 \(4 lines"):
        ghost_weights(4, ghosts=4, intensity=1, first=2)
