from __future__ import annotations

import numpy as np
import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coil_compression import compress_coils
from scanproof.physics.noise import complex_gaussian
from scanproof.physics.whitening import noise_covariance, whitening_matrix


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return complex_gaussian(shape, std=1.0, generator=torch.Generator().manual_seed(seed))


def test_covariance_is_numpys() -> None:
    values = noise(4, 400)
    found = noise_covariance(values).numpy()
    # NumPy takes the mean away and divides by n - 1
    mean = values.numpy().mean(axis=1)
    np.testing.assert_allclose(np.cov(values.numpy()) * 399 / 400 + np.outer(mean, mean.conj()), found, atol=1e-6)


def test_whitened_noise_has_covariance_one() -> None:
    mixed = noise(5, 5, seed=2) @ noise(5, 600) * 1e-9
    weights = whitening_matrix(noise_covariance(mixed))
    white = noise_covariance(weights @ mixed.to(torch.complex128))
    torch.testing.assert_close(white, torch.eye(5, dtype=torch.complex128), atol=1e-6, rtol=0)


def test_noise_that_cannot_be_whitened() -> None:
    one = noise(1, 400)
    for wrong in (torch.cat([one, one]), torch.cat([one, 0 * one]), torch.zeros(2, 400, dtype=torch.complex64)):
        with pytest.raises(ScanproofError, match="noise of the coils must be positive and independent"):
            whitening_matrix(noise_covariance(wrong))
    with pytest.raises(ScanproofError, match="must have at least 80 samples for 8 coils, got 79"):
        noise_covariance(noise(8, 79))
    with pytest.raises(ScanproofError, match="must be finite"):
        noise_covariance(one * float("nan"))


def test_virtual_coils_are_those_of_the_singular_value_decomposition() -> None:
    kspace = noise(6, 6, seed=3) @ noise(6, 80) * torch.linspace(0.1, 1, 80)
    virtual, kept = compress_coils(kspace.reshape(6, 10, 8), 3)
    _, values, right = np.linalg.svd(kspace.numpy().astype(complex), full_matrices=False)
    assert kept == pytest.approx((values[:3] ** 2).sum() / (values**2).sum(), rel=1e-5)
    found = virtual.reshape(3, 80).numpy()
    # up to a phase each
    agreement = np.abs((found * (values[:3, None] * right[:3]).conj()).sum(axis=1)) / values[:3] ** 2
    np.testing.assert_allclose(agreement, 1, atol=1e-4)


def test_compression_keeps_white_noise_white() -> None:
    virtual, _ = compress_coils(noise(6, 64, 48), 6)
    torch.testing.assert_close(
        noise_covariance(virtual.flatten(1)), 2 * torch.eye(6, dtype=torch.complex128), atol=0.15, rtol=0
    )
    with pytest.raises(ScanproofError, match=r"coils: must be in \[1, 6\], the number of coils, got 7"):
        compress_coils(noise(6, 8, 8), 7)
