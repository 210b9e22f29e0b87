from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings, strategies as st

from scanproof.reconstruction.proximal import (
    TotalVariationProximal,
    WaveletProximal,
    differences,
    differences_adjoint,
    fista,
    from_parts,
    shrink,
    to_parts,
)
from scanproof.reconstruction.wavelet import PeriodicWavelet

sizes = st.integers(1, 12)


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def total_variation(image: np.ndarray) -> float:
    """Written out anew, without what is tested."""
    down, right = np.zeros_like(image), np.zeros_like(image)
    down[:-1], right[:, :-1] = image[1:] - image[:-1], image[:, 1:] - image[:, :-1]
    return float(np.sqrt(np.abs(down) ** 2 + np.abs(right) ** 2).sum())


@settings(max_examples=20, deadline=None)
@given(sizes, sizes)
def test_differences_and_their_adjoint(height: int, width: int) -> None:
    x, y = noise(3, height, width).real, noise(2, 3, height, width, seed=2).real
    torch.testing.assert_close((differences(x) * y).sum(), (x * differences_adjoint(y)).sum())


@settings(max_examples=20, deadline=None)
@given(sizes, sizes, st.floats(0.01, 3), st.integers(0, 99))
def test_total_variation_has_no_duality_gap(height: int, width: int, weight: float, seed: int) -> None:
    """No point is better by more than the gap, whatever the solver: the dual variable proves it."""
    image = noise(1, height, width, seed=seed)
    proximal = TotalVariationProximal(steps=300)
    found = proximal(image, torch.tensor(weight, dtype=torch.float64).reshape(1, 1, 1))
    assert proximal.dual is not None
    assert proximal.dual.square().sum(dim=(0, 1)).sqrt().max() <= weight * (1 + 1e-9)
    field = from_parts(differences_adjoint(proximal.dual))
    primal = 0.5 * (found - image).abs().square().sum() + weight * total_variation(found[0].numpy())
    dual = 0.5 * image.abs().square().sum() - 0.5 * (image - field).abs().square().sum()
    assert -1e-9 < (primal - dual) / primal.clamp(min=1e-9) < 1e-3


def test_total_variation_continues_from_the_last_call() -> None:
    image, weight = noise(1, 16, 20), torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    exact = TotalVariationProximal(steps=2000)(image, weight)
    proximal = TotalVariationProximal(steps=5)
    errors = [(proximal(image, weight) - exact).norm().item() for _ in range(6)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2 * errors[0]


def test_weight_zero_changes_nothing() -> None:
    image, zero = noise(1, 8, 8).to(torch.complex64), torch.zeros(1, 1, 1)
    wavelet = WaveletProximal(PeriodicWavelet((8, 8), levels=2, vanishing_moments=2))
    torch.testing.assert_close(TotalVariationProximal(steps=3)(image, zero), image)
    torch.testing.assert_close(wavelet(image, zero), image)


@settings(max_examples=30, deadline=None)
@given(st.complex_numbers(max_magnitude=10, allow_nan=False, allow_infinity=False), st.floats(0, 5))
def test_shrink_is_the_best_of_all_numbers(value: complex, threshold: float) -> None:
    number = torch.tensor(value, dtype=torch.complex128)
    found = from_parts(shrink(to_parts(number), torch.tensor(threshold, dtype=torch.float64))).item()
    axis = np.linspace(-10, 10, 401)
    grid = np.append((axis[:, None] + 1j * axis).ravel(), 0)

    def objective(x):
        return 0.5 * abs(x - value) ** 2 + threshold * abs(x)

    assert objective(found) <= objective(grid).min() + 1e-9


def test_wavelet_shrinks_the_details_of_pywavelets() -> None:
    image = noise(1, 16, 24)
    proximal = WaveletProximal(PeriodicWavelet((16, 24), levels=2, vanishing_moments=2))
    approximation, *details = pywt.wavedec2(image[0].numpy(), "db2", mode="periodization", level=2)
    shrunk = [tuple(pywt.threshold(band, 0.7, mode="soft") for band in level) for level in details]
    expected = pywt.waverec2([approximation, *shrunk], "db2", mode="periodization")
    found = proximal(image, torch.tensor(0.7, dtype=torch.float64))
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-10)


def test_shifts_differ_from_call_to_call_and_are_undone() -> None:
    wavelet = PeriodicWavelet((16, 16), levels=2, vanishing_moments=1)
    image, weight = noise(1, 16, 16), torch.tensor(0.5, dtype=torch.float64)
    proximal = WaveletProximal(wavelet, generator=torch.Generator().manual_seed(1))
    first, second = proximal(image, weight), proximal(image, weight)
    assert not torch.allclose(first, second)
    again = WaveletProximal(wavelet, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again(image, weight), first)
    torch.testing.assert_close(proximal(image, torch.zeros_like(weight)), image)


def test_fista_solves_each_slice_of_a_batch_for_itself() -> None:
    """An orthogonal lasso with eigenvalues has the solution shrink(eigenvalue * target, weight) / eigenvalue."""
    eigenvalues = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.05
    target, weight = noise(3, 1, 8, 8), torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64).reshape(3, 1, 1, 1)

    def lasso(image: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return from_parts(shrink(to_parts(image), weight))

    def solve(index: slice, averaged: int = 0) -> torch.Tensor:
        e, t, w = eigenvalues[index], target[index], weight[index]
        step = 1 / e.amax(dim=(-3, -2, -1), keepdim=True)
        return fista(lambda x: e * (x - t), lasso, start=t, step=step, weight=w, iterations=400, averaged=averaged)

    expected = lasso(eigenvalues * target, weight) / eigenvalues
    torch.testing.assert_close(solve(slice(None)), expected, atol=1e-8, rtol=0)
    torch.testing.assert_close(solve(slice(None), averaged=50), expected, atol=1e-6, rtol=0)
    for k in range(3):
        torch.testing.assert_close(solve(slice(k, k + 1))[0], expected[k], atol=1e-8, rtol=0)


@pytest.mark.parametrize("iterations", [1, 2])
def test_fista_averages_the_last_images(iterations: int) -> None:
    calls: list[torch.Tensor] = []

    def count(image: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        calls.append(torch.full_like(image, len(calls) + 1))
        return calls[-1]

    start, one = torch.zeros(1, 2, 2, dtype=torch.complex64), torch.ones(1, 1, 1)
    mean = fista(lambda x: x, count, start=start, step=one, weight=one, iterations=4 + iterations, averaged=iterations)
    assert torch.equal(mean, sum(calls[-iterations:]) / iterations)
