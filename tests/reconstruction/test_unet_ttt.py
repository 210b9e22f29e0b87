from __future__ import annotations

import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.masks import cartesian_mask
from scanproof.physics.sense import SenseOperator
from scanproof.physics.simulate import synthetic_kspace
from scanproof.reconstruction.unet import UNet
from scanproof.reconstruction.unet_ttt import UNetTTT, _error
from scanproof.reconstruction.untrained.measurements import Measurements, held_out_positions
from scanproof.seeds import derive_seed

SHAPE = (32, 28)
NETWORK = {"features": (8, 8, 8, 8, 8, 8), "epochs": 4, "batch_size": 4}
MAPS = birdcage_sensitivities(4, SHAPE)


def head(seed: int, *, stripes: bool = False) -> torch.Tensor:
    """An ellipse with three others inside; with stripes for another anatomy."""
    rng = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    image = ((x / 0.8) ** 2 + (y / 0.9) ** 2 < 1).float()
    for _ in range(3):
        a, b, r, v = torch.rand(4, generator=rng)
        image = image + (v - 0.5) * ((x - a + 0.5) ** 2 + (y - b + 0.5) ** 2 < 0.02 + 0.1 * r)
    if stripes:
        image = image * (1 + 0.6 * torch.sin(9 * x + 5 * y))
    return image.clamp(min=0)[None]


def sample(seed: int, *, stripes: bool = False, acceleration: float = 3) -> dict[str, torch.Tensor]:
    reference = head(seed, stripes=stripes)
    kspace = synthetic_kspace(reference, MAPS, generator=torch.Generator().manual_seed(seed), noise_std=0.02)
    mask = cartesian_mask(SHAPE[1], kind="random", acceleration=acceleration, center_fraction=0.1, seed=seed)
    return {"kspace": kspace * mask, "mask": mask, "sensitivities": MAPS, "reference": reference}


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    result = UNet(**NETWORK).fit([sample(s) for s in range(12)], [sample(s) for s in range(12, 15)], seed=1)
    return dict(result.weights)


def loaded(kind: type[UNet], weights, **options) -> UNet:
    method = kind(**NETWORK, **options)
    method.load(weights)
    return method


def reconstruct(method: UNet, data) -> torch.Tensor:
    return method(data["kspace"], data["mask"], data["sensitivities"])


def error(method: UNet, data) -> float:
    return float((reconstruct(method, data) - data["reference"]).norm() / data["reference"].norm())


@pytest.mark.parametrize("hidden", [0.0, 0.1])
def test_adapts_to_an_anatomy_it_was_not_trained_on(weights, hidden: float) -> None:
    others = [sample(s, stripes=True) for s in range(20, 22)]
    plain = loaded(UNet, weights)
    adapted = loaded(UNetTTT, weights, hidden=hidden, adaptation_steps=40, adaptation_rate=2e-3)
    before, after = ([error(method, data) for data in others] for method in (plain, adapted))
    assert sum(after) < 0.95 * sum(before)


def test_without_steps_it_is_the_trained_network(weights) -> None:
    data = sample(30)
    adapted = loaded(UNetTTT, weights, adaptation_steps=0)
    assert torch.equal(reconstruct(adapted, data), reconstruct(loaded(UNet, weights), data))
    assert adapted.best_steps == (0,)


def test_steps_that_do_harm_are_taken_back(weights) -> None:
    data = sample(31)
    adapted = loaded(UNetTTT, weights, adaptation_steps=10, adaptation_rate=1e3, check=1)
    assert torch.equal(reconstruct(adapted, data), reconstruct(loaded(UNet, weights), data))
    assert adapted.best_steps == (0,)


def test_the_trained_weights_stay_as_they_are(weights) -> None:
    adapted = loaded(UNetTTT, weights, adaptation_steps=10)
    first = reconstruct(adapted, sample(32, stripes=True))
    reconstruct(adapted, sample(33, stripes=True))
    assert adapted.best_steps[0] > 0
    assert torch.equal(reconstruct(adapted, sample(32, stripes=True)), first)


def test_best_weights_have_the_lowest_held_out_error(weights) -> None:
    """Against the held-out error as the un-trained methods compute it."""
    data = sample(34, stripes=True)
    adapted = loaded(UNetTTT, weights, adaptation_steps=40, seed=3)
    mask = data["mask"].expand(1, 1, *SHAPE)
    network, _ = adapted._adapt(adapted._trained, data["kspace"][None], mask, MAPS[None])
    judge = Measurements(data["kspace"][None], mask, MAPS[None], amplitude=1.0, seed=derive_seed(3, "held out"))
    held = held_out_positions(mask, share=0.05, seed=derive_seed(3, "held out"))
    seen = SenseOperator(MAPS, mask & ~held).adjoint(data["kspace"][None])
    before, after = (judge.errors(n.estimate(seen) / judge.scale)[1] for n in (adapted._trained, network))
    assert after < before
    with torch.no_grad():
        own = _error(network, seen, data["kspace"][None], held, MAPS[None])
    # for the mean squared error of this judge the sizes are squared
    l1 = Measurements(data["kspace"][None], mask, MAPS[None], loss="l1", seed=derive_seed(3, "held out"))
    assert float(own) == pytest.approx(float(l1.errors(network.estimate(seen).detach() / l1.scale)[1]), rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 1.0}, r"hidden must be in \[0, 1\), got 1.0"),
        ({"held_out": 0.0}, r"held_out must be in \(0, 1\), got 0.0"),
        ({"adaptation_steps": -1}, "adaptation_steps must not be negative, got -1"),
        ({"adaptation_patience": 0}, "adaptation_patience must be at least 1, got 0"),
        ({"check": 0}, "check must be at least 1, got 0"),
        ({"adaptation_rate": float("nan")}, "adaptation_rate must be positive, got nan"),
    ],
)
def test_wrong_options(options: dict, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        UNetTTT(**options)


def test_needs_weights() -> None:
    with pytest.raises(ScanproofError, match="must be trained or given weights first"):
        reconstruct(UNetTTT(**NETWORK), sample(35))
