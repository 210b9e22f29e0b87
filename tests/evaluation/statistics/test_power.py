from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import roc_auc_score

from scanproof.errors import ScanproofError
from scanproof.evaluation.statistics.power import Expected, Goal, plan_size
from scanproof.evaluation.statistics.simulation import simulate


def test_standard_errors_are_those_of_simulated_readings():
    """Two readers of 120 subjects with 3 slices, correlated within subjects and between readers."""
    expected = Expected(auroc=0.8, prevalence=0.5, slices=3, intraclass=0.6, correlation=0.5)
    rng, areas = np.random.default_rng(0), []
    labels = np.repeat(np.arange(120) % 2, 3)

    def noise():
        return np.sqrt(0.6) * np.repeat(rng.normal(size=120), 3) + np.sqrt(0.4) * rng.normal(size=360)

    for _ in range(600):
        shared = noise()
        scores = [1.19 * labels + np.sqrt(0.5) * shared + np.sqrt(0.5) * noise() for _ in range(2)]
        areas.append([roc_auc_score(labels, score) for score in scores])
    one, other = np.array(areas).T
    # 600 studies tell a standard error to 3 %; the formula is one of exponential, not of normal scores
    assert expected.standard_error(120) == pytest.approx(one.std(), rel=0.12)
    assert expected.standard_error(120, paired=True) == pytest.approx((one - other).std(), rel=0.12)


def test_agrees_with_hanley_and_mcneil():
    area, positives, negatives = 0.85, 60, 140
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    terms = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    published = math.sqrt(terms / (positives * negatives))
    assert Expected(auroc=area, prevalence=0.3).standard_error(200) == pytest.approx(published, rel=0.01)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["half_width", "difference", "margin"]),
    st.floats(0.02, 0.2),
    st.floats(0.55, 0.97),
    st.floats(0.1, 0.9),
    st.integers(1, 6),
    st.floats(0, 0.02),
)
def test_plan_is_the_smallest_that_reaches_the_goal(aim, size, area, prevalence, slices, spread):
    expected = Expected(auroc=area, prevalence=prevalence, slices=slices, spread=spread, trainings=20)
    goal = Goal(aim=aim, size=size)
    plan = plan_size(goal, expected)
    least = math.ceil(2 / min(prevalence, 1 - prevalence))
    paired = aim != "half_width"
    assert plan.cases == plan.subjects * slices
    assert plan.standard_error == expected.standard_error(plan.subjects, paired=paired)
    assert plan.standard_error <= goal.largest_error(0.95) * (1 + 1e-6)
    if plan.subjects > least:
        assert expected.standard_error(plan.subjects - 1, paired=paired) > goal.largest_error(0.95) * (1 - 1e-6)


def test_trainings_that_differ_too_much_are_said_with_how_many_would_do():
    expected = Expected(spread=0.05, trainings=2)
    goal = Goal(aim="difference", size=0.05)
    with pytest.raises(ScanproofError, match=r"difference: trainings must be at least 16, for .* got 2"):
        plan_size(goal, expected)
    assert plan_size(goal, Expected(spread=0.05, trainings=16)).subjects > 1000


@pytest.mark.parametrize("aim", ["difference", "margin"])
def test_simulated_studies_reach_the_goal_as_often_as_planned(aim):
    expected = Expected(auroc=0.85, prevalence=0.5, slices=2, correlation=0.5, trainings=3, spread=0.01)
    plan = plan_size(Goal(aim=aim, size=0.1), expected)
    found = simulate(plan, expected, studies=120)
    # three standard errors of 120 studies
    assert found.reached == pytest.approx(0.8, abs=0.11)


def test_simulated_intervals_are_as_long_as_planned():
    expected = Expected(auroc=0.85, prevalence=0.5, slices=2, trainings=1)
    plan = plan_size(Goal(aim="half_width", size=0.07), expected)
    found = simulate(plan, expected, studies=60)
    assert found.half_width == pytest.approx(0.07, rel=0.1)
    assert math.isnan(found.reached)
    assert simulate(plan, expected, studies=60) == pytest.approx(found, nan_ok=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Expected(auroc=0.5), r"auroc must be in \(0.5, 1\), got 0.5"),
        (lambda: Expected(correlation=1), r"correlation must be in \[0, 1\), got 1"),
        (lambda: Expected(trainings=0), "trainings must be at least 1, got 0"),
        (lambda: Goal(aim="width", size=0.1), "aim: unknown aim, got 'width'"),
        (lambda: Goal(aim="margin", size=0), r"margin: size must be in \(0, 0.5\), got 0"),
        (lambda: Goal(aim="margin", size=0.1, power=80), r"power must be in \[0.5, 1\), got 80"),
        (
            lambda: plan_size(Goal(aim="margin", size=1e-4), Expected()),
            "margin: a study must not need more than 1000000 subjects",
        ),
        (
            lambda: simulate(plan_size(Goal(aim="margin", size=0.1), Expected()), Expected(), studies=0),
            "studies must be at least 1, got 0",
        ),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ScanproofError, match=message):
        call()
