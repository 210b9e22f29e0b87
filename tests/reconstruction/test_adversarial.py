from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.masks import cartesian_mask
from scanproof.physics.simulate import synthetic_kspace
from scanproof.reconstruction.adversarial import perturb
from scanproof.reconstruction.base import Reconstructor
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.reconstruction.unet import ResidualUnet, UNet
from scanproof.reconstruction.unet_ttt import UNetTTT
from scanproof.reconstruction.untrained.reconstructors import ConvDecoder
from scanproof.reconstruction.wavelet_sparsity import WaveletSparsity
from scanproof.reconstruction.zero_filled import FullySampled, ZeroFilled


def sample(size: int = 32, *, coils: int = 4, seed: int = 1, acceleration: float = 2):
    maps = birdcage_sensitivities(coils, (size, size))
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    image = (x**2 + y**2 < 0.6).float() + 0.3 * torch.rand(size, size, generator=generator)
    kspace = synthetic_kspace(image[None], maps, generator=generator, noise_std=1e-2)
    kind = "random" if acceleration > 1 else "full"
    mask = cartesian_mask(size, kind=kind, acceleration=acceleration, center_fraction=0.15, seed=seed)
    return kspace * mask, mask, maps


def moved(method: Reconstructor, before: torch.Tensor, after: torch.Tensor, mask, maps) -> float:
    """How far the image went, in norms of the k-space."""
    return ((method(after, mask, maps) - method(before, mask, maps)).norm() / before.norm()).item()


@settings(max_examples=15, deadline=None)
@given(
    strength=st.floats(0, 1),
    seed=st.integers(0, 2**31),
    mode=st.sampled_from(["worst", "random"]),
    acceleration=st.sampled_from([1.0, 2.0, 4.0]),
    coils=st.integers(1, 4),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
)
def test_a_perturbation_keeps_its_bound_and_to_what_was_sampled(
    strength: float, seed: int, mode: str, acceleration: float, coils: int, scale: float
) -> None:
    kspace, mask, maps = sample(16, coils=coils, seed=seed % 7, acceleration=acceleration)
    kspace = scale * kspace
    change = perturb(ZeroFilled(), kspace, mask, maps, strength=strength, seed=seed, mode=mode, steps=3) - kspace
    rounding = 2e-7 * kspace.norm()
    assert change.norm() <= strength * kspace.norm() * (1 + 1e-6) + rounding
    assert change.norm() >= strength * kspace.norm() * (1 - 1e-6) - rounding
    assert not (change * ~mask).any()


def test_no_strength_is_no_change() -> None:
    arguments = sample()
    for mode in ("worst", "random"):
        assert torch.equal(perturb(CgSense(), *arguments, strength=0, seed=1, mode=mode), arguments[0])


def test_a_perturbation_depends_on_its_seed_alone() -> None:
    arguments = sample()
    state = torch.random.get_rng_state()
    for mode in ("worst", "random"):
        one, again, other = (
            perturb(CgSense(), *arguments, strength=0.05, seed=seed, mode=mode, steps=3) for seed in (1, 1, 2)
        )
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_batch_is_its_slices_and_empty_ones_stay_empty() -> None:
    slices = [sample(seed=seed) for seed in (1, 2)]
    maps = slices[0][2]
    empty = torch.zeros_like(slices[0][0])
    kspace = torch.stack([slices[0][0], slices[1][0], empty])[:, None]
    mask = torch.stack([m.reshape(1, 1, -1) for m in (slices[0][1], slices[1][1], slices[0][1])])[:, None]
    batch = perturb(CgSense(), kspace, mask, maps, strength=0.05, seed=3, steps=3)
    assert batch.shape == kspace.shape
    for (y, m, _), found in zip(slices, batch[:, 0], strict=False):
        assert torch.equal(perturb(CgSense(), y, m, maps, strength=0.05, seed=3, steps=3), found)
    assert not batch[2].any()


@pytest.mark.parametrize(
    ("method", "acceleration", "regularisation"),
    [(ZeroFilled(), 3.0, None), (FullySampled(), 1.0, None), (CgSense(iterations=60), 3.0, 0.01)],
)
def test_the_worst_case_of_a_linear_method_is_found(
    method: Reconstructor, acceleration: float, regularisation: float | None
) -> None:
    """Against the largest singular value of the magnitude image's Jacobian, from matrices built by their definition."""
    size, coils, strength = 16, 3, 1e-3
    kspace, mask, maps = sample(size, coils=coils, acceleration=acceleration)
    position = np.arange(size) - size // 2
    dft = np.exp(-2j * np.pi * np.outer(position, position) / size) / np.sqrt(size)
    sampled = np.broadcast_to(mask.numpy().reshape(1, 1, -1), (coils, size, size)).reshape(-1, 1)
    forward = np.concatenate([np.kron(dft, dft) * s.numpy().reshape(1, -1) for s in maps]) * sampled
    solve = forward.conj().T
    if regularisation is not None:
        solve = np.linalg.solve(solve @ forward + regularisation * np.eye(size**2), solve)
    image = solve @ kspace.numpy().reshape(-1)
    # the magnitude of a sum with something small is the part of it in phase
    in_phase = (image.conj() / np.abs(image))[:, None] * solve
    jacobian = np.concatenate([in_phase.real, -in_phase.imag], axis=1)
    worst = strength * np.linalg.norm(jacobian, 2)
    found = perturb(method, kspace, mask, maps, strength=strength, seed=1, steps=40)
    assert moved(method, kspace, found, mask, maps) == pytest.approx(worst, rel=0.03)


