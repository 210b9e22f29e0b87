from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sigpy.mri import birdcage_maps

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import CoilDropout
from scanproof.transforms.coil_dropout import coil_weights


@settings(max_examples=30, deadline=None)
@given(coils=st.integers(2, 40), lost=st.floats(0.01, 0.99), more=st.floats(0.01, 0.99), data=st.data())
def test_weights(coils, lost, more, data):
    first = data.draw(st.integers(0, coils - 1))
    weights = coil_weights(coils, lost, first=first)
    assert float(weights.sum()) == pytest.approx(coils * (1 - lost))
    assert int((weights == 0).sum()) in (int(lost * coils), int(lost * coils) + 1)
    # the coils that are changed are neighbours on the circle, and the first is the first to go
    changed = weights < 1
    assert int((changed != changed.roll(1)).sum()) <= 2
    assert weights[first] == weights.min()
    low, high = sorted((lost, more))
    assert (coil_weights(coils, high, first=first) <= coil_weights(coils, low, first=first)).all()


def test_kspace_is_weighted_coil_by_coil(kspace):
    result = CoilDropout(lost=0.5, seed=1)(kspace)
    ratios = sorted(float((a / b).real.mean()) for a, b in zip(result, kspace, strict=True))
    np.testing.assert_allclose(ratios, [0, 0.5, 1], atol=1e-6)


def test_every_coil_can_be_the_first():
    kspace = torch.ones(5, 4, 4) + 0j
    firsts = {int(CoilDropout(lost=0.2, seed=seed)(kspace)[:, 0, 0].abs().argmin()) for seed in range(40)}
    assert firsts == set(range(5))


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_kspace_and_image_agree(brain, severity):
    """Eight birdcage coils that are really there, and the virtual ones of a magnitude image."""
    maps = birdcage_sensitivities(8, brain.shape[1:])
    images = kspace_to_image(CoilDropout(severity=severity, seed=6)(image_to_kspace(maps * brain)))
    expected = root_sum_of_squares(images, 0)[None]
    torch.testing.assert_close(CoilDropout(severity=severity, seed=6)(brain), expected, rtol=1e-4, atol=1e-5)


def test_shading_agrees_with_sigpy():
    maps = np.abs(birdcage_maps((6, 40, 44), dtype=np.complex128)) ** 2
    expected = np.sqrt(maps[[i for i in range(6) if i not in (1, 2, 3)]].sum(0))
    shift = CoilDropout(lost=0.5, coils=6)
    results = [shift(torch.ones(1, 40, 44), seed=seed)[0].numpy() for seed in range(40)]
    assert min(np.abs(result - expected).max() for result in results) < 1e-5


def test_volumes_are_shaded_alike_in_all_planes():
    result = CoilDropout(severity=4, seed=2)(torch.ones(1, 3, 20, 24))
    plane = CoilDropout(severity=4, seed=2)(torch.ones(1, 20, 24))
    torch.testing.assert_close(result, plane[:, None].expand_as(result))


@pytest.mark.parametrize("seed", range(4))
def test_the_side_of_the_lost_coils_is_the_darkest(seed):
    result = CoilDropout(lost=0.375, seed=seed)(torch.ones(1, 64, 64))[0]
    assert result.max() <= 1 + 1e-5
    assert result.min() < 0.65
    assert result.max() > 0.9
    row, column = (int(i) for i in np.unravel_index(int(result.argmin()), result.shape))
    assert {row, column} & {0, 63}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lost": 0}, r"coil_dropout: lost must be in \(0, 1\), got 0 \(severity=0 is the identity\)"),
        ({"lost": 1}, r"coil_dropout: lost must be in \(0, 1\), got 1"),
        ({"severity": 1, "coils": 1}, "coil_dropout: coils must be at least 2, got 1"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        CoilDropout(**options)


def test_a_single_coil_cannot_be_lost(kspace):
    with pytest.raises(ScanproofError, match="coil_dropout: k-space must have at least 2 coils, got 1"):
        CoilDropout(severity=1)(kspace[:1])
