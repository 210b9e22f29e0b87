from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.evaluation import bootstrap as module
from scanproof.evaluation.bootstrap import Bootstrap, percentile_interval, subject_weights


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_whole_subjects_are_drawn_as_often_as_there_are_subjects(subjects, seed):
    weights = subject_weights(subjects, resamples=7, seed=seed)
    assert weights.shape == (7, len(subjects))
    assert weights.dtype == np.float64
    names, first = np.unique(subjects, return_index=True)
    np.testing.assert_array_equal(weights[:, first].sum(axis=1), len(names))
    for i, subject in enumerate(subjects):
        np.testing.assert_array_equal(weights[:, i], weights[:, first[list(names).index(subject)]])


def test_multiplicities_are_those_of_drawing_with_replacement():
    weights = subject_weights([f"s{i:03d}" for i in range(50)], resamples=4000, seed=3)
    counts = np.array([(weights == k).mean() for k in range(5)])
    # 200 000 counts: standard errors are below 0.0012
    np.testing.assert_allclose(counts, scipy.stats.binom.pmf(np.arange(5), 50, 1 / 50), atol=0.005)
    assert np.corrcoef(weights[:, 0], weights[:, 1])[0, 1] == pytest.approx(-1 / 49, abs=0.05)


def test_weights_depend_on_seed_and_subjects_but_not_on_the_order_of_cases():
    subjects = ["b", "a", "c", "a", "c", "d"]
    weights = subject_weights(subjects, resamples=20, seed=1)
    np.testing.assert_array_equal(subject_weights(subjects, resamples=20, seed=1), weights)
    np.testing.assert_array_equal(subject_weights(subjects[::-1], resamples=20, seed=1), weights[:, ::-1])
    np.testing.assert_array_equal(subject_weights([*subjects, "d"], resamples=20, seed=1)[:, :-1], weights)
    assert (subject_weights(subjects, resamples=20, seed=2) != weights).any()


def test_sites_draw_independent_resamples():
    bootstrap = Bootstrap(seed=1, resamples=2000)
    north, south = (bootstrap.weights(site, [f"s{i}" for i in range(20)]) for site in ("north", "south"))
    np.testing.assert_array_equal(north[0], 1)
    values = np.arange(20.0)
    assert abs(np.corrcoef(north[1:] @ values, south[1:] @ values)[0, 1]) < 0.1


def test_interval_agrees_with_scipy_when_every_subject_has_one_case():
    values = np.random.default_rng(0).gamma(2, size=150)
    weights = subject_weights([f"s{i}" for i in range(150)], resamples=4000, seed=5)
    lower, upper = percentile_interval(weights @ values / weights.sum(axis=1), confidence=0.9)
    expected = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=4000, confidence_level=0.9, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    # a bound from 4000 resamples scatters by about 0.03 standard errors of the mean
    tolerance = 0.12 * values.std() / np.sqrt(150)
    assert float(lower) == pytest.approx(expected.low, abs=tolerance)
    assert float(upper) == pytest.approx(expected.high, abs=tolerance)


def test_interval_covers_the_truth_as_often_as_it_says_and_resampling_cases_does_not():
    """300 studies of 40 subjects with 4 alike cases each; the true mean is 0."""
    rng = np.random.default_rng(11)
    subjects = np.repeat([f"s{i:02d}" for i in range(40)], 4)
    covered = {"subjects": 0, "cases": 0}
    for study in range(300):
        values = np.repeat(rng.normal(size=40), 4) + 0.5 * rng.normal(size=160)
        for unit, names in (("subjects", subjects), ("cases", [f"c{i:03d}" for i in range(160)])):
            weights = subject_weights(names, resamples=200, seed=study)
            lower, upper = percentile_interval(weights @ values / weights.sum(axis=1), confidence=0.95)
            covered[unit] += bool(lower <= 0 <= upper)
    # of 2000 such studies 0.93 were covered, as percentile intervals run short with few clusters; the bounds are
    # three binomial standard errors of 300 away from that
    assert 0.885 <= covered["subjects"] / 300 <= 0.975
    assert covered["cases"] / 300 < 0.80


