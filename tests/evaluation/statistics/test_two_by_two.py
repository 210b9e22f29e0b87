from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, strategies as st
from sklearn.metrics import confusion_matrix, precision_score

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.classification_metrics import sensitivity, specificity
from scanproof.evaluation.statistics.clusters import informative_subjects
from scanproof.evaluation.statistics.two_by_two import proportion_interval, two_by_two


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 60)
    return labels, rng.random((2, 3, 60)) + 0.3 * labels, rng.multinomial(60, [1 / 60] * 60, size=20)


def test_agrees_with_scikit_learn_under_weights(sample):
    labels, scores, weights = sample
    table = two_by_two(labels, scores, threshold=0.6, weights=weights)
    for index in np.ndindex(2, 3):
        for r in range(20):
            read = scores[index] >= 0.6
            expected = confusion_matrix(labels, read, sample_weight=weights[r])
            found = [[table.true_negatives, table.false_positives], [table.false_negatives, table.true_positives]]
            np.testing.assert_array_equal([[count[index][r] for count in row] for row in found], expected)
            precision = precision_score(labels, read, sample_weight=weights[r])
            assert table.positive_predictive_value[index][r] == pytest.approx(precision)
            precision = precision_score(labels, read, sample_weight=weights[r], pos_label=0)
            assert table.negative_predictive_value[index][r] == pytest.approx(precision)


def test_rates_are_those_of_the_metrics(sample):
    labels, scores, weights = sample
    limits = np.random.default_rng(0).random(scores.shape)
    table = two_by_two(labels, scores, threshold=limits, weights=weights)
    given = {"threshold": limits, "weights": weights}
    np.testing.assert_array_equal(table.sensitivity, sensitivity(labels, scores, **given))
    np.testing.assert_array_equal(table.specificity, specificity(labels, scores, **given))


def test_rates_without_cases_are_missing():
    table = two_by_two([0, 0], [0.1, 0.2], threshold=0.5)
    assert np.isnan([table.sensitivity, table.positive_predictive_value]).all()
    assert table.negative_predictive_value == [1.0]


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95]))
def test_intervals_are_those_of_the_formulas(counts, confidence):
    successes, total = counts
    z, share = scipy.stats.norm.ppf((1 + confidence) / 2), successes / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    wilson = proportion_interval(successes, total, confidence=confidence)
    assert wilson == pytest.approx((max(centre - half, 0), min(centre + half, 1)), abs=1e-9)
    tail = (1 - confidence) / 2
    lower = scipy.stats.beta.ppf(tail, successes, total - successes + 1) if successes else 0.0
    upper = scipy.stats.beta.ppf(1 - tail, successes + 1, total - successes) if successes < total else 1.0
    exact = proportion_interval(successes, total, confidence=confidence, method="exact")
    assert exact == pytest.approx((lower, upper), abs=1e-6)


def test_intervals_of_whole_subjects_are_longer_where_slices_agree():
    rng = np.random.default_rng(1)
    subjects, read = np.repeat([f"s{i}" for i in range(40)], 5), np.repeat(rng.random(40) < 0.8, 5)
    bootstrap = Bootstrap(seed=1, resamples=2000, interval="expanded")
    table = two_by_two(np.ones(200, int), read, threshold=0.5, weights=bootstrap.weights("north", subjects))
    _, lower, upper = bootstrap.estimate(table.sensitivity, freedom=39)
    naive = proportion_interval(int(read.sum()), 200)
    by_subject = proportion_interval(int(read[::5].sum()), 40)
    assert float(upper - lower) > 1.8 * (naive[1] - naive[0])
    assert float(upper - lower) == pytest.approx(by_subject[1] - by_subject[0], rel=0.15)


def test_informative_subjects_are_those_of_the_rarer_class():
    assert informative_subjects([1, 1, 0, 0, 0], list("aabcd")) == 1
    assert informative_subjects([1, 0, 1, 0, 1], list("aabbc")) == 2
    assert informative_subjects([1, 1, 1], list("abb")) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportion_interval(3, 2), r"successes must be in \[0, total\]"),
        (lambda: proportion_interval(0, 0), r"successes must be in \[0, total\]"),
        (lambda: proportion_interval(1, 2, confidence=1), r"confidence must be in \(0, 1\), got 1"),
        (lambda: proportion_interval(1, 2, method="wald"), "method: unknown method, got 'wald'"),
        (lambda: informative_subjects([1], ["a", "b"]), "labels and subjects must be one a case"),
        (lambda: informative_subjects([], []), "labels and subjects must be one a case"),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ScanproofError, match=message):
        call()
