"""Risks of linear estimators, against matrices multiplied out and against the published and closed-form values."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.scaling.theory.asymptotics import (
    asymptotes,
    few_examples_risk,
    gradient_descent_risk,
    minimum_norm_risk,
    pca_risk,
)
from scanproof.scaling.theory.estimators import Decomposition
from scanproof.scaling.theory.run import load_theory, run_theory
from scanproof.scaling.theory.subspace import Examples, Subspace

MODEL = Subspace(10, 100, 0.05)


def drawn(model: Subspace, examples: int, seed: int = 0) -> Examples:
    return model.draw(examples, np.random.default_rng(seed))


def test_the_optimal_estimator_has_the_optimal_risk() -> None:
    examples = drawn(MODEL, 1)
    optimal = examples.basis @ examples.basis.T / (1 + MODEL.sigma**2)
    assert MODEL.risk(optimal, examples.basis) == pytest.approx(MODEL.optimal_risk, rel=1e-12)
    rng = np.random.default_rng(1)
    for _ in range(20):
        other = optimal + 1e-3 * rng.standard_normal(optimal.shape)
        assert MODEL.risk(other, examples.basis) > MODEL.optimal_risk


def test_the_risk_is_the_mean_squared_error_of_drawn_signals() -> None:
    model = Subspace(3, 8, 0.4)
    rng = np.random.default_rng(2)
    examples = model.draw(200_000, rng)
    estimator = rng.standard_normal((8, 8)) / 8
    errors = ((estimator @ examples.noisy - examples.clean) ** 2).sum(axis=0) / model.d
    assert errors.mean() == pytest.approx(model.risk(estimator, examples.basis), rel=0.01)


@settings(max_examples=25, deadline=None)
@given(
    d=st.integers(1, 4),
    more=st.integers(1, 8),
    sigma=st.floats(0.05, 1),
    count=st.integers(1, 60),
    steps=st.integers(0, 40),
    seed=st.integers(0, 99),
)
def test_gradient_descent_in_closed_form_equals_its_steps(
    d: int, more: int, sigma: float, count: int, steps: int, seed: int
) -> None:
    model = Subspace(d, d + more, sigma)
    examples = drawn(model, count, seed)
    learned = Decomposition(examples)
    weights = np.zeros((model.n, model.n))
    for _ in range(steps):
        gradient = weights @ examples.noisy @ examples.noisy.T - examples.clean @ examples.noisy.T
        weights = weights - learned.step_size * gradient
    assert learned.gradient_descent(steps) == pytest.approx(model.risk(weights, examples.basis), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("count", [4, 20, 30, 90, 400])
def test_minimum_norm_and_pca_equal_their_matrices(count: int) -> None:
    model = Subspace(5, 30, 0.2)
    examples = drawn(model, count, 3)
    learned = Decomposition(examples)
    pseudo = examples.clean @ np.linalg.pinv(examples.noisy)
    assert learned.minimum_norm() == pytest.approx(model.risk(pseudo, examples.basis), rel=1e-6)
    directions = np.linalg.svd(examples.noisy)[0][:, : min(model.d, count)]
    principal = directions @ directions.T / (1 + model.sigma**2)
    assert learned.pca() == pytest.approx(model.risk(principal, examples.basis), rel=1e-6)


@pytest.mark.parametrize("count", [5, 50, 300])
def test_stopping_is_best_among_all_steps(count: int) -> None:
    model = Subspace(5, 40, 0.3)
    learned = Decomposition(drawn(model, count, 4))
    stopped = learned.early_stopped()
    assert stopped.risk <= min(learned.gradient_descent(k) for k in range(3000)) + 1e-15
    assert stopped.risk == learned.gradient_descent(stopped.steps)
    assert learned.gradient_descent(10**11) == pytest.approx(learned.minimum_norm(), rel=1e-6)


# single runs of the released code of arXiv 2209.13435 at d = 10, n = 100, sigma = 0.05
@pytest.mark.parametrize(
    ("count", "published", "tolerance"),
    [(10, 0.1275, 0.3), (30, 0.0039, 0.15), (256, 0.00259, 0.02), (16384, 0.0024954, 0.0002)],
)
def test_early_stopped_risks_are_the_published_ones(count: int, published: float, tolerance: float) -> None:
    risks = [Decomposition(drawn(MODEL, count, seed)).early_stopped().risk for seed in range(8)]
    assert np.median(risks) == pytest.approx(published, rel=tolerance)


def test_closed_forms_hold_where_they_claim_to() -> None:
    many = [Decomposition(drawn(MODEL, 256, seed)) for seed in range(30)]
    assert np.mean([one.minimum_norm() for one in many]) == pytest.approx(minimum_norm_risk(MODEL, 256), rel=0.01)
    most = [Decomposition(drawn(MODEL, 16384, seed)) for seed in range(4)]
    excess = np.mean([one.pca() for one in most]) - MODEL.optimal_risk
    assert excess == pytest.approx(pca_risk(MODEL, 16384) - MODEL.optimal_risk, rel=0.1)
    excess = np.mean([one.early_stopped().risk for one in most]) - MODEL.optimal_risk
    assert excess == pytest.approx(gradient_descent_risk(MODEL, 16384) - MODEL.optimal_risk, rel=0.2)
    few = [Decomposition(drawn(MODEL, 5, seed)).early_stopped().risk for seed in range(30)]
    assert np.mean(few) == pytest.approx(few_examples_risk(MODEL, 5), rel=0.05)


def test_minimum_norm_peaks_where_there_are_as_many_examples_as_dimensions() -> None:
    risks = {
        count: np.median([Decomposition(drawn(MODEL, count, seed)).minimum_norm() for seed in range(9)])
        for count in (30, 100, 400)
    }
    assert risks[100] > 50 * max(risks[30], risks[400])


def test_closed_forms_are_missing_where_they_do_not_hold() -> None:
    at = asymptotes(MODEL, 101)
    assert np.isnan(at["minimum_norm"])
    assert np.isnan(at["few_examples"])
    assert asymptotes(MODEL, 5)["few_examples"] == pytest.approx(0.5)
    assert at["optimal"] == MODEL.optimal_risk


def test_draws_repeat_and_subspaces_are_orthonormal() -> None:
    one, two = drawn(MODEL, 7, 6), drawn(MODEL, 7, 6)
    np.testing.assert_array_equal(one.noisy, two.noisy)
    np.testing.assert_allclose(one.basis.T @ one.basis, np.eye(10), atol=1e-12)


@pytest.mark.parametrize(("d", "n", "sigma"), [(0, 5, 0.1), (5, 5, 0.1), (2, 5, 0.0), (2, 5, float("nan"))])
def test_settings_out_of_range_are_refused(d: int, n: int, sigma: float) -> None:
    with pytest.raises(ScanproofError, match="must be"):
        Subspace(d, n, sigma)


def test_no_example_and_negative_steps_are_refused() -> None:
    with pytest.raises(ScanproofError, match="at least 1, got 0"):
        drawn(MODEL, 0)
    with pytest.raises(ScanproofError, match="must not be negative, got -1"):
        Decomposition(drawn(MODEL, 3)).gradient_descent(-1)


def test_a_simulation_is_the_same_with_two_workers_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "theory.yaml"
    file.write_text(
        "{scaling: theory, name: t, seed: 3, runs: 2, examples: [4, 40], settings: [{d: 3, n: 20, sigma: 0.1}]}"
    )
    study = load_theory(file)
    one = run_theory(study, tmp_path / "one", tmp_path / "a", workers=1)
    two = run_theory(study, tmp_path / "two", tmp_path / "b", workers=2)
    assert (tmp_path / "a" / "risks.csv").read_bytes() == (tmp_path / "b" / "risks.csv").read_bytes()
    assert one.equals(two)
    assert sorted(one["estimator"].unique()) == ["early_stopped", "minimum_norm", "pca"]
    started: list[int] = []
    run_theory(study, tmp_path / "one", tmp_path / "a", workers=1, on_start=lambda tasks: started.append(len(tasks)))
    assert started == [0]


def test_the_published_settings_are_those_of_the_study_file() -> None:
    file = Path(__file__).parents[2] / "studies" / "scaling_theory.yaml"
    settings = {(setting.d, setting.n, setting.sigma) for setting in load_theory(file).settings}
    assert {(10, 100, 0.05), (10, 1000, 0.1), (10, 10000, 0.1), (100, 1000, 0.1)} <= settings


def test_a_setting_that_cannot_be_is_named(tmp_path: Path) -> None:
    file = tmp_path / "theory.yaml"
    file.write_text("{scaling: theory, name: t, examples: [4], settings: [{d: 20, n: 20, sigma: 0.1}]}")
    with pytest.raises(ScanproofError, match=r"theory.yaml: settings\[0\]: d must be in \[1, n\), got \(20, 20\)"):
        load_theory(file)
