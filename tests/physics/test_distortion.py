from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings, strategies as st

from scanproof.physics import distortion
from scanproof.physics.distortion import displace_signal


def random(*shape, dtype=torch.float64, seed=1):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_no_displacement_is_the_identity():
    for dtype in (torch.float64, torch.complex128):
        image = random(2, 3, 7, 9, dtype=dtype)
        torch.testing.assert_close(displace_signal(image, torch.zeros(7, 9).double(), axis=-2), image)


@pytest.mark.parametrize("axis", [-1, -2, -3])
@pytest.mark.parametrize("pixels", [-3, 2])
def test_whole_pixels(axis, pixels):
    image = torch.zeros(2, 16, 16, 16, dtype=torch.float64)
    image[:, 4:12, 4:12, 4:12] = random(2, 8, 8, 8)
    shifted = displace_signal(image, torch.full((16, 16, 16), pixels).double(), axis=axis)
    torch.testing.assert_close(shifted, image.roll(pixels, axis))


def test_half_a_pixel_by_hand():
    # Catmull-Rom weights at one half: -1/16, 9/16, 9/16, -1/16
    image = torch.zeros(1, 8, dtype=torch.float64)
    image[0, 4] = 16
    shifted = displace_signal(image, torch.full((1, 8), 0.5).double(), axis=-1)
    torch.testing.assert_close(shifted, torch.tensor([[0, 0, 0, -1.0, 9, 9, -1, 0]]).double())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(16, 60), largest=st.floats(0, 4), dims=st.integers(1, 3))
def test_amount_of_signal_is_kept(seed, size, largest, dims):
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(*(5,) * (dims - 1), size, dtype=torch.complex128)
    image[..., 7 : size - 7] = torch.randn(image[..., 14:].shape, dtype=image.dtype, generator=generator)
    displacement = largest * (2 * torch.rand(image.shape, dtype=torch.float64, generator=generator) - 1)
    moved = displace_signal(image, displacement, axis=-1)
    torch.testing.assert_close(moved.sum(-1), image.sum(-1))


def test_agrees_with_the_continuous_law():
    u, v = np.meshgrid(np.arange(64.0), np.arange(80.0), indexing="ij")

    def image(x, y):
        return np.exp(-((x - 33) ** 2) / 150 - (y - 41) ** 2 / 200) * (1 + 0.3 * np.cos(x / 5))

    d = 4 * np.sin(2 * np.pi * v / 80 + 0.4) * np.cos(np.pi * u / 64)
    rise = 4 * 2 * np.pi / 80 * np.cos(2 * np.pi * v / 80 + 0.4) * np.cos(np.pi * u / 64)
    moved = displace_signal(torch.from_numpy(image(u, v)), torch.from_numpy(d), axis=-1)
    np.testing.assert_allclose(moved, image(u, v - d) * (1 - rise), atol=2e-3)
    scipys = scipy.ndimage.map_coordinates(image(u, v), (u, v - d), order=3) * (1 - np.gradient(d, axis=1))
    np.testing.assert_allclose(moved[:, 2:-2], scipys[:, 2:-2], atol=3e-3)


def test_is_linear():
    displacement = 2 * torch.sin(torch.arange(20.0).double() / 3)
    a, b = random(4, 20), random(4, 20, seed=2)
    moved = displace_signal(torch.complex(a, b), displacement[None], axis=-1)
    torch.testing.assert_close(moved.real, displace_signal(a, displacement[None], axis=-1))
    torch.testing.assert_close(moved.imag, displace_signal(b, displacement[None], axis=-1))


@pytest.mark.parametrize("axis", [-1, -2, -3])
def test_blocks_do_not_show(monkeypatch, axis):
    image, displacement = random(2, 3, 6, 7, 8), 3 * random(2, 1, 6, 7, 8, seed=2)
    whole = displace_signal(image, displacement, axis=axis)
    for block in (1, 200):
        monkeypatch.setattr(distortion, "_BLOCK", block)
        assert torch.equal(displace_signal(image, displacement, axis=axis), whole)
        shared = displacement[0, 0]
        torch.testing.assert_close(displace_signal(image, shared, axis=axis)[0], whole[0])


def test_gradients():
    image, displacement = random(2, 5, 6).requires_grad_(), (0.6 * random(5, 6, seed=2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, d: displace_signal(x, d, axis=-1), (image, displacement))


def test_single_precision():
    image, displacement = random(3, 512).abs(), 8 * torch.sin(torch.arange(512.0).double() / 80)[None]
    exact = displace_signal(image, displacement, axis=-1)
    single = displace_signal(image.float(), displacement.float(), axis=-1)
    assert single.dtype == torch.float32
    assert float((single - exact).norm() / exact.norm()) < 1e-4
