from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.physics.extent import object_extent
from scanproof.physics.fft import centred_fft


@settings(max_examples=30, deadline=None)
@given(data=st.data(), shape=st.lists(st.integers(4, 20), min_size=2, max_size=3))
def test_box(data, shape):
    image = torch.zeros(1, 2, *shape)
    box = []
    for size in shape:
        first = data.draw(st.integers(0, size - 1))
        box.append((first, data.draw(st.integers(first + 1, size))))
    image[(..., *(slice(*side) for side in box))] = 3.5
    for axis, side in zip(range(-len(shape), 0), box, strict=True):
        assert object_extent(image, axis=axis) == [side]


def test_threshold_is_a_fifth_of_the_maximum():
    image = torch.tensor([0.0, 0.19, 0.21, 1.0, 0.0, 0.21, 0.0]).expand(1, 1, 3, 7)
    assert object_extent(image, axis=-1) == [(2, 6)]


def test_every_image_has_its_own():
    image = torch.zeros(3, 1, 4, 9)
    image[0, ..., 2:4] = 1
    image[1, ..., 5:] = 100
    assert object_extent(image, axis=-1) == [(2, 4), (5, 9), (0, 9)]


@pytest.mark.parametrize("axis", [-1, -2])
def test_other_axes_may_hold_kspace(axis):
    image = torch.zeros(1, 3, 20, 24, dtype=torch.complex64)
    image[..., 6:15, 3:20] = torch.randn(3, 9, 17, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    hybrid = centred_fft(image, axes=(-3 - axis,))
    assert object_extent(hybrid, axis=axis) == object_extent(image, axis=axis) == [{-1: (3, 20), -2: (6, 15)}[axis]]


def test_noise_in_the_background_does_not_count():
    image = torch.zeros(1, 1, 64, 64)
    image[..., 20:44, 24:40] = 1
    noise = torch.randn(image.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    assert object_extent((image + 0.07 * noise).abs(), axis=-1) == [(24, 40)]
