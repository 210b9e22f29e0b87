from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.extent import object_extent
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import Wraparound
from scanproof.transforms.wraparound import fold_over


@settings(max_examples=30, deadline=None)
@given(data=st.data(), size=st.integers(1, 40))
def test_fold_over_sums_what_is_alike_modulo_the_width(data, size):
    width = data.draw(st.integers(1, size))
    first = data.draw(st.integers(0, size - width))
    values = torch.rand(size, 3, dtype=torch.float64)
    result = fold_over(values, axis=0, first=first, width=width)
    inside = np.arange(first, first + width)
    for column in range(3):
        sums = np.bincount(np.arange(size) % width, weights=values[:, column], minlength=width)
        np.testing.assert_allclose(result[inside, column], sums[inside % width])
    result[inside] = 0
    assert not result.any()


def test_is_a_coarser_sampling_of_kspace(brain):
    axis, (first, stop) = -1, object_extent(brain[None], axis=-1)[0]
    result = Wraparound(fold=0.2, axis=axis, seed=4)(brain).double()
    width = stop - first - round(0.2 * (stop - first))
    places = np.arange(brain.shape[-1])
    lines = np.exp(-2j * np.pi * np.outer(places, np.arange(width)) / width)
    aliased = brain[0].double().numpy() @ lines @ lines.conj().T / width
    inside = object_extent(result[None], axis=-1)[0]
    kept = slice(*inside)
    assert inside[1] - inside[0] == width
    np.testing.assert_allclose(result[0, :, kept], aliased[:, kept].real, atol=1e-6)
    assert np.abs(aliased.imag).max() < 1e-9


@pytest.mark.parametrize("fold", [0.05, 0.3, 0.5])
@pytest.mark.parametrize("axis", [0, -1])
def test_signal_is_kept_and_object_shrinks(brain, fold, axis):
    result = Wraparound(fold=fold, axis=axis, seed=2)(brain)
    torch.testing.assert_close(result.sum(), brain.sum())
    (before,), (after,) = (object_extent(x[None], axis=-2 if axis == 0 else -1) for x in (brain, result))
    extent = before[1] - before[0]
    assert after[1] - after[0] == extent - round(fold * extent)
    assert before[0] <= after[0] < after[1] <= before[1]


def test_both_sides_grow_with_severity(brain):
    starts = set()
    for seed in range(20):
        windows = [object_extent(Wraparound(severity=s, seed=seed)(brain)[None], axis=-1)[0] for s in range(6)]
        for (outer_first, outer_stop), (first, stop) in itertools.pairwise(windows):
            assert outer_first <= first < stop <= outer_stop
        starts.add(windows[5][0])
    assert len(starts) > 8


@pytest.mark.parametrize("spatial", [(40, 44), (12, 20, 24)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_kspace_of_one_coil_without_phase_is_as_its_image(spatial, axis):
    image = torch.rand(1, *spatial, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    image[..., :4] = 0
    shift = Wraparound(severity=4, axis=axis, seed=3)
    folded = kspace_to_image(shift(image_to_kspace(image, spatial_dims=len(spatial))), spatial_dims=len(spatial))
    torch.testing.assert_close(folded.real, shift(image))


def test_coil_images_interfere(brain_kspace):
    images = kspace_to_image(brain_kspace)
    result = kspace_to_image(Wraparound(severity=5, seed=1)(brain_kspace))
    torch.testing.assert_close(result.sum((-2, -1)), images.sum((-2, -1)), rtol=1e-3, atol=1e-3)
    magnitudes = Wraparound(severity=5, seed=1)(root_sum_of_squares(images, 0)[None])[0]
    assert float((root_sum_of_squares(result, 0) - magnitudes).norm() / magnitudes.norm()) > 0.05


def test_every_channel_folds_on_its_own(brain):
    channels = torch.cat([brain, brain.roll(4, -1) * 7])
    result = Wraparound(severity=3, seed=1)(channels)
    torch.testing.assert_close(result[1], result[0].roll(4, -1) * 7)
    assert torch.equal(result[:1], Wraparound(severity=3, seed=1)(brain))


def test_at_least_one_pixel():
    image = torch.zeros(1, 12, 12)
    image[..., 5:8] = 1
    (first, stop) = object_extent(Wraparound(severity=1)(image)[None], axis=-1)[0]
    assert stop - first == 2


def test_object_of_one_pixel_cannot_fold():
    image = torch.zeros(1, 8, 8)
    image[..., 4] = 1
    with pytest.warns(UserWarning, match="wraparound: there was nothing to change"):
        assert torch.equal(Wraparound(severity=5)(image), image)


@pytest.mark.parametrize("fold", [0, -1, 0.51, float("nan")])
def test_bad_fold(fold):
    with pytest.raises(ScanproofError, match=rf"wraparound: fold must be in \(0, 0.5\], got {fold} \(severity=0 is"):
        Wraparound(fold=fold)


def test_bad_axis(brain):
    with pytest.raises(ScanproofError, match=r"wraparound: axis must be in \[-2, 1\] for 2 spatial axes, got 2"):
        Wraparound(severity=1, axis=2)(brain)
