"""Total variation and wavelet sparsity against independent solvers, and as the baselines that they are."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import sigpy
import sigpy.mri
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.masks import cartesian_mask
from scanproof.physics.noise_level import noise_level
from scanproof.physics.sense import SenseOperator
from scanproof.physics.simulate import synthetic_kspace
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.reconstruction.compressed_sensing import CompressedSensing
from scanproof.reconstruction.total_variation import TotalVariation
from scanproof.reconstruction.wavelet_sparsity import WaveletSparsity
from scanproof.reconstruction.zero_filled import ZeroFilled

METHODS = [TotalVariation, WaveletSparsity]


def phantom(height: int, width: int) -> torch.Tensor:
    """Ellipses of several sizes and a smooth shade."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    image = (x**2 / 0.5 + y**2 / 0.7 < 1).float() * (0.6 + 0.1 * x)
    for cx, cy, size, value in (
        (0.2, 0.3, 0.2, 0.3),
        (-0.3, -0.2, 0.15, -0.4),
        (0.1, -0.5, 0.08, 0.4),
        (-0.2, 0.4, 0.05, 0.4),
    ):
        image = image + value * ((x - cx) ** 2 + (y - cy) ** 2 < size**2)
    return image[None]


def problem(shape=(16, 16), *, noise=0.05, kind="random", acceleration=2.0, coils=4, seed=1):
    maps = birdcage_sensitivities(coils, shape)
    rng = torch.Generator().manual_seed(seed)
    kspace = synthetic_kspace(phantom(*shape), maps, generator=rng, noise_std=noise)
    mask = cartesian_mask(shape[1], kind=kind, acceleration=acceleration, center_fraction=0.15, seed=seed)
    return kspace * mask, mask, maps


def misfit(image: torch.Tensor, kspace, mask, maps) -> float:
    operator = SenseOperator(maps.to(torch.complex128), mask)
    return 0.5 * float((operator.forward(image.to(torch.complex128)) - kspace).abs().square().sum())


class Differences(sigpy.linop.Linop):
    def __init__(self, shape) -> None:
        super().__init__((2, *shape), shape)

    def _apply(self, x):
        fields = np.zeros(self.oshape, x.dtype)
        fields[0, :-1], fields[1, :, :-1] = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
        return fields

    def _adjoint_linop(self):
        return DifferencesAdjoint(self.ishape)


class DifferencesAdjoint(sigpy.linop.Linop):
    def __init__(self, shape) -> None:
        super().__init__(shape, (2, *shape))

    def _apply(self, p):
        x = np.zeros(self.oshape, p.dtype)
        x[1:] += p[0, :-1]
        x[:-1] -= p[0, :-1]
        x[:, 1:] += p[1, :, :-1]
        x[:, :-1] -= p[1, :, :-1]
        return x

    def _adjoint_linop(self):
        return Differences(self.oshape)


class Isotropic(sigpy.prox.Prox):
    def __init__(self, shape, weight: float) -> None:
        self.weight = weight
        super().__init__(shape)

    def _prox(self, alpha, p):
        length = np.sqrt((np.abs(p) ** 2).sum(axis=0))
        return p * np.maximum(1 - alpha * self.weight / np.maximum(length, 1e-30), 0)


class Periodic(sigpy.prox.Prox):
    """Details of the D4 wavelet by PyWavelets, shrunk."""

    def __init__(self, shape, weight: float) -> None:
        self.weight = weight
        super().__init__(shape)

    def _prox(self, alpha, x):
        approximation, *details = pywt.wavedec2(x, "db2", mode="periodization", level=2)
        shrunk = [tuple(pywt.threshold(b, alpha * self.weight, mode="soft") for b in level) for level in details]
        return pywt.waverec2([approximation, *shrunk], "db2", mode="periodization")


def sense(mask, maps) -> sigpy.linop.Linop:
    weights = np.broadcast_to(mask.numpy(), maps.shape).astype(np.float64)
    return sigpy.mri.linop.Sense(maps.to(torch.complex128).numpy(), weights=weights)


@pytest.mark.parametrize("shape", [(16, 16), (13, 18)])
def test_total_variation_reaches_the_optimum_of_sigpy(shape: tuple[int, int]) -> None:
    """sigpy's primal-dual hybrid gradient solves the same problem in double precision."""
    data = kspace, mask, maps = problem(shape)
    weight = 0.5 * noise_level(kspace, mask).item()

    def objective(image: torch.Tensor) -> float:
        length = np.sqrt((np.abs(Differences(shape) * image[0].numpy()) ** 2).sum(axis=0))
        return misfit(image, *data) + weight * float(length.sum())

    theirs = sigpy.app.LinearLeastSquares(
        sense(mask, maps),
        kspace.to(torch.complex128).numpy(),
        proxg=Isotropic((2, *shape), weight),
        G=Differences(shape),
        solver="PrimalDualHybridGradient",
        max_iter=1000,
        show_pbar=False,
    ).run()
    optimum = objective(torch.from_numpy(theirs)[None])
    solutions = [TotalVariation(iterations=n, inner_steps=30, regularisation=0.5).solve(*data) for n in (1, 5, 300)]
    gaps = [objective(image) / optimum - 1 for image in solutions]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.005
    assert abs(gaps[-1]) < 1e-6
    np.testing.assert_allclose(solutions[-1][0].numpy(), theirs, atol=2e-3)
    # the default number of steps comes within a thousandth
    assert objective(TotalVariation(regularisation=0.5).solve(*data)) / optimum - 1 < 1e-3


