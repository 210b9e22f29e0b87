from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from scanproof.classification.augmentation import Augmentation
from scanproof.classification.classifier import normalise, probabilities, train_classifier
from scanproof.classification.networks import build_classifier
from scanproof.classification.norms import NORMS, Norm
from scanproof.errors import ScanproofError
from scanproof.training.engine import TrainingOptions

from .small import NARROW, blobs, brighten


def two_kinds(count: int, *, seed: int, exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Noise of small amplitude; a target is a dark or a bright block, exclusive or not."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, 1, 24, 24)).astype(np.float32) / 2
    labels = np.eye(2, dtype=int)[np.arange(count) % 2] if exclusive else rng.integers(0, 2, size=(count, 2))
    for image, label in zip(images, labels, strict=True):
        for target in range(2):
            if label[target]:
                brighten(image, rng, 2.0 if target else -2.0)
    return images, labels


@pytest.mark.parametrize("norm", NORMS)
def test_learns_an_easy_task(norm: Norm) -> None:
    network, _ = build_classifier("resnet18", norm=norm, seed=1, options=NARROW)
    options = TrainingOptions(epochs=10, batch_size=16, learning_rate=3e-3, clip=1.0)
    result = train_classifier(
        network, training=blobs(128, seed=1), validation=blobs(64, seed=2), options=options, seed=1
    )
    images, labels = blobs(100, seed=3)
    # instance normalization of maps of 2 x 2 places leaves a small network little to see
    least = 0.7 if norm == "instance" else 0.85
    assert roc_auc_score(labels, probabilities(network, images)[:, 0]) > least
    assert result.history["val_auroc"].max() == result.history["val_auroc"][result.best_epoch - 1]


@pytest.mark.parametrize("exclusive", [False, True])
def test_learns_two_targets_and_records_scikit_learns_mean_auroc(exclusive: bool) -> None:
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW, outputs=2)
    options = TrainingOptions(epochs=8, batch_size=16, learning_rate=3e-3)
    validation = two_kinds(60, seed=2, exclusive=exclusive)
    result = train_classifier(
        network,
        training=two_kinds(120, seed=1, exclusive=exclusive),
        validation=validation,
        options=options,
        seed=1,
        exclusive=exclusive,
    )
    found = probabilities(network, validation[0], exclusive=exclusive)
    assert found.shape == (60, 2)
    assert np.allclose(found.sum(axis=1), 1) == exclusive
    expected = roc_auc_score(validation[1], found, average="macro")
    assert result.history["val_auroc"].max() == pytest.approx(expected, abs=1e-6)
    assert expected > 0.85


def test_learns_volumes() -> None:
    network, _ = build_classifier("preact_resnet18", norm="group", seed=1, options={"width": 0.0625}, dimensions=3)
    options = TrainingOptions(epochs=6, batch_size=8, learning_rate=3e-3, clip=1.0)
    size = (12, 12, 12)
    result = train_classifier(
        network,
        training=blobs(48, seed=1, size=size),
        validation=blobs(24, seed=2, size=size),
        options=options,
        seed=1,
    )
    assert result.history["val_auroc"].max() > 0.85


def test_frozen_statistics_stay_from_the_middle_on_and_a_frozen_epoch_is_kept() -> None:
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW)
    stem = network.get_submodule("bn1")
    seen: list[torch.Tensor] = []
    weights: list[torch.Tensor] = []

    class Look:
        def attach(self, engine: object) -> None:
            from ignite.engine import Engine, Events

            assert isinstance(engine, Engine)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.look)

        def look(self, engine: object) -> None:
            seen.append(stem.get_buffer("running_mean").clone())
            weights.append(stem.get_parameter("weight").detach().clone())

    options = TrainingOptions(epochs=5, batch_size=16, learning_rate=1e-3, patience=1)
    result = train_classifier(
        network,
        training=blobs(48, seed=1),
        validation=blobs(24, seed=2),
        options=options,
        seed=1,
        freeze_statistics=0.5,
        handlers=[Look()],
    )
    assert len(seen) >= 4  # of five epochs, three are free: patience cannot end the training before
    assert [torch.equal(a, b) for a, b in pairwise(seen)][:3] == [False, False, True]
    assert not torch.equal(weights[2], weights[3])
    assert result.best_epoch >= 4
    assert (result.history["val_score"][:3] < 0).all()
    assert (result.history["val_score"][3:] == result.history["val_auroc"][3:]).all()
    # afterwards the layer is as any other
    network.train()(torch.randn(4, 1, 24, 24))
    assert not torch.equal(stem.get_buffer("running_mean"), seen[-1])


