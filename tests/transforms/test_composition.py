from __future__ import annotations

import pickle

import pytest
import torch
from monai.data import MetaTensor

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.seeds import derive_seed
from scanproof.transforms import BiasField, ComplexNoise, Ghosting, RandGhosting, RigidMotion
from scanproof.transforms.composition import Composition


def both(*, seed: int = 1) -> Composition:
    return Composition([RigidMotion(severity=2), Ghosting(severity=3)], seed=seed)


def test_k_space_passes_through_one_shift_after_the_other(kspace) -> None:
    expected = kspace
    for shift in (RigidMotion(severity=2), Ghosting(severity=3)):
        expected = shift(expected, spacing=(1, 2), seed=derive_seed(1, "shift", shift.name, 0))
    assert torch.equal(both()(kspace, spacing=(1, 2)), expected)


def test_order_matters_and_is_that_of_the_list(brain_kspace) -> None:
    turned = Composition([Ghosting(severity=3), RigidMotion(severity=2)], seed=1)
    difference = turned(brain_kspace) - both()(brain_kspace)
    assert float(difference.norm() / brain_kspace.norm()) > 0.005


def test_an_image_visits_k_space_once_and_keeps_its_phase_there(image) -> None:
    kspace = image_to_kspace(image.to(torch.complex64), spatial_dims=2)
    expected = kspace_to_image(both()(kspace), spatial_dims=2).abs()
    torch.testing.assert_close(both()(image), expected, rtol=1e-4, atol=1e-6)
    # taking the magnitude between the two loses the phase of the first
    one = RigidMotion(severity=2)(image, seed=derive_seed(1, "shift", "rigid_motion", 0))
    two = Ghosting(severity=3)(one, seed=derive_seed(1, "shift", "ghosting", 0))
    assert float((two - expected).norm() / expected.norm()) > 1e-3


def test_channels_are_images_of_their_own(image) -> None:
    pair = torch.cat([image, 2 * image.flip(-1)])
    torch.testing.assert_close(both()(pair)[:1], both()(image))


def test_a_field_acts_on_the_image_also_within_a_composition(image) -> None:
    """What acts on images and has no phase commutes with taking the magnitude."""
    alone = BiasField(severity=4)(image, seed=derive_seed(3, "shift", "bias_field", 0))
    torch.testing.assert_close(Composition([BiasField(severity=4)], seed=3)(image), alone, rtol=1e-4, atol=1e-5)


def test_seed_of_constructor_and_call(kspace) -> None:
    assert torch.equal(both(seed=5)(kspace), both(seed=6)(kspace, seed=5))
    assert not torch.equal(both(seed=5)(kspace), both(seed=6)(kspace))
    own = Composition([RigidMotion(severity=2, seed=8), Ghosting(severity=3, seed=9)], seed=1)
    assert torch.equal(own(kspace), both()(kspace))


def test_a_shift_that_comes_twice_has_two_patterns(kspace) -> None:
    one = Composition([ComplexNoise(level=0.1)])(kspace) - kspace
    two = Composition([ComplexNoise(level=0.1), ComplexNoise(level=0.1)])(kspace) - kspace
    assert float(two.norm() / one.norm()) == pytest.approx(2**0.5, rel=0.1)


def test_kind_geometry_and_input_are_kept() -> None:
    for dtype in (torch.float16, torch.float64, torch.complex64, torch.complex128):
        data = torch.rand(2, 10, 11, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(dtype)
        before = data.clone()
        result = both()(data)
        assert (result.dtype, result.shape) == (data.dtype, data.shape)
        assert torch.equal(data, before)
    meta = MetaTensor(torch.rand(1, 12, 13) + 0.1, affine=torch.diag(torch.tensor([2.0, 1.5, 3.0, 1.0])))
    result = both()(meta)
    assert torch.equal(result.affine, meta.affine)
    assert torch.equal(result.as_tensor(), both()(meta.as_tensor(), spacing=(2.0, 1.5)))


def test_pickles_nests_and_has_gradients(kspace) -> None:
    clone = pickle.loads(pickle.dumps(both()))  # noqa: S301
    assert torch.equal(clone(kspace), both()(kspace))
    nested = Composition([both(), ComplexNoise(severity=1)])
    assert torch.equal(nested(kspace), nested(kspace))
    data = torch.rand(1, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    assert torch.autograd.gradcheck(both(), (data.requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize(
    ("shifts", "message"),
    [
        ([], "composition: shifts must hold at least one shift"),
        ([RandGhosting(prob=1)], "composition: shifts must be deterministic shifts, got 'RandGhosting'"),
        (["ghosting"], "composition: shifts must be deterministic shifts, got 'str'"),
    ],
)
def test_wrong_parts_are_named(shifts: list, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        Composition(shifts)
    with pytest.raises(ScanproofError, match="seed must be an integer of at least 0, got -1"):
        both(seed=-1)
