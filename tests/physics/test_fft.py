from __future__ import annotations

import numpy as np
import pytest
import sigpy
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image

shapes = st.lists(st.integers(1, 9), min_size=2, max_size=4)


@settings(max_examples=30, deadline=None)
@given(shape=shapes, seed=st.integers(0, 2**31), spatial_dims=st.integers(1, 2))
def test_unitary_round_trip_and_adjoint(shape, seed, spatial_dims):
    g = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(*shape, dtype=torch.complex128, generator=g) for _ in range(2))
    k = image_to_kspace(x, spatial_dims=spatial_dims)
    torch.testing.assert_close(k.abs().square().sum(), x.abs().square().sum())
    torch.testing.assert_close(kspace_to_image(k, spatial_dims=spatial_dims), x)
    torch.testing.assert_close(
        torch.vdot(y.flatten(), k.flatten()),
        torch.vdot(kspace_to_image(y, spatial_dims=spatial_dims).flatten(), x.flatten()),
    )


@pytest.mark.parametrize(
    ("shape", "spatial_dims"),
    [((6, 8), 1), ((6, 8), 2), ((5, 7), 2), ((3, 6, 5), 2), ((3, 6, 5), 3), ((2, 4, 5, 6), 3)],
)
def test_agrees_with_sigpy_and_numpy(complex_normal, shape, spatial_dims):
    x = complex_normal(*shape)
    axes = tuple(range(-spatial_dims, 0))
    k = image_to_kspace(x, spatial_dims=spatial_dims).numpy()
    np.testing.assert_allclose(k, sigpy.fft(x.numpy(), axes=axes), atol=1e-12)
    numpy_k = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(x.numpy(), axes), axes=axes, norm="ortho"), axes)
    np.testing.assert_allclose(k, numpy_k, atol=1e-12)
    back = kspace_to_image(x, spatial_dims=spatial_dims).numpy()
    np.testing.assert_allclose(back, sigpy.ifft(x.numpy(), axes=axes), atol=1e-12)


@pytest.mark.parametrize("size", [6, 7])
def test_shift_by_one_pixel_is_a_linear_phase_about_the_centre(size):
    point = torch.zeros(1, size, dtype=torch.float64)
    point[0, size // 2 + 1] = 1
    u = torch.arange(size, dtype=torch.float64) - size // 2
    expected = torch.exp(-2j * torch.pi * u / size) / size**0.5
    torch.testing.assert_close(image_to_kspace(point, spatial_dims=1)[0], expected)


@pytest.mark.parametrize(
    ("given_dtype", "expected"),
    [
        (torch.float32, torch.complex64),
        (torch.float64, torch.complex128),
        (torch.complex64, torch.complex64),
        (torch.complex128, torch.complex128),
    ],
)
def test_precision_is_kept(given_dtype, expected):
    assert image_to_kspace(torch.zeros(1, 3, 4, dtype=given_dtype)).dtype == expected


def test_gradients(complex_normal):
    x = complex_normal(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(image_to_kspace, (x,))
    assert torch.autograd.gradcheck(kspace_to_image, (x,))


def test_too_few_axes():
    with pytest.raises(ScanproofError, match=r"shape: must have at least 2 axes, got \(5,\)"):
        image_to_kspace(torch.zeros(5))
