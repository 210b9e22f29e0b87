from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import statsmodels.api as sm
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.scaling.fits.fit import FORMS, fit
from scanproof.scaling.fits.saturating import EXPONENTS, LARGEST, LEAST

SIZES = np.array([10.0, 20, 40, 100, 200, 500, 1000, 3000])
X = np.log(SIZES)
WEIGHTS = np.array([1.0, 2, 1, 0.5, 1, 1.5, 1, 0.7])


def noisy(curve, *, count=5, deviation=0.03, seed=0):
    return np.log(curve) + deviation * np.random.default_rng(seed).normal(size=(count, len(curve)))


@settings(max_examples=30, deadline=None)
@given(st.floats(-2, 2), st.floats(-3, 1))
def test_a_power_law_without_noise_is_found(exponent, level):
    found = fit("single", SIZES, level + exponent * X[None], WEIGHTS, falls=True)
    np.testing.assert_allclose(found.parameters[0], [level, exponent], atol=1e-9)
    np.testing.assert_allclose(found.rates(SIZES), -exponent, atol=1e-9)
    assert abs(found.flattening[0]) < 1e-12


@settings(max_examples=40, deadline=None)
@given(st.floats(-1.5, -0.1), st.floats(-1.5, 0.5), st.floats(22, 480))
def test_a_broken_law_without_noise_is_found(before, after, at):
    y = 1 + before * X + (after - before) * np.maximum(X - np.log(at), 0)
    found = fit("broken", SIZES, y[None], WEIGHTS, falls=True)
    assert found.squares[0] < 1e-18
    np.testing.assert_allclose(found.logs(SIZES)[0], y, atol=1e-9)
    if abs(after - before) > 0.05:
        np.testing.assert_allclose(found.parameters[0, 1:], [before, after, np.log(at)], atol=1e-6)
        np.testing.assert_allclose(found.flattening[0], after - before, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.floats(-2, -0.2), st.floats(0.02, 0.6), st.booleans())
def test_a_saturating_law_without_noise_is_found(exponent, share, falls):
    """A floor that is a share of the first error, or a limit that is so much above the first value."""
    limit = share if falls else 1 + share
    curve = 3 * (limit + (1 - limit) * (SIZES / SIZES[0]) ** exponent)
    found = fit("saturating", SIZES, np.log(curve)[None], WEIGHTS, falls=falls)
    np.testing.assert_allclose(found.parameters[0], [np.log(3), exponent, np.log(3 * limit)], atol=1e-5)
    np.testing.assert_allclose(found.values(SIZES)[0], curve, rtol=1e-7)


def test_a_power_law_is_that_of_statsmodels():
    y = noisy(2 * SIZES**-0.4)
    found = fit("single", SIZES, y, WEIGHTS, falls=True)
    for row, curve in enumerate(y):
        expected = sm.WLS(curve, sm.add_constant(X), weights=WEIGHTS).fit()
        np.testing.assert_allclose(found.parameters[row], expected.params, rtol=1e-10)
        np.testing.assert_allclose(found.squares[row], expected.ssr, rtol=1e-9)


@pytest.mark.parametrize("curve", [2 * SIZES**-0.4, 0.2 * np.where(SIZES < 90, SIZES**-0.5, 90**-0.4 * SIZES**-0.1)])
def test_a_break_is_that_of_a_search_over_all_breaks(curve):
    """For each break of a fine grid, the two lines are a linear least squares problem."""
    y = noisy(curve)
    found = fit("broken", SIZES, y, WEIGHTS, falls=True)
    root = np.sqrt(WEIGHTS)
    for row, one in enumerate(y):
        least = np.inf
        for at in np.linspace(X[1], X[-2], 4001):
            design = np.stack([np.ones_like(X), X, np.maximum(X - at, 0)], axis=1)
            rest = one - design @ np.linalg.lstsq(design * root[:, None], one * root, rcond=None)[0]
            least = min(least, float(WEIGHTS @ rest**2))
        # the grid misses the best break by a little, never the other way round
        assert least * (1 - 1e-3) <= found.squares[row] <= least * (1 + 1e-9)
        np.testing.assert_allclose(WEIGHTS @ (one - found.logs(SIZES)[row]) ** 2, found.squares[row], rtol=1e-8)


