from __future__ import annotations

import pytest
import torch
from torch import nn

from scanproof.classification import CLASSIFIERS
from scanproof.classification.networks import build_classifier
from scanproof.classification.norms import NORMS, count_norms, group_count, set_norm
from scanproof.errors import ScanproofError

#: narrow versions, quick to build
OPTIONS = {
    "resnet18": {"width": 0.125},
    "resnet34": {"width": 0.125},
    "resnet50": {"width": 0.125},
    "densenet121": {"growth_rate": 4, "init_features": 8},
}
#: normalization layers of the published architectures, counted by hand: one after every convolution (ResNet),
#: stem + 2 x 58 + 3 transitions + last (DenseNet)
LAYERS = {"resnet18": 20, "resnet34": 36, "resnet50": 53, "densenet121": 121}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_every_layer_has_the_norm_and_the_network_runs(name: str, norm: str) -> None:
    network, counts = build_classifier(name, norm=norm, seed=1, options=OPTIONS[name])
    kind = "BatchNorm2d" if norm == "batch" else "GroupNorm"
    assert counts == {kind: LAYERS[name]} == count_norms(network)
    logits = network(torch.randn(2, 1, 64, 48))
    assert logits.shape == (2, 1)
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


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


@pytest.mark.parametrize("channels", range(1, 200))
def test_groups_divide_channels_and_are_never_single(channels: int) -> None:
    groups = group_count(channels)
    assert channels % groups == 0
    assert groups <= 32
    assert groups == 1 or channels // groups >= 2


def test_other_weights_start_equal_between_norms() -> None:
    nets = [
        dict(build_classifier("resnet18", norm=n, seed=3, options=OPTIONS["resnet18"])[0].named_parameters())
        for n in NORMS
    ]
    shared = [name for name, p in nets[0].items() if p.ndim > 1]
    assert len(shared) > 15
    assert all(torch.equal(nets[0][name], net[name]) for net in nets[1:] for name in shared)


def test_seeds_differ_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = (build_classifier("resnet18", norm="batch", seed=s, options=OPTIONS["resnet18"])[0] for s in (1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first.conv1.weight, second.conv1.weight)


def test_unknown_norm_name_and_option() -> None:
    with pytest.raises(ScanproofError, match=r"unknown norm, got 'instance'.*batch, group, layer"):
        set_norm(nn.Sequential(nn.BatchNorm2d(4)), "instance")
    with pytest.raises(ScanproofError, match="unknown classifier, got 'resnet19'"):
        build_classifier("resnet19", norm="batch", seed=1)
    with pytest.raises(ScanproofError, match="unknown option of classifier 'resnet18', got 'depth'"):
        build_classifier("resnet18", norm="batch", seed=1, options={"depth": 3})


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
