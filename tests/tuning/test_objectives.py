from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.tuning.objectives import Objectives, pareto_front, read_objectives, recommend

COSTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("names", "directions"),
    [
        (["held_out"], ("minimize",)),
        (["psnr"], ("maximize",)),
        (["seconds", "ssim"], ("maximize", "minimize")),
        (["nrmse", "seconds"], ("minimize", "minimize")),
    ],
)
def test_directions(names: list[str], directions: tuple[str, ...]) -> None:
    assert read_objectives(names).directions == directions


@pytest.mark.parametrize("names", [[], ["seconds"], ["psnr", "ssim"], ["psnr", "psnr"]])
def test_needs_exactly_one_quality(names: list[str]) -> None:
    with pytest.raises(ScanproofError, match="--objective: must name one of held_out, psnr, ssim, nrmse, and perhaps"):
        read_objectives(names)


def test_unknown_objective_lists_what_exists() -> None:
    with pytest.raises(ScanproofError, match=r"did you mean 'psnr'.*known: held_out, nrmse, psnr, seconds, ssim"):
        read_objectives(["pnsr"])


@given(COSTS)
@settings(max_examples=30, deadline=None)
def test_front_is_that_of_optuna(costs: list[tuple[int, int]]) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.add_trials([optuna.create_trial(values=list(cost)) for cost in costs])
    assert pareto_front([(float(a), float(b)) for a, b in costs]) == [trial.number for trial in study.best_trials]


@given(COSTS, st.integers(0, 11))
@settings(max_examples=30, deadline=None)
def test_recommended_is_never_worse_than_the_start_and_lies_on_the_front(
    costs: list[tuple[int, int]], start: int
) -> None:
    start %= len(costs)
    found = recommend(costs, start=start)
    assert costs[found][0] <= costs[start][0]
    assert costs[found][1] <= costs[start][1]
    assert found in pareto_front(costs)


def test_without_a_start_the_best_quality_is_recommended() -> None:
    assert recommend([(2.0, 1.0), (1.0, 9.0), (1.0, 8.0)], start=None) == 2


def test_one_objective_recommends_the_earliest_of_the_best() -> None:
    objectives = Objectives("ssim")
    assert recommend([objectives.costs([v]) for v in (0.8, 0.9, 0.9)], start=0) == 1
