from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from scanproof.errors import ScanproofError
from scanproof.evaluation.statistics.robustness import (
    corruption_error,
    curve_area,
    mean_corruption_error,
    relative_corruption_error,
    weighted_degradation,
    weighted_error,
    worst,
)

errors = arrays.arrays(np.float64, (2, 3, 4), elements=st.floats(0.05, 1))
clean = arrays.arrays(np.float64, (2, 4), elements=st.floats(0, 0.04))


@settings(max_examples=30, deadline=None)
@given(errors, errors, clean, clean)
def test_corruption_errors_are_ratios_of_sums_in_each_replicate(model, other, model_clean, other_clean):
    plain = corruption_error(model, other)
    relative = relative_corruption_error(model, other, clean=model_clean, reference_clean=other_clean)
    assert plain.shape == relative.shape == (2, 4)
    for artifact, sample in np.ndindex(2, 4):
        above, below = model[artifact, :, sample], other[artifact, :, sample]
        assert plain[artifact, sample] == pytest.approx(sum(above) / sum(below))
        expected = (sum(above) - 3 * model_clean[artifact, sample]) / (sum(below) - 3 * other_clean[artifact, sample])
        assert relative[artifact, sample] == pytest.approx(expected)


def test_the_reference_has_an_error_of_one_against_itself():
    table = np.random.default_rng(0).uniform(0.2, 1, size=(4, 3, 50))
    np.testing.assert_array_equal(corruption_error(table, table), 1)
    np.testing.assert_array_equal(
        relative_corruption_error(table, table, clean=np.zeros((4, 50)), reference_clean=np.zeros((4, 50))), 1
    )
    np.testing.assert_array_equal(mean_corruption_error(corruption_error(table, table)), 1)


def test_no_relative_error_where_the_reference_is_not_harmed():
    model, other = np.full((2, 4), 0.3), np.array([[0.109, 0.111, 0.1, 0.05], [0.109, 0.111, 0.1, 0.05]])
    found = relative_corruption_error(model, other, clean=[0.1] * 4, reference_clean=[0.1] * 4)
    np.testing.assert_array_equal(np.isnan(found), [True, False, True, True])
    assert found[1] == pytest.approx(0.2 / 0.011)
    assert np.isnan(corruption_error([[0.1]], [[0.0]])).all()


def test_artifacts_without_a_value_are_left_out_of_the_mean():
    table = np.array([[1.0, 2.0, np.nan], [np.nan, 5.0, 5.0], [3.0, 4.0, 4.0]])
    np.testing.assert_array_equal(mean_corruption_error(table), [2.0, 3.0, np.nan])
    assert np.isnan(mean_corruption_error(table[1:2])).all()


def test_weighted_means_are_those_of_rood_mri():
    """Written as the authors do it: a table, weights by level, grouped sums."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        [(t, s, rng.random()) for t in "ab" for s in (1, 2, 4)], columns=["transform", "severity", "error"]
    )
    clean_error = 0.1
    weight = (2 / 3) ** rows["severity"]
    groups = rows["transform"]
    overall = ((rows["error"] * weight).groupby(groups).sum() + clean_error) / (weight.groupby(groups).sum() + 1)
    degradation = ((rows["error"] - clean_error) * weight).groupby(groups).sum() / weight.groupby(groups).sum()
    table = rows["error"].to_numpy().reshape(2, 3, 1)
    given = {"clean": np.full((2, 1), clean_error), "severities": [1, 2, 4]}
    np.testing.assert_allclose(weighted_error(table, **given)[:, 0], overall, rtol=1e-12)
    np.testing.assert_allclose(weighted_degradation(table, **given)[:, 0], degradation, rtol=1e-12)
    alike = weighted_degradation(table, **given, alpha=1.0)
    np.testing.assert_allclose(alike, table.mean(axis=1) - clean_error)


def test_curve_area_is_a_mean_height():
    severities, rng = [0, 1, 3, 5], np.random.default_rng(2)
    table = rng.random((3, 4, 7))
    expected = scipy.integrate.trapezoid(table, severities, axis=1) / 5
    np.testing.assert_allclose(curve_area(table, severities=severities), expected)
    np.testing.assert_allclose(curve_area(np.full((4, 2), 0.8), severities=severities), 0.8)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_worst_is_chosen_by_the_values(higher_is_better):
    rng = np.random.default_rng(3)
    table = rng.normal(size=(5, 4, 200)) * (1 if higher_is_better else -1)
    found = worst(table, higher_is_better=higher_is_better)
    for site in range(5):
        values = table[site, :, 0]
        index = int(found.position[site])
        assert values[index] == (values.min() if higher_is_better else values.max())
        np.testing.assert_array_equal(found.samples[site], table[site, index])
        replicates = table[site, :, 1:]
        chosen = (replicates.argmin(axis=0) if higher_is_better else replicates.argmax(axis=0)) == index
        assert found.frequency[site] == chosen.mean()
    assert np.isnan(worst([[0.1], [0.2]], higher_is_better=True).frequency)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corruption_error([0.1], [0.1]), r"errors must have at least two axes.* got \(1,\)"),
        (lambda: corruption_error([[0.1]], [[0.1, 0.2]]), r"reference must have the shape of the errors, \(1, 1\)"),
        (
            lambda: relative_corruption_error([[0.1]], [[0.2]], clean=[0.1], reference_clean=0.1),
            r"clean errors must have shape \(1,\), got \(\)",
        ),
        (
            lambda: relative_corruption_error([[0.1]], [[0.2]], clean=[0.1], reference_clean=[0.1], minimum=0),
            "minimum must be more than 0, got 0",
        ),
        (lambda: weighted_degradation([[0.1]], clean=[0.1], severities=[0]), r"must rise, from 1 or more, got \[0\]"),
        (lambda: weighted_degradation([[0.1]], clean=[0.1], severities=[1, 2]), "severities must be 1, one a row"),
        (lambda: weighted_degradation([[0.1]], clean=[0.1], severities=[1], alpha=2), r"alpha must be in \(0, 1\]"),
        (lambda: curve_area([[0.1], [0.2]], severities=[1, 2]), "must be at least two and begin with 0"),
        (lambda: curve_area([[0.1], [0.2]], severities=[0, 0]), "severities must rise"),
        (lambda: worst([[0.1], [np.nan]], higher_is_better=True), "must have a value for each"),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ScanproofError, match=message):
        call()