def test_freezing_needs_batch_norm_and_a_share() -> None:
    options = TrainingOptions(epochs=4)
    for norm, share, rule in (
        ("group", 0.5, "needs a network with batch normalization"),
        ("batch", 1.0, r"must be a share of the epochs in \(0, 1\), got 1.0"),
        ("batch", 0.9, "needs an epoch before and one after"),
    ):
        network, _ = build_classifier("resnet18", norm=norm, seed=1, options=NARROW)  # type: ignore[arg-type]
        with pytest.raises(ScanproofError, match=rule):
            train_classifier(
                network,
                training=blobs(8, seed=1),
                validation=blobs(8, seed=2),
                options=options,
                seed=1,
                freeze_statistics=share,
            )


def test_augmentation_changes_training_images_alone_and_is_seeded() -> None:
    class Record(nn.Module):
        """Remembers what it saw, and learns a little."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.seen: dict[bool, list[torch.Tensor]] = {True: [], False: []}

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen[self.training].append(images.detach().clone())
            return (self.scale * images).amax(dim=(2, 3))

    def seen(augment: list[Augmentation], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        network = Record()
        images, labels = blobs(16, seed=1)
        options = TrainingOptions(epochs=1, batch_size=16)
        train_classifier(
            network,
            training=(np.abs(images), labels),
            validation=(np.abs(images), labels),
            options=options,
            seed=seed,
            augment=augment,
        )
        return network.seen[True][0], network.seen[False][0]

    ghosts = [Augmentation(name="ghosting", probability=1, severities=(5, 5)), Augmentation(name="complex_noise")]
    plain, validation = seen([], 1)
    changed, same = seen(ghosts, 1)
    assert torch.equal(validation, same)
    assert torch.equal(changed, seen(ghosts, 1)[0])
    assert not torch.equal(changed, seen(ghosts, 2)[0])
    torch.testing.assert_close(plain.sum((1, 2, 3)), torch.zeros(16), atol=1e-2, rtol=0)
    torch.testing.assert_close(changed, normalise(changed), atol=1e-5, rtol=1e-5)  # artifacts come before
    # every image has its ghosts: it correlates with none of the clean ones, mirrored or not, as with itself
    clean = torch.cat([validation, validation.flip(-1)]).flatten(1)
    correlation = torch.corrcoef(torch.cat([changed.flatten(1), clean]))[:16, 16:]
    assert correlation.max() < 0.999


def test_augmentation_is_checked_early() -> None:
    with pytest.raises(ScanproofError, match="unknown shift, got 'ghost'"):
        Augmentation(name="ghost")
    with pytest.raises(ScanproofError, match=r"augment.ghosting: probability must be in \(0, 1\], got 0"):
        Augmentation(name="ghosting", probability=0)
    for severities in ((0, 2), (3, 2), (2, 6)):
        with pytest.raises(ScanproofError, match=r"severities must be \(lowest, highest\) in \[1, 5\]"):
            Augmentation(name="ghosting", severities=severities)


def test_probabilities_do_not_depend_on_batches() -> None:
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW)
    images, _ = blobs(10, seed=1)
    whole, parts = (probabilities(network, images, batch_size=b) for b in (10, 3))
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    assert whole.dtype == np.float64
    assert whole.shape == (10, 1)
    assert ((whole > 0) & (whole < 1)).all()


@pytest.mark.parametrize("shape", [(4, 1, 6, 8), (4, 1, 5, 6, 8)])
def test_intensity_scale_and_offset_are_normalised_away(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).random(shape).astype(np.float32)
    found = normalise(7 * images + 3)
    torch.testing.assert_close(found, normalise(images), atol=1e-5, rtol=1e-5)
    assert found.flatten(1).std(dim=1).tolist() == pytest.approx([1] * 4, rel=1e-5)
    assert torch.equal(normalise(np.ones(shape, np.float32)), torch.zeros(shape))


def test_one_class_and_nan_are_named() -> None:
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW)
    images, labels = blobs(8, seed=1)
    with pytest.raises(ScanproofError, match=r"validation split must hold cases of both labels 0 and 1, got \[1\]"):
        train_classifier(
            network, training=(images, labels), validation=(images, [1] * 8), options=TrainingOptions(), seed=1
        )
    two = np.stack([labels, labels[::-1]], axis=1)
    with pytest.raises(ScanproofError, match="validation labels must have 1 targets, got 2"):
        train_classifier(
            network, training=(images, labels), validation=(images, two), options=TrainingOptions(), seed=1
        )
    images[2, 0, 3, 3] = np.nan
    with pytest.raises(ScanproofError, match="images must be finite"):
        probabilities(network, images)
    with pytest.raises(ScanproofError, match="images must not be empty"):
        probabilities(network, images[:0])
