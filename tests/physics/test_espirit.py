from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sigpy.mri.app
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.espirit import calibration_size, espirit_sensitivities
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.sense import SenseOperator
from scanproof.physics.simulate import synthetic_kspace
from scanproof.reconstruction.cg_sense import CgSense


def head(height: int, width: int) -> torch.Tensor:
    """An ellipse with a hole and a bright part, well inside the field of view."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    image = (x**2 / 0.5 + y**2 / 0.6 < 1).float() + 0.5 * ((x - 0.2) ** 2 + y**2 < 0.05).float()
    return image[None] * (1 - 0.9 * ((x + 0.3) ** 2 + y**2 < 0.03).float())


def lines(width: int, *, central: int, step: int = 3) -> torch.Tensor:
    position = torch.arange(width)
    first = width // 2 - central // 2
    return ((position % step == 0) | ((position >= first) & (position < first + central))).reshape(1, 1, width)


def acquire(shape: tuple[int, int], *, coils: int = 6, noise: float = 0.005, seed: int = 1):
    maps = birdcage_sensitivities(coils, shape)
    rng = torch.Generator().manual_seed(seed)
    return synthetic_kspace(head(*shape), maps, generator=rng, noise_std=noise), maps


def alignment(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Magnitude of the inner product over coils: one where maps agree up to a phase."""
    return (a.conj() * b).sum(dim=-3).abs()


@pytest.mark.parametrize(("shape", "coils"), [((64, 56), 6), ((63, 49), 6), ((48, 64), 3)])
def test_agrees_with_sigpy(shape: tuple[int, int], coils: int) -> None:
    """Within float32 rounding where the eigenvalue is above the crop, and the crop is the same."""
    kspace, _ = acquire(shape, coils=coils)
    ours = espirit_sensitivities(kspace, torch.ones(1, 1, shape[1], dtype=torch.bool))
    theirs = torch.from_numpy(
        sigpy.mri.app.EspiritCalib(
            kspace.numpy(), calib_width=24, thresh=0.02, kernel_width=6, crop=0.9, max_iter=200, show_pbar=False
        ).run()
    )
    inside, inside_theirs = (root_sum_of_squares(m, 0) > 0.5 for m in (ours, theirs))
    assert (inside == inside_theirs).float().mean() > 0.998
    object_ = head(*shape)[0] > 0
    assert alignment(ours, theirs)[inside & inside_theirs & object_].min() > 1 - 1e-5


@pytest.mark.parametrize("shape", [(64, 56), (65, 57)])
def test_finds_the_maps_that_made_the_data(shape: tuple[int, int]) -> None:
    kspace, maps = acquire(shape)
    mask = lines(shape[1], central=16)
    estimate = espirit_sensitivities(kspace * mask, mask)
    object_ = head(*shape)[0] > 0
    assert alignment(estimate, maps)[object_].min() > 0.98
    assert alignment(estimate, maps)[object_].median() > 0.9995


def test_root_sum_of_squares_is_one_inside_and_zero_outside() -> None:
    kspace, _ = acquire((64, 56))
    full = torch.ones(1, 1, 56, dtype=torch.bool)
    found = root_sum_of_squares(espirit_sensitivities(kspace, full), 0)
    inside = found > 0.5
    torch.testing.assert_close(found[inside], torch.ones_like(found[inside]))
    assert found[~inside].abs().max() == 0
    assert inside[head(64, 56)[0] > 0].all()
    assert not inside[:3, :3].any()
    everywhere = root_sum_of_squares(espirit_sensitivities(kspace, full, crop=0), 0)
    torch.testing.assert_close(everywhere, torch.ones(64, 56))


def test_phase_is_that_of_the_first_principal_component() -> None:
    kspace, _ = acquire((64, 56))
    maps = espirit_sensitivities(kspace, torch.ones(1, 1, 56, dtype=torch.bool))
    centre = kspace[:, 20:44, 16:40].flatten(1).to(torch.complex128)
    component = torch.linalg.svd(centre, full_matrices=False).U[:, 0]
    seen = torch.einsum("c,chw->hw", component.conj(), maps.to(torch.complex128))
    inside = root_sum_of_squares(maps, 0) > 0.5
    # up to the sign that a singular vector leaves open
    phase = seen[inside] / seen[inside].sum().sgn()
    assert phase.angle().abs().max() < 1e-4


def test_phase_common_to_all_coils_or_scale_changes_nothing() -> None:
    kspace, _ = acquire((64, 56))
    full = torch.ones(1, 1, 56, dtype=torch.bool)
    changed = espirit_sensitivities(kspace * (1e-6j), full)
    torch.testing.assert_close(changed.abs(), espirit_sensitivities(kspace, full).abs(), atol=1e-4, rtol=0)
    assert alignment(changed, espirit_sensitivities(kspace, full))[head(64, 56)[0] > 0].min() > 1 - 1e-5


