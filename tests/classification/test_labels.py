from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy.special import expit, log_softmax
from sklearn.utils.class_weight import compute_class_weight

from scanproof.classification.labels import as_targets, balanced_loss, chances
from scanproof.errors import ScanproofError


@given(positives=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_binary_loss_is_the_mean_over_targets_with_both_labels_alike(positives: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.permutation(np.arange(10) < count) for count in positives], axis=1).astype(int)
    logits = rng.normal(size=labels.shape)
    expected = []
    for column, scores in zip(labels.T, logits.T, strict=True):
        # scikit-learn's balanced weights, up to the factor that leaves negatives at one
        low, high = compute_class_weight("balanced", classes=np.array([0, 1]), y=column)
        p = expit(scores)
        expected.append(np.mean(np.where(column == 1, high / low * -np.log(p), -np.log(1 - p))))
    loss = balanced_loss(as_targets(labels, split="training"))
    found = loss(torch.tensor(logits), torch.tensor(labels, dtype=torch.float64))
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)


def test_exclusive_loss_weights_classes_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(1)
    classes = np.array([0] * 7 + [1] * 2 + [2])
    labels, logits = np.eye(3, dtype=int)[classes], rng.normal(size=(10, 3))
    weights = compute_class_weight("balanced", classes=np.arange(3), y=classes)
    expected = np.mean(-weights[classes] * log_softmax(logits, axis=1)[np.arange(10), classes])
    loss = balanced_loss(as_targets(labels, split="training", exclusive=True), exclusive=True)
    found = loss(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels, dtype=torch.float32))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_chances_of_exclusive_targets_sum_to_one() -> None:
    logits = torch.randn(5, 3, dtype=torch.float64)
    assert chances(logits, exclusive=True).sum(dim=1).tolist() == pytest.approx([1] * 5)
    np.testing.assert_allclose(chances(logits).numpy(), expit(logits.numpy()), rtol=1e-12)


def test_a_target_that_lacks_a_label_and_a_case_without_one_are_named() -> None:
    with pytest.raises(ScanproofError, match=r"^test split must hold cases of both labels 0 and 1, got \[1\]"):
        as_targets([1, 1], split="test")
    with pytest.raises(ScanproofError, match=r"target 1: test split must hold cases of both labels.*got \[0\]"):
        as_targets([[0, 0], [1, 0]], split="test")
    with pytest.raises(ScanproofError, match=r"got \[0, 1, 2\]"):
        as_targets([0, 1, 2], split="test")
    with pytest.raises(ScanproofError, match=r"test case 1: a case must have exactly one of the.* targets, got 2"):
        as_targets([[0, 1], [1, 1], [1, 0], [0, 1]], split="test", exclusive=True)
    with pytest.raises(ScanproofError, match="exclusive targets must be at least two, got 1"):
        as_targets([0, 1], split="test", exclusive=True)
    for wrong in ([], np.zeros((2, 2, 2))):
        with pytest.raises(ScanproofError, match="labels must have shape"):
            as_targets(wrong, split="test")
