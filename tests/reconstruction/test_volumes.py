"""Methods that work in volumes: the same as in slices where both must agree, and whatever they learn in three axes."""

from __future__ import annotations

import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.fft import centred_ifft
from scanproof.physics.masks import plane_mask
from scanproof.physics.simulate import synthetic_kspace
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.reconstruction.adversarial import perturb
from scanproof.reconstruction.base import Reconstructor

from .test_contract import OPTIONS, disc

VOLUMES = [name for name in RECONSTRUCTORS if 3 in RECONSTRUCTORS.factory(name).dimensions]


def sample(shape: tuple[int, int, int] = (5, 24, 20), *, coils: int = 4, seed: int = 1, kind: str = "random"):
    maps = birdcage_sensitivities(coils, shape)
    heights = torch.linspace(0.5, 1, shape[0])[None, :, None, None]
    reference = disc(*shape[1:])[:, None] * heights
    kspace = synthetic_kspace(reference, maps, generator=torch.Generator().manual_seed(seed), noise_std=1e-3)
    mask = plane_mask((shape[0], shape[2]), kind=kind, acceleration=2, center_fraction=0.15, seed=seed)
    return {"kspace": kspace * mask, "mask": mask, "sensitivities": maps, "reference": reference}


@pytest.fixture(scope="module", params=VOLUMES)
def method(request) -> Reconstructor:
    made = RECONSTRUCTORS.create(request.param, OPTIONS.get(request.param)).in_dimensions(3)
    if made.trainable:
        made.fit([sample(seed=s) for s in range(4)], [sample(seed=s) for s in range(4, 6)], seed=1)
    return made


def call(method: Reconstructor, data) -> torch.Tensor:
    return method(data["kspace"], data["mask"], data["sensitivities"])


def data_for(method: Reconstructor, **options):
    return sample(**options, kind="random" if method.undersampled else "full")


@pytest.mark.parametrize(("shape", "coils"), [((5, 24, 20), 4), ((6, 17, 33), 1)])
def test_any_size_and_coil_count(method: Reconstructor, shape: tuple[int, int, int], coils: int) -> None:
    image = call(method, data_for(method, shape=shape, coils=coils))
    assert image.shape == (1, *shape)
    assert image.dtype == torch.float32
    assert image.min() >= 0


def test_a_batch_is_its_volumes(method: Reconstructor) -> None:
    volumes = [data_for(method, seed=s) for s in range(2)]
    stacked = {k: torch.stack([v[k] for v in volumes]) for k in ("kspace", "mask")}
    batch = method(stacked["kspace"], stacked["mask"], volumes[0]["sensitivities"])
    single = torch.stack([call(method, v) for v in volumes])
    torch.testing.assert_close(batch, single, atol=2e-5, rtol=1e-4)


def test_weights_come_back(method: Reconstructor) -> None:
    if not method.trainable:
        pytest.skip("nothing to learn")
    name = next(name for name in VOLUMES if RECONSTRUCTORS.factory(name) is type(method))
    again = RECONSTRUCTORS.create(name, OPTIONS[name]).in_dimensions(3)
    again.load(method._network.state_dict())
    assert torch.equal(call(again, sample()), call(method, sample()))


@pytest.mark.parametrize("name", [name for name in VOLUMES if name in OPTIONS])
def test_what_learns_fits_a_volume(name: str) -> None:
    options = OPTIONS[name] | {"epochs": 24, "patience": 24, "batch_size": 1, "learning_rate": 3e-3}
    method = RECONSTRUCTORS.create(name, options).in_dimensions(3)
    one = [sample(seed=1)]
    errors = method.fit(one, one, seed=1).history["val_loss"]
    assert errors.iloc[-1] < 0.8 * errors.iloc[0]


def test_perturbations_are_found_in_volumes(method: Reconstructor) -> None:
    data = data_for(method)
    arguments = data["kspace"], data["mask"], data["sensitivities"]
    attacked = perturb(method, *arguments, strength=0.1, seed=1, steps=3)
    assert float((attacked - data["kspace"]).norm() / data["kspace"].norm()) == pytest.approx(0.1, rel=1e-4)
    moved = (method(attacked, *arguments[1:]) - method(*arguments)).norm()
    noisy = perturb(method, *arguments, strength=0.1, seed=1, mode="random")
    assert moved > (method(noisy, *arguments[1:]) - method(*arguments)).norm()


def test_where_depth_is_fully_encoded_a_volume_is_its_slices() -> None:
    """The Fourier transform in depth can be undone first; then each slice is a problem of its own."""
    data = sample(kind="equispaced")
    volume = call(RECONSTRUCTORS.create("zero_filled").in_dimensions(3), data)
    slices = centred_ifft(data["kspace"], axes=(-3,)).movedim(1, 0)
    flat = RECONSTRUCTORS.create("zero_filled")(slices, data["mask"][:, 0], data["sensitivities"][:, 0])
    torch.testing.assert_close(volume, flat.movedim(0, 1))
    # conjugate gradients go all the way, so that paths do not matter
    many = {"iterations": 80, "regularisation": 0.01}
    volume = call(RECONSTRUCTORS.create("cg_sense", many).in_dimensions(3), data)
    flat = RECONSTRUCTORS.create("cg_sense", many)(slices, data["mask"][:, 0], data["sensitivities"][:, 0])
    torch.testing.assert_close(volume, flat.movedim(0, 1), atol=1e-4, rtol=1e-4)


def test_methods_of_slices_say_so() -> None:
    with pytest.raises(ScanproofError, match="TotalVariation must be used in 2 dimensions, got 3"):
        RECONSTRUCTORS.create("cs_tv").in_dimensions(3)
    method = RECONSTRUCTORS.create("zero_filled").in_dimensions(3)
    with pytest.raises(ScanproofError, match=r"k-space must be complex \(..., coil, D, H, W\)"):
        method(*(torch.ones(4, 8, 8, dtype=d) for d in (torch.complex64, torch.bool, torch.complex64)))
