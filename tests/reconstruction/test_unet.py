from __future__ import annotations

import pytest
import torch

from scanproof.data.demo.generator import demo_cohort
from scanproof.errors import ScanproofError
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.reconstruction.unet import ResidualUnet, UNet
from scanproof.reconstruction.zero_filled import ZeroFilled
from scanproof.study.acquire import AcquiredCohort, Sampling

SMALL = {"features": (8, 8, 8, 8, 8, 8), "batch_size": 2, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def slices():
    sampling = Sampling(mask="equispaced", acceleration=2, center_fraction=0.08)
    cohort = demo_cohort("north", subjects={"train": 16, "val": 2, "test": 4}, slices=4, matrix=(64, 64), seed=1)
    return {name: AcquiredCohort(cohort.select(name), sampling=sampling, seed=1) for name in ("train", "val", "test")}


@pytest.fixture(scope="module")
def fitted(slices):
    method = UNet(**SMALL, epochs=12)
    return method, method.fit(slices["train"], slices["val"], seed=1)


def error(method, slices) -> float:
    errors = [
        ((method(s["kspace"], s["mask"], s["sensitivities"]) - s["reference"]).norm() / s["reference"].norm()).item()
        for s in slices
    ]
    return sum(errors) / len(errors)


def test_beats_zero_filling_on_subjects_it_has_not_seen(fitted, slices) -> None:
    assert error(fitted[0], slices["test"]) < 0.85 * error(ZeroFilled(), slices["test"])


def test_starts_from_the_image_it_corrects(slices) -> None:
    """Before the first step the network changes nothing, whichever reconstruction it starts from."""
    s = slices["test"][0]
    arguments = (s["kspace"], s["mask"], s["sensitivities"])
    for initial, method in (("zero_filled", ZeroFilled()), ("cg_sense", CgSense())):
        fresh = UNet(**SMALL, initial=initial)
        fresh.load(ResidualUnet(SMALL["features"]).state_dict())
        torch.testing.assert_close(fresh(*arguments), method(*arguments), atol=1e-5, rtol=1e-5)


def test_weights_carry_the_whole_method(fitted, slices) -> None:
    method, result = fitted
    other = UNet(**SMALL)
    other.load(result.weights)
    s = slices["test"][0]
    arguments = (s["kspace"], s["mask"], s["sensitivities"])
    assert torch.equal(other(*arguments), method(*arguments))


def test_training_depends_on_the_seed_alone(slices) -> None:
    weights = [UNet(**SMALL, epochs=1).fit(slices["train"][:8], slices["val"][:4], seed=s).weights for s in (1, 1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(weights[0].values(), weights[1].values(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0].values(), weights[2].values(), strict=True))


def test_untrained_is_refused(slices) -> None:
    s = slices["test"][0]
    with pytest.raises(ScanproofError, match="unet: method must be trained or given weights first"):
        UNet()(s["kspace"], s["mask"], s["sensitivities"])


def test_options_are_checked() -> None:
    with pytest.raises(ScanproofError, match=r"unet.initial: unknown initial reconstruction, got 'espirit'"):
        UNet(initial="espirit")
    with pytest.raises(ScanproofError, match=r"unet.features: must be six positive numbers, got \[8, 8\]"):
        UNet(features=(8, 8))
