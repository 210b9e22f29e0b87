from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.physics.lowpass import along_axis, low_pass, trigonometric_basis


def random(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 40), highest=st.floats(0, 30))
def test_basis_is_orthonormal_and_holds_every_low_frequency(size, highest):
    basis, periods = trigonometric_basis(size, highest)
    torch.testing.assert_close(basis @ basis.mT, torch.eye(len(basis), dtype=torch.float64))
    spectrum = np.fft.fft(basis.numpy(), axis=1)
    found = np.abs(np.fft.fftfreq(size, 1 / size))
    np.testing.assert_allclose(spectrum * (found != periods.numpy()[:, None]), 0, atol=1e-9)
    assert len(basis) >= (found <= highest).sum()


def test_whole_basis_spans_the_grid():
    for size in (1, 2, 7, 8):
        basis, _ = trigonometric_basis(size, size)
        assert basis.shape == (size, size)


@pytest.mark.parametrize("shape", [(2, 1, 9, 12), (1, 1, 8, 7, 10), (1, 2, 70, 5, 6)])
def test_image_and_kspace_are_filtered_alike(shape):
    image, dims = random(*shape), len(shape) - 2
    axes = tuple(range(-dims, 0))
    reach = [0.3 * shape[axis] for axis in axes]

    def window(distances):
        inside = sum(d / r for d, r in zip(distances, reach, strict=True)) < 1
        return torch.exp(-sum((d / 3) ** 2 for d in distances)) * inside

    filtered = low_pass(image_to_kspace(image, spatial_dims=dims), axes=axes, highest=reach, window=window)
    torch.testing.assert_close(
        low_pass(image, axes=axes, highest=reach, window=window) + 0j, kspace_to_image(filtered, spatial_dims=dims)
    )


@pytest.mark.parametrize("shape", [(5, 6), (1, 1, 16, 9), (1, 2, 4, 6, 5), (2, 1, 9, 70, 5), (1, 1, 3, 80, 4)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_along_axis_agrees_with_tensordot(shape, dtype):
    x = random(*shape, dtype=dtype)
    for axis in range(-min(len(shape), 3), 0):
        matrix = random(7, shape[axis], dtype=dtype)
        expected = np.moveaxis(np.tensordot(matrix.numpy(), x.numpy(), axes=(1, axis)), 0, axis)
        np.testing.assert_allclose(along_axis(x, matrix, axis=axis), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
@pytest.mark.parametrize("shape", [(1, 1, 233, 95), (1, 1, 33, 77), (1, 1, 5, 60, 24), (2, 3, 64, 17)])
def test_bits_do_not_depend_on_the_number_of_threads(shape, dtype):
    x = random(*shape, dtype=dtype)
    threads = torch.get_num_threads()
    try:
        for axis in range(2 - len(shape), 0):
            matrix, results = random(6, shape[axis], dtype=dtype), []
            for number in (1, 2, 3, 4, 8):
                torch.set_num_threads(number)
                results.append(along_axis(x, matrix, axis=axis))
            assert all(torch.equal(results[0], result) for result in results[1:])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("size", "highest", "text"),
    [
        (0, 1, "size must be at least 1, got 0"),
        (4, -1, "highest must be at least 0, got -1"),
        (4, float("nan"), "highest must be at least 0, got nan"),
    ],
)
def test_bad_arguments(size, highest, text):
    with pytest.raises(ScanproofError, match=text):
        trigonometric_basis(size, highest)
