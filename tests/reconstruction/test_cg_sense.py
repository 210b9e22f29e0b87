from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sigpy
import sigpy.mri.app
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.masks import cartesian_mask
from scanproof.physics.sense import SenseOperator
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.reconstruction.zero_filled import FullySampled, ZeroFilled


@pytest.fixture
def problem():
    rng = torch.Generator().manual_seed(2)
    maps = birdcage_sensitivities(6, (20, 24))
    mask = cartesian_mask(24, kind="equispaced", acceleration=2, center_fraction=0.15, seed=3)
    image = torch.randn(1, 20, 24, generator=rng, dtype=torch.complex64)
    noise = 0.05 * torch.randn(6, 20, 24, generator=rng, dtype=torch.complex64)
    kspace = (SenseOperator(maps, mask).forward(image) + noise) * mask
    return kspace, mask, maps


def test_converges_to_the_solution_of_the_normal_equations(problem) -> None:
    kspace, mask, maps = problem
    operator = SenseOperator(maps.to(torch.complex128), mask)
    basis = torch.eye(480, dtype=torch.complex128).reshape(480, 1, 20, 24)
    matrix = operator.normal(basis).reshape(480, 480).T + 0.05 * torch.eye(480)
    solution = torch.linalg.solve(matrix, operator.adjoint(kspace.to(torch.complex128)).flatten())
    ours = CgSense(iterations=200, regularisation=0.05)(kspace, mask, maps)
    torch.testing.assert_close(ours.flatten().double(), solution.abs(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("iterations", [1, 5, 12])
def test_iterates_agree_with_sigpy(problem, iterations: int) -> None:
    kspace, mask, maps = problem
    theirs = sigpy.mri.app.SenseRecon(
        kspace.numpy(),
        maps.numpy(),
        lamda=0.01,
        weights=np.broadcast_to(mask.numpy(), kspace.shape).astype(np.float32),
        max_iter=iterations,
        tol=0,
        show_pbar=False,
    ).run()
    ours = CgSense(iterations=iterations, regularisation=0.01)(kspace, mask, maps)
    np.testing.assert_allclose(ours[0].numpy(), np.abs(theirs), atol=2e-4)


def test_fully_sampled_is_the_reference_without_noise() -> None:
    maps = birdcage_sensitivities(4, (16, 18))
    mask = torch.ones(1, 1, 18, dtype=torch.bool)
    image = torch.rand(1, 16, 18)
    kspace = SenseOperator(maps, mask).forward(image + 0j)
    torch.testing.assert_close(FullySampled()(kspace, mask, maps), image, atol=1e-5, rtol=1e-5)


def test_undoes_what_zero_filling_leaves(problem) -> None:
    maps = problem[2]
    mask = cartesian_mask(24, kind="equispaced", acceleration=2, center_fraction=0.15, seed=3)
    reference = torch.zeros(1, 20, 24)
    reference[0, 5:15, 6:18] = 1
    kspace = SenseOperator(maps, mask).forward(reference + 0j)
    errors = [(m(kspace, mask, maps) - reference).norm() for m in (ZeroFilled(), CgSense(iterations=60))]
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize(("option", "value"), [("iterations", 0), ("regularisation", -1.0)])
def test_wrong_options_are_named(option: str, value: float) -> None:
    with pytest.raises(ScanproofError, match=f"cg_sense.{option}: must .*, got {value}"):
        CgSense(**{option: value})


def test_measured_phantom(shared_data: Path) -> None:
    """Real two-coil k-space of a phantom: what was measured is explained better than by zero filling.

    Coil maps come from the smoothed image itself: no substitute for an estimate such as ESPIRiT's, but the phase,
    the noise and the coils are a scanner's.
    """
    kspace = torch.from_numpy(np.load(shared_data / "kspace" / "phantom_2coil_gre_full.npy"))
    window = torch.outer(torch.hann_window(160, periodic=False) ** 8, torch.hann_window(160, periodic=False) ** 8)
    smooth = kspace_to_image(kspace * window)
    maps = smooth / smooth.abs().square().sum(dim=0, keepdim=True).sqrt().clamp(min=1e-12)
    full = torch.ones(1, 1, 160, dtype=torch.bool)
    reference = FullySampled()(kspace, full, maps)
    # with every line measured and normalised maps, least squares is coil combination
    everything = CgSense(iterations=3, regularisation=0)(kspace, full, maps)
    torch.testing.assert_close(everything, reference, rtol=1e-3, atol=float(1e-4 * reference.max()))

    mask = cartesian_mask(160, kind="random", acceleration=1.5, center_fraction=0.2, seed=1)
    operator, data = SenseOperator(maps, mask), kspace * mask
    zero_filled = operator.adjoint(data)
    least_squares = CgSense(iterations=12, regularisation=0).solve(data, mask, maps)
    residuals = [(operator.forward(image) - data).norm() for image in (zero_filled, least_squares)]
    assert residuals[1] < 0.8 * residuals[0], residuals