@pytest.mark.parametrize(
    ("curve", "falls"),
    [(0.02 + SIZES**-0.6, True), (SIZES**-0.4, True), (33 - 15 * SIZES**-0.3, False), (0 * SIZES + 0.5, True)],
)
def test_an_asymptote_is_that_of_scipy_from_many_starts(curve, falls):
    y = noisy(curve)
    found = fit("saturating", SIZES, y, WEIGHTS, falls=falls)
    low, high = (np.log(LEAST), 0.0) if falls else (0.0, np.log(LARGEST))
    starts = [(a, s) for a in (-0.1, -0.5, -1.5) for s in ((-6, -2, -0.3) if falls else (0.02, 0.2, 1.5))]
    for row, one in enumerate(y):

        def rest(p, one=one):
            shape = np.exp(p[2]) + (1 - np.exp(p[2])) * (SIZES / SIZES[0]) ** p[1]
            return np.sqrt(WEIGHTS) * (one - p[0] - np.log(shape))

        bounds = ([-np.inf, EXPONENTS[0], low], [np.inf, EXPONENTS[1], high])
        least = min(
            2 * scipy.optimize.least_squares(rest, [one[0], *start], bounds=bounds, xtol=1e-12, ftol=1e-12).cost
            for start in starts
        )
        assert found.squares[row] <= least * (1 + 1e-5)
        np.testing.assert_allclose(WEIGHTS @ (one - found.logs(SIZES)[row]) ** 2, found.squares[row], rtol=1e-7)


@pytest.mark.parametrize("form", FORMS)
def test_local_exponents_are_derivatives(form):
    found = fit(form, SIZES, noisy(0.02 + SIZES**-0.6), WEIGHTS, falls=True)
    at, h = np.array([15.0, 300.0, 2500.0]), 1e-5
    slope = (found.logs(at * np.exp(h)) - found.logs(at * np.exp(-h))) / (2 * h)
    np.testing.assert_allclose(found.rates(at), -slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
def test_curves_that_are_fitted_together_are_those_fitted_alone(form):
    y = noisy(0.02 + SIZES**-0.6, count=4)
    whole = fit(form, SIZES, y, WEIGHTS, falls=True)
    for row in range(4):
        alone = fit(form, SIZES, y[[row]], WEIGHTS, falls=True)
        np.testing.assert_allclose(whole.parameters[row], alone.parameters[0], rtol=1e-8)


def test_richer_forms_never_fit_worse():
    y = noisy(0.02 + SIZES**-0.6, count=50)
    squares = {form: fit(form, SIZES, y, WEIGHTS, falls=True).squares for form in FORMS}
    assert (squares["broken"] <= squares["single"] * (1 + 1e-9)).all()
    assert (squares["saturating"] <= squares["single"] * (1 + 1e-4)).all()


def test_wrong_input_is_told():
    y = np.zeros((1, 3))
    with pytest.raises(ScanproofError, match="broken law must have at least 4 sizes, got 3"):
        fit("broken", np.array([1.0, 2, 3]), y, np.ones(3), falls=True)
    with pytest.raises(ScanproofError, match="sizes must rise"):
        fit("single", np.array([1.0, 3, 2]), y, np.ones(3), falls=True)
    with pytest.raises(ScanproofError, match="y must be finite"):
        fit("single", np.array([1.0, 2, 3]), y * np.nan, np.ones(3), falls=True)
    with pytest.raises(ScanproofError, match="known: broken, saturating, single"):
        fit("brocken", np.array([1.0, 2, 3]), y, np.ones(3), falls=True)  # type: ignore[arg-type]
