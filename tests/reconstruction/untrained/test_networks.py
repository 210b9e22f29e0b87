from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.conv_decoder import ConvDecoderNetwork
from scanproof.reconstruction.untrained.deep_decoder import DeepDecoderNetwork
from scanproof.reconstruction.untrained.deep_image_prior import DeepImagePriorNetwork
from scanproof.reconstruction.untrained.layers import layer_sizes, normalisation
from scanproof.reconstruction.untrained.memory import activation_bytes
from scanproof.reconstruction.untrained.network import pick, stack

FULL = {"output_channels": 30, "output_size": (640, 368)}
SMALL = {
    ConvDecoderNetwork: {"channels": 6, "layers": 3},
    DeepDecoderNetwork: {"channels": 6, "layers": 3},
    DeepImagePriorNetwork: {"channels": 6, "scales": 2},
}
networks = pytest.mark.parametrize("network", SMALL)


@pytest.mark.parametrize(
    ("network", "options", "count"),
    [
        (ConvDecoderNetwork, {"channels": 160, "layers": 8, "input_size": (8, 4)}, 1_850_560),
        (ConvDecoderNetwork, {"channels": 160, "layers": 7, "input_size": (8, 4)}, 1_619_840),
        (DeepDecoderNetwork, {"channels": 368, "layers": 10, "input_size": (16, 16)}, 1_372_640),
        (
            DeepImagePriorNetwork,
            {"channels": 256, "scales": 8, "skip_channels": (4, 4), "kernel_down": 5},
            31_514_182,
        ),
    ],
)
def test_published_parameter_counts(network, options, count: int) -> None:
    with torch.device("meta"):
        assert network(**FULL, **options).parameter_count() == count


def test_published_sizes_of_layers() -> None:
    with torch.device("meta"):
        network = ConvDecoderNetwork(**FULL, channels=8, layers=8, input_size=(8, 4))
    assert network.sizes == [(15, 8), (28, 15), (53, 28), (98, 53), (183, 102), (343, 193), (640, 368)]
    assert network.input.shape == (8, 8, 4)


@settings(max_examples=30, deadline=None)
@given(start=st.tuples(*[st.integers(1, 20)] * 2), end=st.tuples(*[st.integers(1, 300)] * 2), layers=st.integers(2, 10))
def test_sizes_lead_monotonically_to_the_full_one(start, end, layers: int) -> None:
    sizes = [start, *layer_sizes(start, end, layers=layers)]
    assert len(sizes) == layers
    assert sizes[-1] == end
    for axis in (0, 1):
        column = [size[axis] for size in sizes]
        assert column == sorted(column, reverse=start[axis] > end[axis])


def test_whole_ratios_are_not_rounded_up() -> None:
    assert layer_sizes((6, 5), (96, 80), layers=5) == [(12, 10), (24, 20), (48, 40), (96, 80)]


