from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from scanproof.evaluation import weighted_sums as module
from scanproof.evaluation.weighted_sums import are_counts, case_rows, weighted_sums


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(np.float64, (2, 9), elements=st.floats(-40, 40, allow_subnormal=False)),
    arrays.arrays(np.uint8, (3, 9), elements=st.integers(0, 15)),
)
def test_sums_of_counted_values_are_those_of_exact_arithmetic(values, counts):
    found = weighted_sums(values, counts)
    for row, resample in np.ndindex(2, 3):
        exact = sum(Fraction(float(v)) * int(w) for v, w in zip(values[row], counts[resample], strict=True))
        # the two parts of a value hold more than its 53 bits, relative to the largest of its row
        assert found[row, resample] == pytest.approx(float(exact), rel=1e-15, abs=1e-25)


def test_order_of_cases_changes_no_bit():
    rng = np.random.default_rng(0)
    values, counts = rng.normal(size=(5, 1000)), rng.poisson(1, size=(20, 1000)).astype(np.uint8)
    order = rng.permutation(1000)
    np.testing.assert_array_equal(weighted_sums(values[:, order], counts[:, order]), weighted_sums(values, counts))


def test_counts_are_whole_and_not_too_many():
    assert are_counts(np.array([[0.0, 3.0]]))
    assert are_counts(np.array([[16, 16]], np.uint8))
    assert not are_counts(np.array([[0.5, 1.0]]))
    assert not are_counts(np.array([[17, 16]], np.uint8))


@pytest.mark.parametrize(("scale", "dtype"), [(1, np.uint16), (0.5, np.float64), (40_000, np.float64)])
def test_rows_are_the_columns_of_the_weights(scale, dtype, monkeypatch):
    weights = np.random.default_rng(0).poisson(1, size=(50, 6)) * scale
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 6 * 7)
    parts = list(case_rows(weights))
    assert len(parts) > 1
    for block, rows in parts:
        assert {row.dtype for row in rows} == {np.dtype(dtype)}
        np.testing.assert_array_equal(np.stack(rows), weights[block].T)