def test_a_batch_is_its_slices() -> None:
    slices = [acquire((48, 40), seed=s)[0] for s in (1, 2)]
    masks = torch.stack([lines(40, central=c) for c in (14, 20)])
    batch = espirit_sensitivities(torch.stack(slices) * masks, masks)
    for one, kspace, mask in zip(batch, slices, masks, strict=True):
        assert torch.equal(one, espirit_sensitivities(kspace * mask, mask))


def test_reconstruction_is_as_good_as_with_the_true_maps() -> None:
    kspace, maps = acquire((64, 56))
    mask = lines(56, central=16)
    reference = head(64, 56)
    estimate = espirit_sensitivities(kspace * mask, mask)
    errors = [(CgSense()(kspace * mask, mask, m) - reference).norm() for m in (estimate, maps)]
    assert errors[0] < 1.02 * errors[1]


def test_measured_brain(shared_data: Path) -> None:
    """Eight real coils, 24 x 24 central samples: data that were not used for the maps are explained by them."""
    kspace = torch.from_numpy(np.load(shared_data / "kspace" / "brain_8coil_cartesian.npy"))
    mask = (kspace != 0).all(dim=0, keepdim=True)
    assert calibration_size(mask[0], largest=64) == (24, 24)
    maps = espirit_sensitivities(kspace, mask)
    image = CgSense().solve(kspace, mask, maps)
    left_over = (SenseOperator(maps, mask).forward(image) - kspace).norm() / kspace.norm()
    assert left_over < 0.06
    covered = (root_sum_of_squares(maps, 0) > 0.5).float().mean()
    assert 0.6 < covered < 0.85


def test_measured_phantom(shared_data: Path) -> None:
    """Two real coils: combination with the maps keeps the energy that root-sum-of-squares has in the object."""
    kspace = torch.from_numpy(np.load(shared_data / "kspace" / "phantom_2coil_gre_full.npy"))
    maps = espirit_sensitivities(kspace, torch.ones(1, 1, 160, dtype=torch.bool))
    images = kspace_to_image(kspace)
    combined = (maps.conj() * images).sum(dim=0).abs()
    total = root_sum_of_squares(images, 0)
    bright = total > 0.3 * total.max()
    assert combined[bright].square().sum() > 0.98 * total[bright].square().sum()


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ((0, 32), (12, 20), (24, 8)),
        ((10, 22), (0, 32), (12, 24)),
        ((16, 17), (16, 17), (1, 1)),
        ((0, 16), (0, 32), (0, 0)),
    ],
)
def test_calibration_size(rows: tuple[int, int], columns: tuple[int, int], expected: tuple[int, int]) -> None:
    sampled = torch.zeros(32, 32, dtype=torch.bool)
    sampled[slice(*rows), slice(*columns)] = True
    assert calibration_size(sampled, largest=24) == expected


KSPACE = torch.ones(2, 32, 30, dtype=torch.complex64)
FULL = torch.ones(1, 1, 30, dtype=torch.bool)


@pytest.mark.parametrize(
    ("kspace", "mask", "options", "text"),
    [
        (KSPACE.real, FULL, {}, r"kspace: must be complex \(..., coil, H, W\), got 'torch.float32"),
        (KSPACE, FULL.float(), {}, "mask: must be bool, got 'torch.float32'"),
        (KSPACE, FULL[..., :7], {}, r"mask: must be broadcastable to the k-space \(2, 32, 30\), got \(1, 1, 7\)"),
        (
            KSPACE,
            lines(30, central=8),
            {},
            "at least 12 x 12 around the k-space centre.*, got '24 x 8' .*smaller kernel",
        ),
        (KSPACE, lines(30, central=0, step=4), {}, "at least 12 x 12 around the k-space centre.*, got '0 x 0'"),
        (0 * KSPACE, FULL, {}, "kspace: centre must be finite and not zero throughout, got 0.0"),
        (KSPACE * float("nan"), FULL, {}, "kspace: centre must be finite and not zero throughout, got nan"),
        (KSPACE, FULL, {"kernel": 1}, "kernel: must be at least 2, got 1"),
        (KSPACE, FULL, {"kernel": 16}, r"kernel: must be at most half of the k-space, \(32, 30\), got 16"),
        (KSPACE, FULL, {"threshold": 0.0}, r"threshold: must be in \(0, 1\), got 0.0"),
        (KSPACE, FULL, {"crop": 1.0}, r"crop: must be in \[0, 1\), got 1.0"),
    ],
)
def test_wrong_input_is_named(kspace, mask, options, text) -> None:
    with pytest.raises(ScanproofError, match=text):
        espirit_sensitivities(kspace, mask, **options)