def test_conv_decoder_is_the_published_computation() -> None:
    """Against the layers written one after the other with functions."""
    network = ConvDecoderNetwork(output_channels=4, output_size=(21, 18), channels=5, layers=4, input_size=(4, 3))
    network.initialise([3])
    x = network.input[None]
    weights = [w for w in network.parameters() if w.ndim == 4]
    for n, weight in enumerate(weights[:-1]):
        if n < 3:
            x = F.interpolate(x, size=network.sizes[n], mode="nearest")
        x = F.conv2d(x, weight, padding=1).relu()
        x = (x - x.mean(dim=(2, 3), keepdim=True)) / (x.var(dim=(2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(network(), F.conv2d(x, weights[-1]), atol=1e-5, rtol=1e-4)


def test_deep_decoder_is_the_published_computation() -> None:
    network = DeepDecoderNetwork(output_channels=2, output_size=(20, 18), channels=5, layers=3, input_size=(4, 4))
    network.initialise([3])
    x = network.input
    weights = [w[:, :, 0, 0] for w in network.parameters() if w.ndim == 4]
    for size, weight in zip([*network.sizes, None], weights[:-1], strict=True):
        x = torch.einsum("oc,chw->ohw", weight, x)
        if size is not None:
            x = F.interpolate(x[None], size=size, mode="bilinear", align_corners=True)[0]
        x = x.relu()
        x = (x - x.mean(dim=(1, 2), keepdim=True)) / (x.var(dim=(1, 2), keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(network()[0], torch.einsum("oc,chw->ohw", weights[-1], x), atol=1e-5, rtol=1e-4)


def test_deep_image_prior_uses_its_skips_where_it_has_them() -> None:
    network = DeepImagePriorNetwork(
        output_channels=2, output_size=(24, 20), channels=4, scales=3, skip_channels=(0, 3, 5)
    )
    assert [up[0].num_features for up in network.up] == [4, 7, 9]
    network.initialise([1])
    network().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


KNOBS = [
    {"norm": "group"},
    {"norm": "layer"},
    {"norm": "instance"},
    {"norm": "none"},
    {"upsampling": "bilinear"},
    {"upsampling": "nearest"},
    {"bias": True},
    {"learn_input": True},
]


@networks
@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: "-".join(f"{k}={v}" for k, v in knob.items()))
@pytest.mark.parametrize("size", [(17, 22), (9, 10, 12)])
def test_members_side_by_side_are_networks_one_by_one(network, knob, size) -> None:
    def build(members: int):
        return network(
            output_channels=2, output_size=size, spatial_dims=len(size), members=members, **SMALL[network], **knob
        )

    together = build(3)
    together.initialise([5, 6, 7])
    single = build(1)
    for n, seed in enumerate((5, 6, 7)):
        single.initialise([seed])
        torch.testing.assert_close(together()[n], single()[0], atol=2e-5, rtol=1e-4)
        picked = pick(together.state_dict(), [n], of=3)
        assert all(torch.equal(picked[name], value) for name, value in single.state_dict().items())


@pytest.mark.parametrize(
    "knob", [{"skips": True}, {"skips": True, "extra_block": False}, {"extra_block": False}, {"kernel": 5}]
)
def test_knobs_of_conv_decoder(knob) -> None:
    def build(members: int):
        return ConvDecoderNetwork(
            output_channels=4, output_size=(16, 12), channels=6, layers=3, members=members, **knob
        )

    together, single = build(2), build(1)
    together.initialise([1, 2])
    single.initialise([2])
    torch.testing.assert_close(together()[1], single()[0], atol=2e-5, rtol=1e-4)


def test_batch_and_instance_normalisation_agree_on_one_image() -> None:
    x = torch.randn(1, 6, 5, 4)
    batch, instance = (normalisation(norm, 3, members=2, spatial_dims=2) for norm in ("batch", "instance"))
    torch.testing.assert_close(batch(x), instance(x))


@networks
def test_learned_input_is_a_parameter(network) -> None:
    options = {"output_channels": 2, "output_size": (16, 16), **SMALL[network]}
    fixed, learned = network(**options), network(**options, learn_input=True)
    assert learned.parameter_count() == fixed.parameter_count() + fixed.input.numel()


def test_activations_are_counted() -> None:
    network = ConvDecoderNetwork(output_channels=2, output_size=(64, 64), channels=8, layers=2, input_size=(64, 64))
    full = 8 * 64 * 64 * 4
    # input, ReLU output (shared with the normalisation) and normalised output of two blocks
    assert 5 * full <= activation_bytes(network) <= 5.1 * full


def test_stacked_weights_come_apart_again() -> None:
    parts = [{"a": torch.rand(2, 3), "b": torch.rand(1)} for _ in range(3)]
    stacked = stack(parts)
    for n, part in enumerate(parts):
        assert all(torch.equal(value, part[name]) for name, value in pick(stacked, [n], of=3).items())
    with pytest.raises(ScanproofError, match="weights must be those of one architecture"):
        stack([parts[0], {"a": torch.rand(2, 3)}])


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (
            ConvDecoderNetwork,
            {"norm": "spectral"},
            r"unknown norm, got 'spectral'.*batch, group, instance, layer, none",
        ),
        (ConvDecoderNetwork, {"upsampling": "cubic"}, "unknown upsampling, got 'cubic'"),
        (ConvDecoderNetwork, {"layers": 1}, "layers must be at least 2, got 1"),
        (ConvDecoderNetwork, {"kernel": 2}, "kernel must be odd and positive, got 2"),
        (ConvDecoderNetwork, {"channels": 0}, "channels must be at least 1, got 0"),
        (ConvDecoderNetwork, {"input_size": (4,)}, r"input_size must hold 2 positive sizes, got \(4,\)"),
        (ConvDecoderNetwork, {"spatial_dims": 4}, "spatial_dims must be 2 or 3, got 4"),
        (DeepDecoderNetwork, {"layers": 0}, "layers must be at least 2, got 0"),
        (DeepImagePriorNetwork, {"scales": 0}, "scales must be at least 1, got 0"),
        (DeepImagePriorNetwork, {"scales": 8}, r"scales must leave more than one pixel.*got 8 \(use at most 3\)"),
        (DeepImagePriorNetwork, {"scales": 2, "skip_channels": (1, 2, 3)}, "at most 2 numbers, none negative"),
    ],
)
def test_wrong_options_are_named(network, options, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        network(output_channels=2, output_size=(16, 12), **options)


def test_every_member_needs_a_seed() -> None:
    with pytest.raises(ScanproofError, match="seeds must hold 1 numbers, got 2"):
        ConvDecoderNetwork(output_channels=2, output_size=(16, 12)).initialise([1, 2])