@pytest.mark.parametrize("shape", [(16, 16), (13, 18)])
def test_wavelet_sparsity_reaches_the_optimum_of_sigpy(shape: tuple[int, int]) -> None:
    """sigpy's gradient method with PyWavelets, on the image or, for odd sizes, on the extended image."""
    data = kspace, mask, maps = problem(shape)
    weight = 0.5 * noise_level(kspace, mask).item()
    extended = tuple(-(-n // 4) * 4 for n in shape)
    crop = sigpy.linop.Slice(extended, tuple(slice(n) for n in shape))
    theirs = sigpy.app.LinearLeastSquares(
        sense(mask, maps) * crop,
        kspace.to(torch.complex128).numpy(),
        proxg=Periodic(extended, weight),
        max_iter=1000,
        show_pbar=False,
    ).run()
    method = WaveletSparsity(iterations=600, regularisation=0.5, vanishing_moments=2, levels=2, random_shifts=False)
    ours = method.solve(*data)
    np.testing.assert_allclose(ours[0].numpy(), crop * theirs, atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_without_penalty_it_is_least_squares(method: type[CompressedSensing]) -> None:
    data = problem((18, 20), acceleration=1.5, coils=8)
    ours = method(iterations=400, regularisation=0).solve(*data)
    torch.testing.assert_close(ours, CgSense(iterations=200, regularisation=0).solve(*data), atol=2e-3, rtol=0)


@pytest.mark.parametrize("kind", ["random", "equispaced"])
@pytest.mark.parametrize("method", METHODS)
def test_clearly_better_than_zero_filling_and_cg_sense(method: type[CompressedSensing], kind: str) -> None:
    reference = phantom(64, 56)
    data = problem((64, 56), noise=0.01, kind=kind, acceleration=3, coils=8)
    found, *others = ((m(*data) - reference).norm() for m in (method(), CgSense(), ZeroFilled()))
    assert found < 0.7 * min(others)


@pytest.mark.parametrize("method", METHODS)
def test_strength_follows_the_noise(method: type[CompressedSensing]) -> None:
    """The default strength is better than an eighth and eight times of it, be there ten times more noise or not."""
    reference = phantom(48, 56)
    default = method().regularisation
    for noise in (0.01, 0.03, 0.1):
        data = problem((48, 56), noise=noise, acceleration=2, coils=8)
        weak, chosen, strong = (
            (method(regularisation=factor * default, iterations=40)(*data) - reference).norm()
            for factor in (0.125, 1, 8)
        )
        assert chosen < min(weak, strong), noise


@pytest.mark.parametrize("method", METHODS)
def test_maps_need_not_be_normalised(method: type[CompressedSensing]) -> None:
    kspace, mask, maps = problem((24, 28), noise=0.002)
    image = method(regularisation=0.01)(kspace, mask, maps)
    strong = method(regularisation=0.01)(kspace, mask, 5 * maps)
    correlation = torch.corrcoef(torch.stack([image.flatten(), strong.flatten()]))[0, 1]
    assert correlation > 0.99
    assert strong.norm() == pytest.approx(image.norm().item() / 5, rel=0.05)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_any_unit_of_the_scanner(method: type[CompressedSensing], factor: float) -> None:
    kspace, mask, maps = problem((20, 22))
    small = method(iterations=15)(factor * kspace, mask, maps) / factor
    torch.testing.assert_close(small, method(iterations=15)(kspace, mask, maps), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_batches_of_every_shape(method: type[CompressedSensing]) -> None:
    kspace, mask, maps = problem((16, 20))
    image = method(iterations=12)(kspace, mask, maps)
    batch = kspace.expand(2, 3, *kspace.shape)
    for masks in (mask, mask[0, 0], mask.expand(2, 3, *mask.shape)):
        for sensitivities in (maps, maps.expand(2, 3, *maps.shape)):
            many = method(iterations=12)(batch, masks, sensitivities)
            assert torch.equal(many, image.expand(2, 3, *image.shape))


def test_random_shifts_remove_blocks() -> None:
    reference = phantom(64, 56)
    data = problem((64, 56), noise=0.02, acceleration=3, coils=8)
    shifted, fixed = ((WaveletSparsity(random_shifts=s)(*data) - reference).norm() for s in (True, False))
    assert shifted < 0.9 * fixed


@pytest.mark.parametrize(
    ("method", "option", "value", "text"),
    [
        (TotalVariation, "iterations", 0, "cs_tv.iterations: must be at least 1, got 0"),
        (TotalVariation, "regularisation", -0.1, "cs_tv.regularisation: must not be negative, got -0.1"),
        (TotalVariation, "regularisation", float("nan"), "cs_tv.regularisation: must not be negative, got nan"),
        (TotalVariation, "inner_steps", 0, "cs_tv.inner_steps: must be at least 1, got 0"),
        (WaveletSparsity, "levels", 0, "cs_wavelet.levels: must be at least 1, got 0"),
        (WaveletSparsity, "vanishing_moments", 11, r"cs_wavelet.vanishing_moments: must be in \[1, 10\], got 11"),
    ],
)
def test_wrong_options_are_named(method, option: str, value: float, text: str) -> None:
    with pytest.raises(ScanproofError, match=text):
        method(**{option: value})
