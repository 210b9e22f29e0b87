"""Meta-analysis against statsmodels, against published examples and in simulated sites."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from scanproof.errors import ScanproofError
from scanproof.evaluation.statistics.meta_analysis import fixed_effect, q_profile, random_effects, tau_squared

# thirteen trials of the BCG vaccine (Colditz et al., JAMA 271, 1994): events and others, vaccinated and not
BCG = np.array(
    [
        (4, 119, 11, 128),
        (6, 300, 29, 274),
        (3, 228, 11, 209),
        (62, 13536, 248, 12619),
        (33, 5036, 47, 5761),
        (180, 1361, 372, 1079),
        (8, 2537, 10, 619),
        (505, 87886, 499, 87892),
        (29, 7470, 45, 7232),
        (17, 1699, 65, 1600),
        (186, 50448, 141, 27197),
        (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    float,
)


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d = BCG.T
    variance = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)
    return np.log((a / (a + b)) / (c / (c + d))), np.sqrt(variance)


def test_published_analysis_of_the_bcg_vaccine() -> None:
    """Numbers of Viechtbauer (J. Stat. Softw. 36, 2010, section 3) and of the documentation of metafor."""
    values, errors = log_risk_ratios()
    found = random_effects(values, errors, interval="wald")
    assert found.estimate == pytest.approx(-0.7145, abs=5e-5)
    assert found.standard_error == pytest.approx(0.1798, abs=5e-5)
    assert (found.lower, found.upper) == pytest.approx((-1.0669, -0.3622), abs=5e-5)
    assert found.tau2 == pytest.approx(0.3132, abs=5e-5)
    assert found.i2 == pytest.approx(0.9222, abs=5e-5)
    assert found.q == pytest.approx(152.2330, abs=5e-5)
    assert found.p_value < 1e-4
    assert (found.tau2_lower, found.tau2_upper) == pytest.approx((0.1197, 1.1115), abs=5e-5)
    assert (found.i2_lower, found.i2_upper) == pytest.approx((0.8192, 0.9768), abs=5e-5)
    assert tau_squared(values, errors, method="dersimonian_laird") == pytest.approx(0.3088, abs=5e-5)
    assert tau_squared(values, errors, method="paule_mandel") == pytest.approx(0.3181, abs=5e-5)


sites = st.integers(2, 12).flatmap(
    lambda k: st.tuples(
        st.lists(st.floats(-2, 2), min_size=k, max_size=k), st.lists(st.floats(0.05, 1), min_size=k, max_size=k)
    )
)


@settings(max_examples=60, deadline=None)
@given(sites)
def test_statsmodels_gives_the_same(found: tuple[list[float], list[float]]) -> None:
    values, errors = (np.array(one) for one in found)
    assume(np.ptp(values) > 1e-3)
    with np.errstate(invalid="ignore"):  # it takes roots of negative variances
        other = combine_effects(values, errors**2, method_re="dl", use_t=False)
    fixed = fixed_effect(values, errors)
    assert (fixed.estimate, fixed.standard_error) == pytest.approx((other.mean_effect_fe, other.sd_eff_w_fe), abs=1e-9)
    assert fixed.q == pytest.approx(other.q, abs=1e-9)
    assert fixed.i2 == pytest.approx(max(other.i2, 0), abs=1e-9)
    wald = random_effects(values, errors, method="dersimonian_laird", interval="wald")
    assert wald.tau2 == pytest.approx(max(other.tau2, 0), abs=1e-9)
    if other.tau2 >= 0:  # where it is negative, statsmodels weighs by it all the same
        assert wald.estimate == pytest.approx(other.mean_effect_re, abs=1e-9)
        assert wald.standard_error == pytest.approx(other.sd_eff_w_re, abs=1e-9)
        knapp = random_effects(values, errors, method="dersimonian_laird", truncate=False)
        assert knapp.standard_error == pytest.approx(other.sd_eff_w_re_hksj, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(sites)
def test_estimates_of_tau_are_what_defines_them(found: tuple[list[float], list[float]]) -> None:
    values, errors = (np.array(one) for one in found)
    tau2 = tau_squared(values, errors, method="paule_mandel")
    weights = 1 / (errors**2 + tau2)
    q = (weights * (values - (weights * values).sum() / weights.sum()) ** 2).sum()
    assert q == pytest.approx(len(values) - 1, rel=1e-6) if tau2 > 0 else q <= len(values) - 1 + 1e-9
    best = tau_squared(values, errors, method="reml")
    others = [best * factor for factor in (0.5, 0.99, 1.01, 2)] + [best + 1e-3]
    assert all(likelihood(best, values, errors) >= likelihood(other, values, errors) - 1e-9 for other in others)


def likelihood(tau2: float, values: np.ndarray, errors: np.ndarray) -> float:
    """Density of the contrasts between sites, which hold nothing of the mean."""
    contrasts = np.eye(len(values))[1:] - np.eye(len(values))[:1]
    covariance = contrasts @ np.diag(errors**2 + tau2) @ contrasts.T
    return float(stats.multivariate_normal.logpdf(contrasts @ values, cov=covariance))


@settings(max_examples=60, deadline=None)
@given(sites, st.floats(-3, 3), st.floats(0.1, 10))
def test_moved_and_scaled_estimates_move_and_scale_the_result(
    found: tuple[list[float], list[float]], shift: float, scale: float
) -> None:
    values, errors = (np.array(one) for one in found)
    one, other = random_effects(values, errors), random_effects(scale * values + shift, scale * errors)
    assert other.estimate == pytest.approx(scale * one.estimate + shift, abs=1e-4 * scale)
    assert other.tau2 == pytest.approx(scale**2 * one.tau2, abs=1e-4 * scale**2)
    assert one.weights.sum() == pytest.approx(1)
    assert one.lower <= one.estimate <= one.upper
    assert one.tau2_lower <= one.tau2_upper
    assert min(values) - 1e-12 <= one.estimate <= max(values) + 1e-12
    assert 0 <= one.i2 < 1


def test_interval_and_prediction_hold_their_level() -> None:
    """Five sites whose true values differ: what the normal interval misses, Hartung and Knapp's holds."""
    random, mean, tau = np.random.default_rng(5), 0.3, 0.25
    errors = np.array([0.1, 0.15, 0.2, 0.25, 0.3])
    studies, held, short, told, spread = 800, 0, 0, 0, 0
    for _ in range(studies):
        truth = random.normal(mean, tau, len(errors))
        values = random.normal(truth, errors)
        found = random_effects(values, errors)
        wald = random_effects(values, errors, interval="wald")
        held += found.lower <= mean <= found.upper
        short += wald.lower <= mean <= wald.upper
        told += found.prediction_lower <= random.normal(mean, tau) <= found.prediction_upper
        spread += found.tau2_lower <= tau**2 <= found.tau2_upper
    assert 0.93 <= held / studies <= 0.98
    assert short / studies < 0.93
    assert (
        0.86 <= told / studies <= 0.98
    )  # short where sites are few, as Partlett and Riley found (Stat. Med. 36, 2017)
    assert 0.93 <= spread / studies <= 0.97


