from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from scanproof.classification.networks import build_classifier
from scanproof.classification.preact_resnet import PreActBlock
from scanproof.errors import ScanproofError

from .small import OPTIONS


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_se_resnet_of_full_width_is_monais() -> None:
    from monai.networks.nets import SEResNet50

    ours, _ = build_classifier("seresnet50", norm="batch", seed=1, outputs=4)
    theirs = SEResNet50(spatial_dims=2, in_channels=1, num_classes=4)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 1, 64, 48)
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_efficientnet_of_full_width_is_monais() -> None:
    from monai.networks.nets import EfficientNetBN

    ours, _ = build_classifier("efficientnet_b0", norm="batch", seed=1, outputs=4)
    theirs = EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1, num_classes=4)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 1, 64, 48)
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_preact_resnet_has_the_parameters_of_the_paper() -> None:
    """Counted by hand: 3x3 convolutions, 1x1 projections of three stages, scale and offset of 17 layers, head."""
    network, _ = build_classifier("preact_resnet18", norm="batch", seed=1)
    wide = (64, 128, 256, 512)
    convolutions = 9 * 64 + 9 * 4 * 64 * 64
    normalization = 2 * 4 * 64
    for before, after in pairwise(wide):
        convolutions += 9 * (before * after + 3 * after * after) + before * after
        normalization += 2 * (before + 3 * after)
    assert parameters(network) == convolutions + normalization + 2 * 512 + 512 + 1


def test_preact_block_adds_to_the_input_as_it_came() -> None:
    block = PreActBlock(4, 4)
    nn.init.zeros_(block.conv2.weight)
    features = torch.randn(2, 4, 5, 3)
    torch.testing.assert_close(block(features), features)
    halved = PreActBlock(4, 8, stride=2)
    nn.init.zeros_(halved.conv2.weight)
    assert halved.shortcut is not None
    expected = halved.shortcut(torch.relu(halved.norm1(features)))
    torch.testing.assert_close(halved.train()(features), expected)
    assert expected.shape == (2, 8, 3, 2)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_stride_and_pooling_of_the_stem_halve_the_image(dimensions: int) -> None:
    images = torch.randn(1, 1, *[32] * dimensions)
    for stride, pool, size, layers in ((1, False, 32, 17), (2, False, 16, 17), (1, True, 16, 18), (2, True, 8, 18)):
        options = {"width": 0.125, "stem_stride": stride, "stem_pool": pool}
        network, counts = build_classifier(
            "preact_resnet18", norm="group", seed=1, options=options, dimensions=dimensions
        )
        assert counts == {"GroupNorm": layers}
        assert network.get_submodule("stem")(images).shape == (1, 8, *[size] * dimensions)


def test_seeds_differ_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = (build_classifier("resnet18", norm="batch", seed=s, options=OPTIONS["resnet18"])[0] for s in (1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first.get_parameter("conv1.weight"), second.get_parameter("conv1.weight"))


def test_unknown_name_and_options_are_named() -> None:
    with pytest.raises(ScanproofError, match="unknown classifier, got 'resnet19'"):
        build_classifier("resnet19", norm="batch", seed=1)
    with pytest.raises(ScanproofError, match="unknown option of classifier 'resnet18', got 'depth'"):
        build_classifier("resnet18", norm="batch", seed=1, options={"depth": 3})
    with pytest.raises(ScanproofError, match="outputs follow from the data and must not be an option, got 2"):
        build_classifier("resnet18", norm="batch", seed=1, options={"outputs": 2})
    for name in ("resnet18", "preact_resnet18", "efficientnet_b0", "seresnet50"):
        with pytest.raises(ScanproofError, match=r"must be (positive|at least 1/16), got"):
            build_classifier(name, norm="batch", seed=1, options={"width": 0})
    with pytest.raises(ScanproofError, match="outputs must be at least 1, got 0"):
        build_classifier("resnet18", norm="batch", seed=1, outputs=0)
    with pytest.raises(ScanproofError, match="dimensions must be 2 or 3, got 1"):
        build_classifier("resnet18", norm="batch", seed=1, dimensions=1)