def test_interval_drops_missing_replicates_until_they_are_too_many():
    samples = np.arange(100.0)
    few, many = samples.copy(), samples.copy()
    few[:5], many[:6] = np.nan, np.nan
    lower, upper = percentile_interval([samples, few, many], confidence=0.8)
    np.testing.assert_allclose(lower[:2], [np.quantile(samples, 0.1), np.quantile(samples[5:], 0.1)])
    np.testing.assert_allclose(upper[:2], [np.quantile(samples, 0.9), np.quantile(samples[5:], 0.9)])
    assert np.isnan([lower[2], upper[2]]).all()


def test_interval_keeps_leading_axes():
    samples = np.random.default_rng(0).normal(size=(3, 2, 500))
    lower, upper = percentile_interval(samples, confidence=0.95)
    assert lower.shape == upper.shape == (3, 2)
    np.testing.assert_allclose(lower[1, 0], np.quantile(samples[1, 0], 0.025))


def test_estimate_widens_an_interval_that_misses_its_value():
    bootstrap = Bootstrap(seed=1, resamples=100)
    outlier, inside = np.r_[5.0, np.linspace(0, 1, 100)], np.r_[0.5, np.linspace(0, 1, 100)]
    estimate = bootstrap.estimate(np.stack([outlier, inside, -outlier]))
    np.testing.assert_array_equal(estimate.value, [5, 0.5, -5])
    np.testing.assert_allclose(estimate.lower, [0.025, 0.025, -5])
    np.testing.assert_allclose(estimate.upper, [5, 0.975, -0.025])


def test_weights_are_those_that_committed_results_were_made_with(monkeypatch):
    """Draws of all resamples at once, which is how they were made before memory was bounded."""
    subjects = np.array([f"s{i // 3}" for i in range(33)], object)
    drawn = np.random.default_rng(5).integers(11, size=(301, 11))
    _, member = np.unique(subjects.astype(str), return_inverse=True)
    expected = np.stack([np.bincount(row, minlength=11) for row in drawn])[:, member]
    monkeypatch.setattr(module, "_DRAWS_AT_ONCE", 77)
    np.testing.assert_array_equal(subject_weights(subjects, resamples=301, seed=5), expected)
    small = subject_weights(subjects, resamples=301, seed=5, dtype=np.uint8)
    assert small.dtype == np.uint8
    np.testing.assert_array_equal(small, expected)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_expanded_draws_vary_as_much_as_means_do(count):
    """The variance of replicates is the unbiased one, s squared over n; drawn n times it is less by (n - 1) / n."""
    values = np.random.default_rng(count).normal(size=count)
    names = [f"s{i}" for i in range(count)]
    unbiased = values.var(ddof=1) / count
    for interval, factor in (("expanded", 1), ("percentile", (count - 1) / count)):
        weights = Bootstrap(seed=1, resamples=20_000, interval=interval).weights("north", names)[1:]
        # 20 000 replicates tell a variance to about 2 %
        assert (weights @ values / weights.sum(axis=1)).var() == pytest.approx(factor * unbiased, rel=0.06)
    trained = Bootstrap(seed=1, resamples=20_000).training_weights(count)[1:]
    assert (trained @ values / trained.sum(axis=1)).var() == pytest.approx(unbiased, rel=0.06)


def test_one_subject_or_training_has_no_variance():
    bootstrap = Bootstrap(seed=1, interval="expanded")
    np.testing.assert_array_equal(bootstrap.weights("north", ["a", "a"]), 1)
    np.testing.assert_array_equal(bootstrap.training_weights(1), 1)


def test_crossed_samples_have_the_variance_of_subjects_and_of_trainings():
    """An additive table: the variance of its mean is the sum of the two."""
    rng = np.random.default_rng(2)
    of_subjects, of_trainings = rng.normal(size=30), 0.4 * rng.normal(size=5)
    bootstrap = Bootstrap(seed=3, resamples=20_000, interval="expanded")
    weights = bootstrap.weights("north", [f"s{i}" for i in range(30)])
    mean = weights @ of_subjects / weights.sum(axis=1)
    parts = of_subjects.var(ddof=1) / 30, of_trainings.var(ddof=1) / 5
    found = bootstrap.crossed(mean + of_trainings[:, None], axis=0, subjects=30)
    assert found.samples[0] == pytest.approx(of_subjects.mean() + of_trainings.mean())
    assert found.samples[1:].var() == pytest.approx(sum(parts), rel=0.05)
    # Satterthwaite's formula, as scipy writes it for two samples of different variance
    welch = scipy.stats.ttest_ind(of_subjects, of_trainings, equal_var=False).df
    assert float(found.freedom) == pytest.approx(welch, rel=0.05)


