from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from scanproof.classification import CLASSIFIERS
from scanproof.classification.networks import build_classifier
from scanproof.classification.norms import (
    ALL_NORMS,
    NORMS,
    TEST_TIME,
    UNKNOWN,
    InstanceNorm,
    LayerNorm,
    NoNorm,
    Norm,
    count_norms,
    group_count,
    set_norm,
    training_norm,
)
from scanproof.errors import ScanproofError

from .small import LAYERS, OPTIONS

KINDS = {"batch": "BatchNorm", "instance": "InstanceNorm", "none": "NoNorm", "group": "GroupNorm", "layer": "GroupNorm"}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_every_layer_has_the_norm_and_the_network_learns(name: str, dimensions: int, norm: Norm) -> None:
    network, counts = build_classifier(name, norm=norm, seed=1, options=OPTIONS[name], outputs=3, dimensions=dimensions)
    kind = KINDS[norm] + (f"{dimensions}d" if norm == "batch" else "")
    assert counts == {kind: LAYERS[name]} == count_norms(network)
    logits = network(torch.randn(2, 1, *((64, 48), (40, 36, 32))[dimensions - 2]))
    assert logits.shape == (2, 3)
    logits.sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_other_weights_start_equal_between_norms(name: str) -> None:
    nets = [
        dict(build_classifier(name, norm=norm, seed=3, options=OPTIONS[name])[0].named_parameters()) for norm in NORMS
    ]
    # all that no normalization has: convolutions and linear layers, and their offsets
    shared = nets[NORMS.index("none")]
    assert sum(parameter.ndim > 1 for parameter in shared.values()) > 15
    assert all(torch.equal(parameter, net[key]) for net in nets for key, parameter in shared.items())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_an_image_so_small_that_maps_are_single_places_is_read(name: str, norm: Norm) -> None:
    network, _ = build_classifier(name, norm=norm, seed=1, options=OPTIONS[name])
    logits = network.train()(torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(1)))
    assert logits.isfinite().all()
    if name != "efficientnet_b0" or norm != "none":  # whose initial weights shrink what passes to nothing
        assert (logits - logits[0]).abs().max() > 1e-4


def test_layer_norm_is_one_group_and_group_norm_many() -> None:
    for norm, groups in (("layer", 1), ("group", 32)):
        network, _ = build_classifier("resnet18", norm=norm, seed=1)
        wide = [m for m in network.modules() if isinstance(m, nn.GroupNorm)]
        assert {m.num_groups for m in wide} == {groups}


def test_layer_norm_agrees_with_pytorchs_over_channels_and_space() -> None:
    stack = nn.Sequential(nn.BatchNorm2d(6))
    set_norm(stack, "layer")
    x = torch.randn(3, 6, 5, 4)
    torch.testing.assert_close(stack(x), nn.functional.layer_norm(x, (6, 5, 4)))


@pytest.mark.parametrize("shape", [(3, 6, 5, 4), (3, 6, 5, 4, 2)])
def test_instance_norm_agrees_with_pytorchs(shape: tuple[int, ...]) -> None:
    layer = InstanceNorm(6, eps=1e-3)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(shape)
    expected = nn.functional.instance_norm(x, weight=layer.weight, bias=layer.bias, eps=1e-3)
    torch.testing.assert_close(layer(x), expected)


def test_instance_norm_scales_and_offsets_a_single_place() -> None:
    layer = InstanceNorm(2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, 3.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.0]))
    x = torch.tensor([[5.0, 7.0]]).reshape(1, 2, 1, 1)
    assert layer(x).flatten().tolist() == [11.0, 21.0]
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        nn.InstanceNorm2d(2)(x)


def test_no_norm_protects_its_input_from_activations_in_place() -> None:
    x = torch.tensor([-1.0, 1.0]).reshape(1, 2, 1, 1)
    nn.Sequential(NoNorm(2), nn.ReLU(inplace=True))(x)
    assert x.flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("norm", NORMS[1:])
def test_what_is_added_to_variances_is_that_of_the_network(norm: Norm) -> None:
    network, _ = build_classifier("efficientnet_b0", norm=norm, seed=1, options=OPTIONS["efficientnet_b0"])
    added = {module.eps for module in network.modules() if isinstance(module, nn.GroupNorm)}
    assert added == (set() if norm == "none" else {1e-3})


@pytest.mark.parametrize("channels", range(1, 200))
def test_groups_divide_channels_and_are_never_single(channels: int) -> None:
    groups = group_count(channels)
    assert channels % groups == 0
    assert groups <= 32
    assert groups == 1 or channels // groups >= 2


def test_names_are_complete_and_rescues_are_batch_normalization() -> None:
    assert set(get_args(Norm)) == {*ALL_NORMS, UNKNOWN}
    assert training_norm(UNKNOWN) == UNKNOWN
    assert set(get_args(LayerNorm)) == set(NORMS)
    for norm in set(ALL_NORMS) - set(NORMS):
        _, counts = build_classifier("resnet18", norm=norm, seed=1, options=OPTIONS["resnet18"])
        assert counts == {"BatchNorm2d": 20}
    assert {norm for norm in ALL_NORMS if training_norm(norm) != norm} == set(TEST_TIME)
    assert {training_norm(norm) for norm in TEST_TIME} == {"batch"}


def test_unknown_norm() -> None:
    with pytest.raises(ScanproofError, match=r"unknown norm, got 'instant'.*batch_site"):
        set_norm(nn.Sequential(nn.BatchNorm2d(4)), "instant")  # type: ignore[arg-type]
    with pytest.raises(ScanproofError, match="unknown norm, got 'bach'"):
        training_norm("bach")  # type: ignore[arg-type]


def test_a_network_without_batch_norm_is_refused() -> None:
    with pytest.raises(RuntimeError, match="must be built with batch normalization throughout"):
        set_norm(nn.Sequential(nn.Conv2d(1, 4, 3)), "group")
    with pytest.raises(RuntimeError, match="must be built with batch normalization throughout"):
        set_norm(nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(1, 4)), "group")


def test_monai_still_ignores_norm_in_its_resnet() -> None:
    """The reason for swapping layers; when this fails, MONAI has changed and the docstring is out of date."""
    from monai.networks.nets import resnet18

    stock = resnet18(spatial_dims=2, n_input_channels=1, num_classes=1, norm=("group", {"num_groups": 32}))
    assert count_norms(stock) == {"GroupNorm": 1, "BatchNorm2d": 19}
