from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from scanproof.errors import ScanproofError
from scanproof.evaluation import weighted_sums
from scanproof.evaluation.classification_metrics import (
    auprc,
    auroc,
    balanced_accuracy,
    brier,
    expected_calibration_error,
    negative_log_likelihood,
    operating_threshold,
    sensitivity,
    specificity,
)

WITH_WEIGHTS_ALONE = [auroc, auprc, expected_calibration_error, brier, negative_log_likelihood]
AT_THRESHOLD = [sensitivity, specificity, balanced_accuracy]


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores of 4 conditions with many ties, and weights of 50 resamples."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 60)
    scores = np.clip(0.25 * labels + rng.random((4, 60)) * 0.75, 0, 1).round(2)
    return labels, scores, rng.multinomial(60, [1 / 60] * 60, size=50).astype(float)


def test_agrees_with_scikit_learn_under_weights(sample):
    labels, scores, weights = sample
    found = {
        "auroc": auroc(labels, scores, weights=weights),
        "auprc": auprc(labels, scores, weights=weights),
        "brier": brier(labels, scores, weights=weights),
        "nll": negative_log_likelihood(labels, scores, weights=weights),
        "sensitivity": sensitivity(labels, scores, threshold=0.5, weights=weights),
        "specificity": specificity(labels, scores, threshold=0.5, weights=weights),
        "balanced": balanced_accuracy(labels, scores, threshold=0.5, weights=weights),
    }
    for c, r in np.ndindex(4, 50):
        weight, read = weights[r], scores[c] >= 0.5
        expected = {
            "auroc": roc_auc_score(labels, scores[c], sample_weight=weight),
            "auprc": average_precision_score(labels, scores[c], sample_weight=weight),
            "brier": brier_score_loss(labels, scores[c], sample_weight=weight),
            "nll": log_loss(labels, np.clip(scores[c], 1e-7, 1 - 1e-7), sample_weight=weight),
            "sensitivity": recall_score(labels, read, sample_weight=weight),
            "specificity": recall_score(labels, read, pos_label=0, sample_weight=weight),
            "balanced": balanced_accuracy_score(labels, read, sample_weight=weight),
        }
        for name, value in expected.items():
            # clipped at 1 - 1e-7 from above, too, scikit-learn's likelihood is off by as much
            assert found[name][c, r] == pytest.approx(value, abs=2e-7 if name == "nll" else 1e-12), name


def test_agrees_with_scikit_learn_without_weights(sample):
    labels, scores, _ = sample
    assert auroc(labels, scores).shape == (4, 1)
    assert auroc(labels, scores)[:, 0] == pytest.approx([roc_auc_score(labels, s) for s in scores], abs=1e-12)
    assert brier(labels, scores[0]) == pytest.approx([brier_score_loss(labels, scores[0])], abs=1e-12)


def test_calibration_agrees_with_scikit_learn():
    rng = np.random.default_rng(5)
    scores = rng.random(400)
    labels = (rng.random(400) < scores**2).astype(int)
    observed, predicted = calibration_curve(labels, scores, n_bins=10)
    share = np.histogram(scores, bins=10, range=(0, 1))[0] / 400
    assert expected_calibration_error(labels, scores) == pytest.approx(
        [share @ np.abs(observed - predicted)], abs=1e-12
    )


def test_calibration_bins_are_closed_below():
    # 0.3 opens the bin [0.3, 0.4) and 1.0 closes the last one
    assert expected_calibration_error([0, 1], [0.3, 0.31]) == pytest.approx([abs(0.5 - 0.305)])
    assert expected_calibration_error([0, 1], [0.29, 0.3]) == pytest.approx([(0.29 + 0.7) / 2])
    assert expected_calibration_error([1, 1], [0.95, 1.0]) == pytest.approx([0.025])


cases = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.9, 1.0]), st.integers(0, 3)),
    min_size=2,
    max_size=25,
)


@settings(max_examples=30, deadline=None)
@given(cases)
def test_weight_counts_how_often_a_case_is_listed(listed):
    labels, scores, weights = (np.array(column) for column in zip(*listed, strict=True))
    if not weights.sum():
        return
    long_labels, long_scores = np.repeat(labels, weights), np.repeat(scores, weights)
    for metric in WITH_WEIGHTS_ALONE:
        np.testing.assert_allclose(
            metric(labels, scores, weights=[weights]), metric(long_labels, long_scores), atol=1e-12
        )
    for metric in AT_THRESHOLD:
        weighted = metric(labels, scores, threshold=0.3, weights=[weights])
        np.testing.assert_array_equal(weighted, metric(long_labels, long_scores, threshold=0.3))