def test_freedom_is_that_of_what_varies():
    bootstrap = Bootstrap(seed=1, resamples=200)
    varying = np.random.default_rng(0).normal(size=201)
    alike = bootstrap.crossed(np.stack([varying, varying]), axis=0, subjects=30)
    assert float(alike.freedom) == pytest.approx(29)
    np.testing.assert_allclose(alike.samples, varying)
    apart = bootstrap.crossed(np.array([[1.0], [2.0], [4.0]]) + np.zeros(201), axis=0, subjects=30)
    assert float(apart.freedom) == pytest.approx(2)
    assert float(bootstrap.crossed(varying[None], axis=0, subjects=30).freedom) == 29
    assert float(bootstrap.crossed(np.ones((2, 201)), axis=0, subjects=30).freedom) == 29


def test_expanded_interval_of_a_mean_is_that_of_student():
    values = np.random.default_rng(1).normal(size=8)
    bootstrap = Bootstrap(seed=1, resamples=20_000, interval="expanded")
    weights = bootstrap.weights("north", [f"s{i}" for i in range(8)])
    found = bootstrap.estimate(weights @ values / weights.sum(axis=1), freedom=7)
    expected = scipy.stats.t.interval(0.95, 7, loc=values.mean(), scale=scipy.stats.sem(values))
    # the shape of the replicates is their own, not that of the normal distribution
    assert float(found.upper - found.lower) == pytest.approx(expected[1] - expected[0], rel=0.08)


def test_freedom_changes_nothing_but_expanded_intervals():
    samples = np.random.default_rng(0).normal(size=(2, 3, 101))
    percentile, expanded = (Bootstrap(seed=1, resamples=100, interval=kind) for kind in ("percentile", "expanded"))
    plain = percentile.estimate(samples)
    for same in (percentile.estimate(samples, freedom=3), expanded.estimate(samples)):
        for one, other in zip(same, plain, strict=True):
            np.testing.assert_array_equal(one, other)
    wide = expanded.estimate(samples, freedom=[[2], [np.inf]])
    factor = scipy.stats.t.ppf(0.975, 2) / scipy.stats.norm.ppf(0.975)
    np.testing.assert_allclose((wide.upper - wide.value)[0], factor * (plain.upper - plain.value)[0])
    np.testing.assert_allclose((wide.value - wide.lower)[0], factor * (plain.value - plain.lower)[0])
    np.testing.assert_allclose(wide.lower[1], plain.lower[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: subject_weights(["a"], resamples=0, seed=1), "resamples must be at least 1, got 0"),
        (lambda: subject_weights([], resamples=1, seed=1), "subjects must name at least one case"),
        (lambda: subject_weights(["a", float("nan")], resamples=1, seed=1), "subjects must be text"),
        (lambda: percentile_interval([1.0], confidence=1), r"confidence must be in \(0, 1\), got 1"),
        (lambda: percentile_interval([], confidence=0.9), "samples must hold at least one replicate"),
        (lambda: Bootstrap(seed=1, resamples=99), "resamples must be at least 100, got 99"),
        (lambda: Bootstrap(seed=1, confidence=95), r"confidence must be in \(0, 1\), got 95"),
        (
            lambda: Bootstrap(seed=1, interval="bca"),
            "interval: unknown interval, got .bca.",
        ),
        (lambda: Bootstrap(seed=1).training_weights(0), "trainings must be at least 1, got 0"),
        (lambda: Bootstrap(seed=1).crossed(np.ones((3, 1001)), axis=1, subjects=9), "must have 1001 resamples along"),
        (lambda: Bootstrap(seed=1).crossed(np.ones((3, 100)), axis=0, subjects=9), "must have 1001 resamples along"),
        (lambda: Bootstrap(seed=1).crossed(np.ones((3, 1001)), axis=0, subjects=0), "subjects must be at least 1"),
        (
            lambda: Bootstrap(seed=1, interval="expanded").estimate(np.ones(1001), freedom=0),
            "freedom must be more than 0, got 0.0",
        ),
        (lambda: subject_weights(["a"], resamples=1, seed=1, draws=0), "draws must be at least 1, got 0"),
        (
            lambda: subject_weights(["a"], resamples=1, seed=1, draws=300, dtype=np.uint8),
            "dtype must hold a multiplicity of 300, got 'uint8'",
        ),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ScanproofError, match=message):
        call()