def test_agreeing_sites_are_not_surer_than_their_errors() -> None:
    found = random_effects([0.5, 0.5, 0.5], [0.1, 0.1, 0.1])
    assert found.tau2 == 0
    assert found.standard_error == pytest.approx(0.1 / np.sqrt(3))
    assert random_effects([0.5, 0.5, 0.5], [0.1, 0.1, 0.1], truncate=False).standard_error == 0


def test_one_site_says_nothing_of_heterogeneity() -> None:
    found = random_effects([0.8], [0.05])
    assert (found.estimate, found.tau2) == (0.8, 0)
    assert (found.lower, found.upper) == pytest.approx((0.702, 0.898), abs=1e-3)
    assert np.isnan([found.i2, found.p_value, found.tau2_upper, found.prediction_lower]).all()
    two = random_effects([0.8, 0.6], [0.05, 0.05])
    assert np.isnan(two.prediction_lower)
    assert two.tau2_upper > 100 * two.tau2


def test_interval_of_tau_is_where_q_meets_its_quantiles() -> None:
    values, errors = log_risk_ratios()
    for end, tail in zip(q_profile(values, errors, confidence=0.9), (0.95, 0.05), strict=True):
        weights = 1 / (errors**2 + end)
        mean = (weights * values).sum() / weights.sum()
        q = (weights * (values - mean) ** 2).sum()
        assert q == pytest.approx(stats.chi2.ppf(tail, len(values) - 1), rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "for at least one"),
        (([1.0], [1.0, 2.0]), "one number a site"),
        (([np.nan], [1.0]), "estimates must be finite"),
        (([1.0], [0.0]), "errors must be positive"),
    ],
)
def test_wrong_input_is_named(arguments: tuple[list[float], list[float]], message: str) -> None:
    for function in (fixed_effect, random_effects, q_profile):
        with pytest.raises(ScanproofError, match=message):
            function(*arguments)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ScanproofError, match="did you mean 'reml'"):
        random_effects([1.0], [1.0], method="rml")  # type: ignore[arg-type]
    with pytest.raises(ScanproofError, match="known: hartung_knapp, wald"):
        random_effects([1.0], [1.0], interval="t")  # type: ignore[arg-type]