def test_more_steps_never_do_less() -> None:
    arguments = sample()
    distances = []
    for steps in (1, 2, 4, 8, 16):
        found = perturb(CgSense(), *arguments, strength=0.1, seed=1, steps=steps)
        distances.append(moved(CgSense(), arguments[0], found, *arguments[1:]))
    assert distances == sorted(distances)
    noise = perturb(CgSense(), *arguments, strength=0.1, seed=1, mode="random")
    assert distances[0] > 1.5 * moved(CgSense(), arguments[0], noise, *arguments[1:])


def test_a_method_without_gradients_gets_what_was_found_against_another() -> None:
    kspace, mask, maps = sample()
    fit = ConvDecoder(channels=8, iterations=10)
    options = {"strength": 0.05, "seed": 1, "steps": 2}
    assert torch.equal(
        perturb(fit, kspace, mask, maps, **options), perturb(WaveletSparsity(), kspace, mask, maps, **options)
    )
    assert not fit.fits  # an attack costs it no fit


def test_a_network_that_adapts_is_attacked_through_itself_as_it_was_trained() -> None:
    kspace, mask, maps = sample()
    options = {"features": (4, 4, 4, 4, 4, 4), "initial": "cg_sense"}
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: torch.rand(value.shape, generator=generator) - 0.5
        for name, value in ResidualUnet(options["features"]).state_dict().items()
    }
    trained, adapting = UNet(**options), UNetTTT(**options, adaptation_steps=3)
    for method in (trained, adapting):
        method.load(weights)
    attacked = [perturb(m, kspace, mask, maps, strength=0.05, seed=1, steps=2) for m in (trained, adapting)]
    assert torch.equal(*attacked)
    assert adapting.best_steps == ()  # an attack costs no adaptation


def test_of_several_the_perturbation_that_does_most_is_kept() -> None:
    kspace, mask, maps = sample()
    options = {"strength": 0.05, "seed": 1, "steps": 6}
    found = {type(m): perturb(m, kspace, mask, maps, **options) for m in (ZeroFilled(), CgSense())}
    for order in ((ZeroFilled(), CgSense()), (CgSense(), ZeroFilled())):
        kept = perturb(CgSense(), kspace, mask, maps, through=order, **options)
        assert torch.equal(kept, found[CgSense])
    # another victim's perturbation is not the method's own
    alone = perturb(CgSense(), kspace, mask, maps, through=[ZeroFilled()], **options)
    assert torch.equal(alone, found[ZeroFilled])
    assert moved(CgSense(), kspace, found[CgSense], mask, maps) > 1.2 * moved(CgSense(), kspace, alone, mask, maps)


def test_gradients_are_taken_although_the_caller_wants_none() -> None:
    arguments = sample()
    with torch.no_grad():
        found = perturb(CgSense(), *arguments, strength=0.05, seed=1, steps=2)
    assert not found.requires_grad
    assert torch.equal(found, perturb(CgSense(), *arguments, strength=0.05, seed=1, steps=2))


class Deaf(ZeroFilled):
    def reconstruct(self, kspace, mask, sensitivities):
        return super().reconstruct(kspace, mask, sensitivities).detach()


class Steep(ZeroFilled):
    def reconstruct(self, kspace, mask, sensitivities):
        return super().reconstruct(kspace, mask, sensitivities) + (0 * kspace.abs().sum()).sqrt()


class Constant(ZeroFilled):
    def reconstruct(self, kspace, mask, sensitivities):
        return 0 * super().reconstruct(kspace, mask, sensitivities)


def test_wrong_input_is_named() -> None:
    kspace, mask, maps = sample(16)
    for options, message in (
        ({"strength": 1.5}, r"strength must be in \[0, 1\], got 1.5"),
        ({"strength": float("nan")}, r"strength must be in \[0, 1\], got nan"),
        ({"strength": 0.1, "steps": 0}, "steps must be at least 1, got 0"),
        ({"strength": 0.1, "mode": "wost"}, r"mode: unknown mode, got 'wost' \(did you mean 'worst'"),
        ({"strength": 0.1, "through": [ConvDecoder()]}, "through must hold differentiable methods, got 'ConvDecoder'"),
        ({"strength": 0.1, "through": [Deaf()]}, "a differentiable method must let gradients through to k-space"),
        ({"strength": 0.1, "through": [Steep()]}, "gradient of a differentiable method must be finite"),
    ):
        with pytest.raises(ScanproofError, match=message):
            perturb(ZeroFilled(), kspace, mask, maps, seed=1, **options)
    with pytest.raises(ScanproofError, match="mask must sample at least one line"):
        perturb(ZeroFilled(), kspace, torch.zeros_like(mask), maps, strength=0.1, seed=1)


def test_a_method_that_nothing_moves_is_given_noise() -> None:
    arguments = sample(16)
    noise = perturb(Constant(), *arguments, strength=0.1, seed=1, mode="random")
    assert torch.equal(perturb(Constant(), *arguments, strength=0.1, seed=1), noise)
