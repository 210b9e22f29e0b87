from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.statistics.decisions import (
    bootstrap_p_value,
    equivalent,
    holm,
    non_inferior,
    standardised_difference,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values):
    """A comparison is rejected where every set of comparisons that holds it is rejected by Bonferroni."""
    count = len(p_values)
    for index, found in enumerate(holm(p_values)):
        sets = (s for size in range(1, count + 1) for s in combinations(range(count), size) if index in s)
        expected = max(len(s) * min(p_values[i] for i in s) for s in sets)
        assert found == pytest.approx(min(expected, 1))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-2, 2), st.sampled_from([None, 2.0, 9.0]))
def test_p_value_is_below_a_level_where_the_interval_leaves_the_null_value_out(seed, shift, freedom):
    samples = np.random.default_rng(seed).normal(shift, 1, size=2000)
    samples[0] = np.median(samples[1:])
    found = float(bootstrap_p_value(samples, freedom=freedom))
    for level in (0.5, 0.2, 0.05, 0.01):
        if abs(found - level) > 0.002:  # quantiles lie between replicates
            bootstrap = Bootstrap(seed=1, resamples=1999, confidence=1 - level, interval="expanded")
            _, lower, upper = bootstrap.estimate(samples, freedom=freedom)
            assert (found < level) == (not lower <= 0 <= upper)


def test_p_value_of_a_mean_is_that_of_student():
    values = np.random.default_rng(3).normal(0.5, 1, size=12)
    bootstrap = Bootstrap(seed=1, resamples=40_000, interval="expanded")
    weights = bootstrap.weights("north", [f"s{i}" for i in range(12)])
    samples = weights @ values / weights.sum(axis=1)
    expected = scipy.stats.ttest_1samp(values, 0).pvalue
    assert float(bootstrap_p_value(samples, freedom=11)) == pytest.approx(expected, abs=0.015)
    assert float(bootstrap_p_value(-samples, freedom=11)) == pytest.approx(expected, abs=0.015)
    assert float(bootstrap_p_value(samples + 2, null=2.0, freedom=11)) == pytest.approx(expected, abs=0.015)


def test_p_value_without_enough_replicates_is_missing():
    samples = np.r_[1.0, np.arange(100) / 50]
    few, many = samples.copy(), samples.copy()
    few[1:6], many[1:7] = np.nan, np.nan
    found = bootstrap_p_value([samples, few, many, np.r_[np.nan, samples[1:]]])
    np.testing.assert_array_equal(np.isnan(found), [False, False, True, True])
    assert bootstrap_p_value(np.r_[1.0, np.ones(99)]) == pytest.approx(2 / 100)
    assert bootstrap_p_value(np.r_[0.0, np.ones(99)]) == 1


def test_decisions_need_the_bound_within_the_margin():
    lower, upper = np.array([-0.01, -0.05, -0.2, np.nan]), np.array([0.04, 0.2, -0.1, np.nan])
    np.testing.assert_array_equal(non_inferior(lower, margin=0.05), [True, False, False, False])
    np.testing.assert_array_equal(equivalent(lower, upper, margin=0.05), [True, False, False, False])
    np.testing.assert_array_equal(equivalent(lower, upper, margin=0.3), [True, True, True, False])


def test_hedges_takes_the_bias_of_few_trainings_off():
    """The true effect is 1; of 5 trainings each, Cohen's d is 1.25 on average."""
    differences = np.random.default_rng(0).normal(1, 1, size=(200_000, 5))
    assert standardised_difference(differences, hedges=False).mean() == pytest.approx(1.253, abs=0.01)
    assert standardised_difference(differences).mean() == pytest.approx(1, abs=0.01)
    plain = standardised_difference(differences[:3], hedges=False)
    np.testing.assert_allclose(plain, scipy.stats.ttest_1samp(differences[:3], 0, axis=1).statistic / np.sqrt(5))


def test_an_effect_without_variance_has_no_size():
    assert np.isnan(standardised_difference([[0.1, 0.1, 0.1], [0.0, 0.0, 0.0]])).all()
    assert np.isnan(standardised_difference([0.1, 0.2]))
    assert np.isfinite(standardised_difference([0.1, 0.2], hedges=False))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: holm([]), "p_values must be a list"),
        (lambda: holm([0.1, np.nan]), "p_values must be a list"),
        (lambda: bootstrap_p_value([1.0]), "samples must hold a value and at least one replicate"),
        (lambda: bootstrap_p_value([1.0, 2.0], freedom=0), "freedom must be more than 0, got 0.0"),
        (lambda: non_inferior(0.1, margin=0), "margin must be positive and finite, got 0"),
        (lambda: equivalent(0.1, 0.2, margin=np.inf), "margin must be positive and finite, got inf"),
        (lambda: standardised_difference([0.1]), "differences must be of at least two trainings"),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ScanproofError, match=message):
        call()
