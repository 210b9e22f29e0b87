"""What every registered method must do; a new one inherits all of it."""

from __future__ import annotations

import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.masks import cartesian_mask
from scanproof.physics.simulate import synthetic_kspace
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.reconstruction.adversarial import perturb
from scanproof.reconstruction.base import Reconstructor

#: small networks and few steps, for methods that learn
FIT = {"channels": 8, "iterations": 12, "warmup": 2, "precision": "float32"}
NETWORK = {"features": (4, 4, 4, 4, 4, 4), "epochs": 2, "batch_size": 2}
UNROLLED = {"features": 4, "unrolls": 2, "epochs": 2, "batch_size": 2}
OPTIONS = {
    "unet": NETWORK,
    "proximal_gradient": UNROLLED,
    "modl": UNROLLED,
    "varnet": {**UNROLLED, "features": (4, 4, 4, 4, 4, 4)},
    "unet_ttt": {**NETWORK, "adaptation_steps": 6},
    "conv_decoder": FIT,
    "deep_decoder": FIT,
    "deep_image_prior": {**FIT, "scales": 2},
}


def disc(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return ((x**2 + y**2 < 0.6).float() + 0.5 * ((x - 0.2) ** 2 + y**2 < 0.1).float())[None]


def sample(shape: tuple[int, int] = (32, 28), *, coils: int = 6, seed: int = 1, acceleration: float = 2):
    maps = birdcage_sensitivities(coils, shape)
    reference = disc(*shape)
    kspace = synthetic_kspace(reference, maps, generator=torch.Generator().manual_seed(seed), noise_std=1e-3)
    kind = "equispaced" if acceleration > 1 else "full"
    mask = cartesian_mask(shape[1], kind=kind, acceleration=acceleration, center_fraction=0.15, seed=seed)
    return {"kspace": kspace * mask, "mask": mask, "sensitivities": maps, "reference": reference}


@pytest.fixture(scope="module", params=list(RECONSTRUCTORS))
def method(request) -> Reconstructor:
    made = RECONSTRUCTORS.create(request.param, OPTIONS.get(request.param))
    if made.trainable:
        made.fit([sample(seed=s) for s in range(4)], [sample(seed=s) for s in range(4, 6)], seed=1)
    return made


def data_for(method: Reconstructor, **options):
    return sample(**options, acceleration=2 if method.undersampled else 1)


def call(method: Reconstructor, data) -> torch.Tensor:
    return method(data["kspace"], data["mask"], data["sensitivities"])


@pytest.mark.parametrize("shape", [(32, 28), (33, 41), (64, 16)])
@pytest.mark.parametrize("coils", [1, 5])
def test_any_size_and_coil_count(method: Reconstructor, shape: tuple[int, int], coils: int) -> None:
    image = call(method, data_for(method, shape=shape, coils=coils))
    assert image.shape == (1, *shape)
    assert image.dtype == torch.float32
    assert image.min() >= 0
    assert not image.requires_grad


def test_a_batch_is_its_slices(method: Reconstructor) -> None:
    slices = [data_for(method, seed=s) for s in range(3)]
    stacked = {k: torch.stack([s[k] for s in slices]) for k in ("kspace", "mask")}
    batch = method(stacked["kspace"], stacked["mask"], slices[0]["sensitivities"])
    single = torch.stack([call(method, s) for s in slices])
    torch.testing.assert_close(batch, single, atol=2e-5, rtol=1e-4)


def test_slices_may_have_sensitivities_of_their_own(method: Reconstructor) -> None:
    """As those of measured k-space, which are estimated for each."""
    slices = [data_for(method, seed=s) for s in range(2)]
    turned = slices[1]["sensitivities"].roll(1, dims=0)
    slices[1] |= {"sensitivities": turned, "kspace": slices[1]["kspace"].roll(1, dims=0)}
    stacked = {k: torch.stack([s[k] for s in slices]) for k in ("kspace", "mask", "sensitivities")}
    batch = call(method, stacked)
    assert batch.shape == (2, 1, 32, 28)
    torch.testing.assert_close(batch, torch.stack([call(method, s) for s in slices]), atol=2e-5, rtol=1e-4)


def test_same_input_same_image(method: Reconstructor) -> None:
    data = data_for(method)
    assert torch.equal(call(method, data), call(method, data))


def test_input_stays_as_it_was(method: Reconstructor) -> None:
    data = data_for(method)
    before = {k: v.clone() for k, v in data.items()}
    call(method, data)
    assert all(torch.equal(data[k], before[k]) for k in data)


def test_intensity_scales_through(method: Reconstructor) -> None:
    data = data_for(method)
    image = call(method, data)
    scaled = method(1000 * data["kspace"], data["mask"], data["sensitivities"])
    torch.testing.assert_close(scaled / 1000, image, atol=1e-3, rtol=1e-3)


def test_image_resembles_the_object(method: Reconstructor) -> None:
    data = data_for(method)
    image, reference = call(method, data), data["reference"]
    correlation = torch.corrcoef(torch.stack([image.flatten(), reference.flatten()]))[0, 1]
    assert correlation > 0.85


def test_an_empty_slice_stays_empty(method: Reconstructor) -> None:
    data = data_for(method)
    image = method(torch.zeros_like(data["kspace"]), data["mask"], data["sensitivities"])
    assert image.abs().max() < 1e-6


def test_gradients_are_those_of_the_image(method: Reconstructor) -> None:
    """Against the difference of two images, in a direction that leaves the noise at the edge of k-space alone."""
    if not method.differentiable:
        pytest.skip("has none")
    kspace, mask, maps = (data_for(method)[k] for k in ("kspace", "mask", "sensitivities"))
    changed = kspace.clone().requires_grad_(True)
    image = method.differentiable_image(changed, mask, maps)
    torch.testing.assert_close(image.detach(), method(kspace, mask, maps), atol=1e-5, rtol=1e-4)
    # magnitudes near zero are kinked
    weights = torch.rand(image.shape, generator=torch.Generator().manual_seed(2)) * image.detach()
    (gradient,) = torch.autograd.grad((weights * image).sum(), changed)
    direction = torch.zeros_like(kspace)
    direction[:, 12:20, 10:18] = 0.001 * kspace.norm() * gradient[:, 12:20, 10:18] / gradient[:, 12:20, 10:18].norm()
    expected = (gradient.conj() * direction).sum().real
    there, back = (method(kspace + sign * direction, mask, maps) for sign in (1, -1))
    torch.testing.assert_close((weights * (there - back)).sum() / 2, expected, atol=0, rtol=0.05)


def test_a_perturbation_that_is_sought_does_more_than_noise(method: Reconstructor) -> None:
    if not method.differentiable:
        pytest.skip("no gradients to seek it with")
    data = data_for(method)
    clean = call(method, data)
    distance = {}
    for mode in ("worst", "random"):
        arguments = (data["kspace"], data["mask"], data["sensitivities"])
        kspace = perturb(method, *arguments, strength=0.04, seed=1, steps=5, mode=mode)
        distance[mode] = (call(method, {**data, "kspace": kspace}) - clean).norm()
    assert distance["worst"] > 2.5 * distance["random"]


def test_wrong_input_is_named(method: Reconstructor) -> None:
    data = data_for(method)
    kspace, mask, maps = data["kspace"], data["mask"], data["sensitivities"]
    broken = kspace.clone()
    broken[0, 0, 0] = float("nan")
    with pytest.raises(ScanproofError, match=r"k-space must be complex \(..., coil, H, W\), got 'torch.float32"):
        method(kspace.real, mask, maps)
    with pytest.raises(ScanproofError, match=r"sensitivities must match k-space \(6, 32, 28\), got \(5, 32, 28\)"):
        method(kspace, mask, maps[:5])
    with pytest.raises(ScanproofError, match="mask must sample at least one line, got 0"):
        method(kspace, torch.zeros_like(mask), maps)
    with pytest.raises(ScanproofError, match="k-space must be finite"):
        method(broken, mask, maps)


def test_unknown_method_and_option() -> None:
    with pytest.raises(ScanproofError, match=r"unknown reconstruction, got 'cgsense'.*cg_sense"):
        RECONSTRUCTORS.create("cgsense")
    with pytest.raises(ScanproofError, match="unknown option of reconstruction 'cg_sense', got 'iters'"):
        RECONSTRUCTORS.create("cg_sense", {"iters": 3})
