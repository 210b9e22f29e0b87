from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.scaling.axes import axis
from scanproof.scaling.intervals import law, point_estimates, quantities
from scanproof.scaling.ladder import Ladder
from scanproof.scaling.simulation import Simulated, simulated_ladder

SIZES = (10, 20, 40, 80, 160, 320)


def test_values_are_those_of_the_form_and_intervals_hold_them(exact, broken, bootstrap):
    for form, error, truth in (
        ("single", lambda n: n**-0.4, {"exponent": -0.4}),
        ("broken", broken, {"exponent_before": -0.6, "exponent_after": -0.15, "break": 110, "flattening": 0.45}),
        ("saturating", lambda n: 0.01 + n**-0.7, {"exponent": -0.7, "asymptote": 0.01}),
    ):
        found = law(exact(error), form, bootstrap=bootstrap).estimates()
        assert list(found) == list(quantities(form))
        for name, value in truth.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-3)


def test_the_interval_of_an_exponent_is_students_where_only_trainings_differ():
    """With weights all alike the exponent is linear in the logs: its variance and its freedom have closed forms."""
    rng = np.random.default_rng(4)
    sizes, count = np.array(SIZES, float), 6
    logs = -0.5 * np.log(sizes)[:, None] + 0.05 * rng.normal(size=(len(sizes), count))
    values = tuple(np.exp(one)[:, None] for one in logs)
    measured = Ladder(axis=axis("mse"), sizes=sizes, values=values, subjects=np.array(["a"], object))
    found = law(measured, "single", bootstrap=Bootstrap(seed=1, resamples=4000, interval="expanded"))
    value, lower, upper = (float(part) for part in found.estimates()["exponent"])
    steps = np.log(sizes) - np.log(sizes).mean()
    slopes = steps / (steps @ steps)
    parts = slopes**2 * logs.var(axis=1, ddof=1) / count
    freedom = parts.sum() ** 2 / (parts**2 / (count - 1)).sum()
    half = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum())
    assert value == pytest.approx(slopes @ logs.mean(axis=1))
    assert upper - value == pytest.approx(half, rel=0.08)
    assert value - lower == pytest.approx(half, rel=0.08)


def test_seeds_that_run_through_all_sizes_have_the_freedom_of_their_number():
    """A seed has an exponent of its own: Student's interval of their mean."""
    rng = np.random.default_rng(5)
    sizes, count = np.array(SIZES, float), 4
    slopes = -0.5 + 0.05 * rng.normal(size=count)
    values = tuple(np.exp(slopes * np.log(size))[:, None] for size in sizes)
    measured = Ladder(axis=axis("mse"), sizes=sizes, values=values, subjects=np.array(["a"], object))
    bootstrap = Bootstrap(seed=1, resamples=4000, interval="expanded")
    value, lower, upper = law(measured, "single", bootstrap=bootstrap, draw="seed").estimates()["exponent"]
    half = scipy.stats.t.ppf(0.975, count - 1) * slopes.std(ddof=1) / np.sqrt(count)
    assert float(value) == pytest.approx(slopes.mean())
    # of four seeds there are few resamples: the interval is roughly Student's
    assert float(upper - lower) / 2 == pytest.approx(half, rel=0.25)


def test_what_subjects_share_moves_the_level_but_not_the_exponent(bootstrap):
    design = Simulated(sizes=SIZES, error=lambda n: n**-0.4, training=1e-4, case=1e-4, subject=0.5)
    measured = simulated_ladder(design, seed=1)
    exponent = law(measured, "single", bootstrap=bootstrap).estimates()["exponent"]
    assert float(exponent.upper - exponent.lower) < 2e-3
    value, lower, upper = point_estimates(measured, bootstrap=bootstrap)
    assert ((upper - lower) / value > 0.2).all()
    np.testing.assert_allclose(value, np.exp(measured.points))


def test_intervals_hold_the_truth_as_often_as_they_say():
    """60 sweeps of each law; the bound is three binomial standard errors below 95 %."""
    truths = {
        "single": (lambda n: 0.05 * n**-0.4, {"exponent": -0.4}),
        "broken": (
            lambda n: 0.05 * np.where(n < 55, n**-0.6, 55**-0.6 * (n / 55) ** -0.15),
            {"exponent_before": -0.6, "exponent_after": -0.15, "break": 55},
        ),
        "saturating": (lambda n: 0.002 + 0.05 * n**-0.7, {"exponent": -0.7, "asymptote": 0.002}),
    }
    for form, (error, truth) in truths.items():
        held = dict.fromkeys(truth, 0)
        for sweep in range(60):
            design = Simulated(sizes=SIZES, error=error, seeds=4, subjects=40, training=0.03)
            bootstrap = Bootstrap(seed=sweep, resamples=100, interval="expanded")
            found = law(simulated_ladder(design, seed=sweep), form, bootstrap=bootstrap).estimates()
            for name, value in truth.items():
                held[name] += bool(found[name].lower <= value <= found[name].upper)
        assert all(count >= 52 for count in held.values()), (form, held)