@settings(max_examples=30, deadline=None)
@given(cases)
def test_auroc_is_the_share_of_pairs_in_order(listed):
    labels, scores, weights = (np.array(column) for column in zip(*listed, strict=True))
    difference = scores[labels == 1][:, None] - scores[labels == 0]
    pairs = weights[labels == 1][:, None] * weights[labels == 0]
    if pairs.sum():
        expected = (pairs * ((difference > 0) + 0.5 * (difference == 0))).sum() / pairs.sum()
        assert auroc(labels, scores, weights=[weights]) == pytest.approx([expected], abs=1e-12)
    else:
        assert np.isnan(auroc(labels, scores, weights=[weights])).all()


@settings(max_examples=30, deadline=None)
@given(cases, st.sampled_from([0.01, 0.3, 0.5, 0.75, 0.9, 1.0]))
def test_operating_threshold_is_the_highest_that_is_sensitive_enough(listed, target):
    labels, scores, _ = (np.array(column) for column in zip(*listed, strict=True))
    if not labels.any():
        return
    threshold = operating_threshold(labels, scores, sensitivity=target)
    assert sensitivity(labels, scores, threshold=threshold)[0] >= target
    assert sensitivity(labels, scores, threshold=np.nextafter(threshold, 2))[0] < target
    if not labels.all():
        _, rates, thresholds = roc_curve(labels, scores, drop_intermediate=False)
        assert threshold == thresholds[np.flatnonzero(rates >= target)[0]]


def test_operating_threshold_is_not_pushed_down_by_rounding():
    scores = np.arange(100) / 100
    assert 0.07 * 100 > 7  # in floating point
    assert operating_threshold(np.ones(100, int), scores, sensitivity=0.07) == 0.93


def test_auroc_does_not_change_under_a_monotone_map_and_mirrors_under_a_falling_one(sample):
    labels, scores, weights = sample
    found = auroc(labels, scores, weights=weights)
    np.testing.assert_array_equal(auroc(labels, np.exp(5 * scores), weights=weights), found)
    np.testing.assert_allclose(auroc(labels, -scores, weights=weights), 1 - found, atol=1e-12)
    np.testing.assert_allclose(auroc(1 - labels, scores, weights=weights), 1 - found, atol=1e-12)


@pytest.mark.parametrize("metric", WITH_WEIGHTS_ALONE)
def test_order_of_cases_does_not_matter(metric, sample):
    labels, scores, weights = sample
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = metric(labels[order], scores[:, order], weights=weights[:, order])
    np.testing.assert_array_equal(shuffled, metric(labels, scores, weights=weights))


@pytest.mark.parametrize("metric", WITH_WEIGHTS_ALONE)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_neither_blocks_nor_the_type_of_counts_change_a_bit(metric, dtype, sample, monkeypatch):
    labels, scores, weights = sample
    whole = metric(labels, scores, weights=weights)
    monkeypatch.setattr(weighted_sums, "BLOCK_BYTES", 7 * 60 * 8)
    np.testing.assert_array_equal(metric(labels, scores, weights=weights.astype(dtype)), whole)


@pytest.mark.parametrize("metric", WITH_WEIGHTS_ALONE)
def test_weights_may_be_fractions_of_any_scale(metric, sample):
    labels, scores, weights = sample
    whole = metric(labels, scores, weights=weights)
    for scale in (0.37, 1e9):
        np.testing.assert_allclose(metric(labels, scores, weights=scale * weights), whole, atol=1e-12)


def test_average_precision_of_chance_is_the_prevalence():
    rng = np.random.default_rng(4)
    labels = (rng.random(20_000) < 0.2).astype(int)
    assert auprc(labels, rng.random(20_000))[0] == pytest.approx(labels.mean(), abs=0.02)
    assert auprc([0, 1, 0, 1], [0.5] * 4) == [0.5]


def test_likelihood_of_a_certain_error_is_bounded():
    assert negative_log_likelihood([0, 1], [1.0, 1.0]) == pytest.approx([-np.log(1e-7) / 2])
    assert negative_log_likelihood([0, 1], [0.0, 1.0]) == [0.0]


