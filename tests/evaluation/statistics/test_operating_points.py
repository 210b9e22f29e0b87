from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import roc_curve

from scanproof.errors import ScanproofError
from scanproof.evaluation.classification_metrics import operating_threshold, sensitivity
from scanproof.evaluation.statistics.operating_points import cross_fitted_thresholds, youden_threshold

readings = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.9, 1.0])), min_size=2, max_size=25
)


@settings(max_examples=50, deadline=None)
@given(readings)
def test_youden_threshold_is_where_the_roc_curve_is_highest_above_chance(listed):
    labels, scores = (np.array(column) for column in zip(*listed, strict=True))
    if labels.min() == labels.max():
        return
    alarms, hits, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    index = hits - alarms
    found = youden_threshold(labels, scores)
    assert index[thresholds == found] == pytest.approx([index.max()], abs=1e-12)
    # where no threshold beats reading nothing as positive, scikit-learn's curve has infinity as the best one
    better = thresholds[np.isfinite(thresholds) & np.isclose(index, index[thresholds == found], atol=1e-12)]
    assert found == better[np.isin(better, scores[labels == 1])].max()


@pytest.fixture(scope="module")
def shifted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores of 2 x 3 conditions and subjects of 40 x 3 cases, positive in every other subject."""
    rng = np.random.default_rng(2)
    subjects = np.repeat([f"s{i:02d}" for i in range(40)], 3)
    labels = ((np.arange(120) // 3) % 2) * rng.integers(0, 2, 120)
    return labels, rng.normal(size=(2, 3, 120)) + labels, subjects


def test_each_half_is_read_with_the_threshold_of_the_other(shifted):
    labels, scores, subjects = shifted
    found = cross_fitted_thresholds(labels, scores, subjects, sensitivity=0.8, seed=4)
    assert found.shape == scores.shape
    halves = [found[0, 0] == value for value in np.unique(found[0, 0])]
    assert len(halves) == 2
    for half in halves:
        assert len(set(subjects[half])) == 20
        assert not set(subjects[half]) & set(subjects[~half])
        assert abs(len(set(subjects[half & (labels == 1)])) - len(set(subjects[~half & (labels == 1)]))) <= 1
        for condition in np.ndindex(2, 3):
            expected = operating_threshold(labels[~half], scores[condition][~half], sensitivity=0.8)
            np.testing.assert_array_equal(found[condition][half], expected)


def test_split_depends_on_the_seed_and_not_on_the_order_of_cases(shifted):
    labels, scores, subjects = shifted
    found = cross_fitted_thresholds(labels, scores, subjects, sensitivity=0.8, seed=4)
    order = np.random.default_rng(0).permutation(120)
    again = cross_fitted_thresholds(labels[order], scores[..., order], subjects[order], sensitivity=0.8, seed=4)
    np.testing.assert_array_equal(again, found[..., order])
    assert (cross_fitted_thresholds(labels, scores, subjects, sensitivity=0.8, seed=5) != found).any()


def test_cross_fitting_keeps_the_sensitivity_honest():
    """Tuned on few cases of their own, thresholds reach at least what was asked; on others', on average no more."""
    rng = np.random.default_rng(8)
    labels, subjects = np.ones(30, int), [f"s{i:02d}" for i in range(30)]
    own, crossed = [], []
    for study in range(300):
        scores = rng.normal(size=30)
        own.append(sensitivity(labels, scores, threshold=operating_threshold(labels, scores, sensitivity=0.9))[0])
        limits = cross_fitted_thresholds(labels, scores, subjects, sensitivity=0.9, seed=study)
        crossed.append(sensitivity(labels, scores, threshold=limits)[0])
    assert np.mean(own) == pytest.approx(0.9)
    # the 14th of 15 in falling order leaves 14 / 16 of new cases above it; standard error 0.004
    assert np.mean(crossed) == pytest.approx(14 / 16, abs=0.015)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: youden_threshold([1, 1], [0.1, 0.2]), "at least one negative case"),
        (lambda: youden_threshold([0, 0], [0.1, 0.2]), "at least one positive case"),
        (
            lambda: cross_fitted_thresholds([1, 0], [0.1, 0.2], ["a", "b"], sensitivity=0.9, seed=1),
            "at least two with a positive case to tune thresholds on each half, got 1",
        ),
        (
            lambda: cross_fitted_thresholds([1, 0], [0.1, 0.2], ["a"], sensitivity=0.9, seed=1),
            "subjects must name one a case",
        ),
        (
            lambda: cross_fitted_thresholds([1, 1], [0.1], ["a", "b"], sensitivity=0.9, seed=1),
            r"scores must have shape \(\.\.\., 2\), as the labels, got \(1,\)",
        ),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ScanproofError, match=message):
        call()
