from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import entropy
from torch import nn

from scanproof.classification import adaptation
from scanproof.classification.adaptation import (
    predict_adapted,
    predict_with_entropy,
    sigmoid_entropy,
    softmax_entropy,
    with_statistics_of,
)
from scanproof.classification.classifier import normalise, probabilities, train_classifier
from scanproof.classification.networks import build_classifier
from scanproof.classification.norms import ALL_NORMS, BATCH_RESCUES, TEST_TIME, Norm
from scanproof.errors import ScanproofError
from scanproof.training.engine import TrainingOptions

from .small import NARROW, OPTIONS, blobs


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network that knows the easy task, with dropout, which adaptation must leave alone."""
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW)
    network.fc = nn.Sequential(nn.Dropout(0.5), network.get_submodule("fc"))
    options = TrainingOptions(epochs=4, batch_size=16, learning_rate=3e-3)
    train_classifier(network, training=blobs(96, seed=1), validation=blobs(48, seed=2), options=options, seed=1)
    return network


def noisy(count: int, *, seed: int, size: tuple[int, int] = (24, 24)) -> np.ndarray:
    """Images as the network does not know them."""
    images, _ = blobs(count, seed=seed, size=size)
    rng = np.random.default_rng(seed)
    stripes = 3 * np.sin(np.arange(size[1]) * 2)
    return (images + stripes + rng.normal(size=images.shape)).astype(np.float32)


def test_every_reading_is_deterministic_and_leaves_the_network_as_it_was(trained: nn.Module) -> None:
    before = copy.deepcopy(trained.state_dict())
    images, site = noisy(20, seed=3), noisy(15, seed=4)
    state = torch.get_rng_state()
    read: dict[str, np.ndarray] = {}
    for norm in ALL_NORMS:
        first, second = (predict_adapted(trained, norm, images, reference_images=site, seed=1) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == (20, 1)
        assert first.dtype == np.float64
        read[norm] = first
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in trained.state_dict().items())
    assert all(parameter.requires_grad for parameter in trained.parameters())
    assert not any(module._forward_pre_hooks for module in trained.modules())
    plain = probabilities(trained, images)
    for norm in ALL_NORMS:
        assert np.array_equal(read[norm], plain) == (norm not in TEST_TIME)
    assert len({read[norm].tobytes() for norm in TEST_TIME}) == len(TEST_TIME)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_b0"])
def test_statistics_without_a_prior_are_those_of_what_each_layer_then_reads(name: str) -> None:
    network, _ = build_classifier(name, norm="batch", seed=1, options=OPTIONS[name])
    images = noisy(12, seed=1, size=(64, 48))
    adapted = with_statistics_of(network, images)
    read: dict[nn.Module, torch.Tensor] = {}
    layers = [module for module in adapted.modules() if isinstance(module, nn.BatchNorm2d)]
    for layer in layers:
        layer.register_forward_hook(lambda module, inputs, _: read.__setitem__(module, inputs[0].double()))
    probabilities(adapted, images)
    assert len(read) == len(layers)
    for layer, features in read.items():
        mean, variance = features.mean(dim=(0, 2, 3)), features.var(dim=(0, 2, 3))
        torch.testing.assert_close(layer.get_buffer("running_mean").double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.get_buffer("running_var").double(), variance, rtol=1e-4, atol=1e-5)


def test_a_prior_counts_as_so_many_images_and_a_large_one_changes_nothing(trained: nn.Module) -> None:
    images = noisy(8, seed=1)
    source, found, mixed = (
        network.get_submodule("bn1").get_buffer("running_mean")
        for network in (trained, with_statistics_of(trained, images), with_statistics_of(trained, images, prior=24))
    )
    torch.testing.assert_close(mixed, 0.75 * source + 0.25 * found)
    strong = probabilities(with_statistics_of(trained, images, prior=1e9), images)
    np.testing.assert_allclose(strong, probabilities(trained, images), atol=1e-5)


@pytest.mark.parametrize("norm", ["batch_site", "batch_condition"])
def test_the_order_of_images_does_not_matter(trained: nn.Module, norm: Norm) -> None:
    images = noisy(12, seed=1)
    order = np.random.default_rng(1).permutation(12)
    forth = predict_adapted(trained, norm, images, reference_images=images)
    back = predict_adapted(trained, norm, images[order], reference_images=images[order])
    np.testing.assert_allclose(back, forth[order], atol=1e-5)


def test_of_many_images_as_many_as_fit_are_drawn(trained: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noisy(12, seed=1)
    whole = predict_adapted(trained, "batch_condition", images)
    monkeypatch.setattr(adaptation, "MOST_VALUES", 5 * 24 * 24 + 1)
    drawn, again, other = (predict_adapted(trained, "batch_condition", images, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(drawn, other)
    assert not np.array_equal(drawn, whole)


def test_entropies_are_scipys() -> None:
    logits = np.random.default_rng(1).normal(size=(6, 3)) * 4
    p = expit(logits)
    np.testing.assert_allclose(
        sigmoid_entropy(torch.tensor(logits)), entropy(np.stack([p, 1 - p]), axis=0).sum(axis=1), rtol=1e-9
    )
    np.testing.assert_allclose(softmax_entropy(torch.tensor(logits)), entropy(softmax(logits, axis=1), axis=1))


@pytest.mark.parametrize("exclusive", [False, True])
def test_adapting_to_entropy_makes_predictions_surer(exclusive: bool) -> None:
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW, outputs=3)
    images = noisy(24, seed=1)

    def uncertainty(**settings: float) -> float:
        found = predict_with_entropy(
            network,
            images,
            exclusive=exclusive,
            passes=int(settings["passes"]),
            learning_rate=settings["rate"],
        )
        assert np.allclose(found.sum(axis=1), 1) == exclusive
        return float(entropy(found if exclusive else np.stack([found, 1 - found]), axis=1 if exclusive else 0).mean())

    still, moved = (uncertainty(passes=6, rate=rate) for rate in (1e-12, 1e-2))
    assert moved < still - 0.01


def test_a_prediction_with_entropy_is_the_one_before_the_step(trained: nn.Module) -> None:
    """One batch, one pass: that of statistics of the batch alone; images come back in their order."""
    images = noisy(12, seed=1)
    found = predict_with_entropy(trained, images, batch_size=12)
    expected = copy.deepcopy(trained).eval()
    for module in expected.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    with torch.no_grad():
        logits = expected(normalise(images))
    np.testing.assert_allclose(found, torch.sigmoid(logits.double()).numpy(), atol=1e-5)


def test_what_cannot_be_adapted_is_named(trained: nn.Module) -> None:
    images = noisy(4, seed=1)
    group, _ = build_classifier("resnet18", norm="group", seed=1, options=NARROW)
    for norm in TEST_TIME:
        with pytest.raises(ScanproofError, match="network must have batch normalization to be adapted, got 'ResNet'"):
            predict_adapted(group, norm, images, reference_images=images)
    with pytest.raises(ScanproofError, match="batch_site: reference images must be given"):
        predict_adapted(trained, "batch_site", images)
    with pytest.raises(ScanproofError, match="unknown norm, got 'tent'"):
        predict_adapted(trained, "tent", images)  # type: ignore[arg-type]
    with pytest.raises(ScanproofError, match="prior: must not be negative, got -1"):
        with_statistics_of(trained, images, prior=-1)
    for name in ("batch_size", "passes"):
        with pytest.raises(ScanproofError, match=f"{name}: must be at least 1, got 0"):
            predict_with_entropy(trained, images, **{name: 0})
    images[0] = np.nan
    for norm in BATCH_RESCUES:
        with pytest.raises(ScanproofError, match="images must be finite"):
            predict_adapted(trained, norm, images, reference_images=images)