def test_threshold_counts_as_positive_and_broadcasts(sample):
    labels, scores, weights = sample
    stacked = np.stack([scores, scores[::-1]])
    limits = np.array([[0.4], [0.6]])
    found = sensitivity(labels, stacked, threshold=limits, weights=weights)
    assert found.shape == (2, 4, 50)
    np.testing.assert_array_equal(found[1, 0], sensitivity(labels, scores[3], threshold=0.6, weights=weights))
    limit_a_case = np.broadcast_to(limits[..., None], stacked.shape)
    np.testing.assert_array_equal(sensitivity(labels, stacked, threshold=limit_a_case, weights=weights), found)
    assert sensitivity([1], [0.5], threshold=0.5) == [1.0]
    assert specificity([0], [0.5], threshold=0.5) == [0.0]


def test_resample_without_a_class_has_no_value():
    labels, scores, weights = [0, 1], [0.2, 0.8], [[1, 1], [2, 0], [0, 2], [0, 0]]
    np.testing.assert_array_equal(auroc(labels, scores, weights=weights), [1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(
        balanced_accuracy(labels, scores, threshold=0.5, weights=weights), [1, np.nan, np.nan, np.nan]
    )
    np.testing.assert_array_equal(sensitivity(labels, scores, threshold=0.5, weights=weights), [1, np.nan, 1, np.nan])
    np.testing.assert_array_equal(np.isnan(brier(labels, scores, weights=weights)), [False, False, False, True])
    np.testing.assert_array_equal(auprc(labels, scores, weights=weights), [1, np.nan, np.nan, np.nan])
    assert np.isnan(auroc([1, 1], [0.2, 0.8])).all()


def test_a_threshold_a_case_is_compared_with_that_case():
    labels, scores = [1, 1, 0, 0], [0.4, 0.6, 0.4, 0.6]
    assert sensitivity(labels, scores, threshold=[0.3, 0.7, 0.5, 0.5]) == [0.5]
    assert specificity(labels, scores, threshold=[0.5, 0.5, 0.5, 0.7]) == [1.0]
    np.testing.assert_array_equal(sensitivity(labels, [scores, scores], threshold=[[0.3] * 4, [0.9] * 4])[:, 0], [1, 0])


@pytest.mark.parametrize(
    ("labels", "scores", "weights", "message"),
    [
        ([], [], None, r"labels must have shape \(n,\), n at least 1, got \(0,\)"),
        ([0, 2], [0.1, 0.2], None, "labels must be 0 or 1, got 2"),
        ([0, 1], [0.1], None, r"scores must have shape \(\.\.\., 2\), as the labels, got \(1,\)"),
        ([0, 1], [0.1, np.nan], None, "scores must be finite, got nan"),
        ([0, 1], [0.1, 0.2], [1, 1], r"weights must have shape \(resamples, 2\), got \(2,\)"),
        ([0, 1], [0.1, 0.2], [[1, -1]], "weights must be 0 or more, got -1.0"),
        ([0, 1], [0.1, 0.2], [[1, np.nan]], "weights must be 0 or more, got nan"),
    ],
)
@pytest.mark.parametrize("metric", WITH_WEIGHTS_ALONE)
def test_bad_arrays_say_what_is_wrong(metric, labels, scores, weights, message):
    with pytest.raises(ScanproofError, match=message):
        metric(labels, scores, weights=weights)


@pytest.mark.parametrize("metric", [brier, expected_calibration_error])
@pytest.mark.parametrize("score", [-0.1, 1.5])
def test_probabilities_must_be_probabilities(metric, score):
    with pytest.raises(ScanproofError, match=rf"probabilities in \[0, 1\], got {score}"):
        metric([0, 1], [0.5, score])


def test_bad_thresholds_say_what_is_wrong():
    with pytest.raises(ScanproofError, match=r"threshold must broadcast .* \(1,\), or .* \(1, 2\), got \(3,\)"):
        sensitivity([0, 1], [[0.1, 0.2]], threshold=[1, 2, 3])
    for target in (0, 1.1, np.nan):
        with pytest.raises(ScanproofError, match=r"sensitivity must be in \(0, 1\]"):
            operating_threshold([0, 1], [0.1, 0.2], sensitivity=target)
    with pytest.raises(ScanproofError, match="labels: an operating point needs at least one positive case"):
        operating_threshold([0, 0], [0.1, 0.2], sensitivity=0.9)
    with pytest.raises(ScanproofError, match=r"scores must have shape \(n,\)"):
        operating_threshold([0, 1], [[0.1, 0.2]], sensitivity=0.9)
