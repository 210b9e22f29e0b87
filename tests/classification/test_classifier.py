from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from scanproof.classification.classifier import normalise, probabilities, train_classifier
from scanproof.classification.networks import build_classifier
from scanproof.classification.norms import NORMS
from scanproof.errors import ScanproofError
from scanproof.training.engine import TrainingOptions

NARROW = {"width": 0.125, "stem_kernel": 3, "stem_stride": 1}


def blobs(count: int, *, seed: int) -> tuple[np.ndarray, list[int]]:
    """Noise, half of it with a bright square somewhere."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, 1, 24, 24)).astype(np.float32)
    labels = [i % 2 for i in range(count)]
    for image, label in zip(images, labels, strict=True):
        if label:
            y, x = rng.integers(2, 16, size=2)
            image[0, y : y + 6, x : x + 6] += 2.0
    return images, labels


@pytest.mark.parametrize("norm", NORMS)
def test_learns_an_easy_task(norm: str) -> None:
    network, _ = build_classifier("resnet18", norm=norm, seed=1, options=NARROW)
    options = TrainingOptions(epochs=12, batch_size=16, learning_rate=3e-3, patience=12)
    result = train_classifier(
        network, training=blobs(128, seed=1), validation=blobs(64, seed=2), options=options, seed=1
    )
    images, labels = blobs(100, seed=3)
    assert roc_auc_score(labels, probabilities(network, images)) > 0.85
    assert result.history["val_auroc"].max() == result.history["val_auroc"][result.best_epoch - 1]


def test_recorded_auroc_is_scikit_learns() -> None:
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW)
    validation = blobs(40, seed=2)
    options = TrainingOptions(epochs=2, batch_size=16, learning_rate=1e-3)
    result = train_classifier(network, training=blobs(48, seed=1), validation=validation, options=options, seed=1)
    expected = roc_auc_score(validation[1], probabilities(network, validation[0]))
    assert result.history["val_auroc"].max() == pytest.approx(expected, abs=1e-6)


def test_probabilities_do_not_depend_on_batches() -> None:
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW)
    images, _ = blobs(10, seed=1)
    whole, parts = (probabilities(network, images, batch_size=b) for b in (10, 3))
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    assert whole.dtype == np.float64
    assert ((whole > 0) & (whole < 1)).all()


def test_intensity_scale_and_offset_are_normalised_away() -> None:
    images, _ = blobs(4, seed=1)
    torch.testing.assert_close(normalise(7 * images + 3), normalise(images), atol=1e-5, rtol=1e-5)
    assert torch.equal(normalise(np.ones((1, 1, 4, 4), np.float32)), torch.zeros(1, 1, 4, 4))


def test_one_class_and_nan_are_named() -> None:
    network, _ = build_classifier("resnet18", norm="batch", seed=1, options=NARROW)
    images, _ = blobs(8, seed=1)
    with pytest.raises(ScanproofError, match=r"validation split must hold cases of both labels 0 and 1, got \[1\]"):
        train_classifier(
            network, training=blobs(8, seed=1), validation=(images, [1] * 8), options=TrainingOptions(), seed=1
        )
    images[2, 0, 3, 3] = np.nan
    with pytest.raises(ScanproofError, match="images must be finite"):
        probabilities(network, images)
