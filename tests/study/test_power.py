from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scanproof.errors import ScanproofError
from scanproof.evaluation.statistics.power import Expected
from scanproof.study.power import expectation, expected_from, planned, power_table

AREAS = {("batch", 1): 1.3, ("batch", 2): 1.6, ("group", 1): 1.3, ("group", 2): 1.6}


@pytest.fixture(scope="module")
def pilot() -> pd.DataFrame:
    """400 subjects of 3 slices whose scores correlate by 0.4, read by two models that correlate by 0.7."""
    rng = np.random.default_rng(0)
    label = np.repeat(rng.random(400) < 0.25, 3)

    def noise() -> np.ndarray:
        return np.sqrt(0.4) * np.repeat(rng.normal(size=400), 3) + np.sqrt(0.6) * rng.normal(size=1200)

    shared = noise()
    own = {norm: np.sqrt(0.7) * shared + np.sqrt(0.3) * noise() for norm in ("batch", "group")}
    frames = []
    for (norm, seed), distance in AREAS.items():
        score = own[norm] + distance * label
        columns = {"norm": norm, "seed": seed, "label": label.astype(int), "probability": 1 / (1 + np.exp(-score))}
        names = {"subject": np.repeat([f"s{i:03d}" for i in range(400)], 3), "case": [f"c{i:04d}" for i in range(1200)]}
        frames.append(pd.DataFrame({**names, **columns}))
    table = pd.concat(frames).assign(site="north", split="test", shift="none", severity=0, classifier="resnet18")
    return table.assign(reconstruction="unet", acceleration=2.0, target="lesion")


def test_pilot_tells_what_it_was_made_with(pilot):
    found = expected_from(pilot)
    assert found.prevalence == pytest.approx(0.25, abs=0.06)
    assert (found.slices, found.trainings) == (3, 2)
    assert found.intraclass == pytest.approx(0.4, abs=0.08)
    assert found.correlation == pytest.approx(0.7, abs=0.06)
    assert found.auroc == pytest.approx(0.846, abs=0.03)  # the mean of Phi(1.3 / sqrt 2) and Phi(1.6 / sqrt 2)
    assert found.spread == pytest.approx((0.871 - 0.821) / np.sqrt(2), abs=0.01)


def test_targets_are_looked_at_one_by_one(pilot):
    """The opposite of a finding, read as well, is as hard to read and has the other prevalence."""
    other = pilot.assign(target="none", label=1 - pilot["label"], probability=1 - pilot["probability"])
    one, both = expected_from(pilot), expected_from(pd.concat([pilot, other]))
    assert both.prevalence == pytest.approx(0.5)
    for name in ("auroc", "spread", "correlation", "intraclass", "slices", "trainings"):
        assert getattr(both, name) == pytest.approx(getattr(one, name), abs=1e-9), name


def test_one_model_of_one_unknown_training_tells_what_it_can(pilot):
    single = pilot[(pilot["norm"] == "batch") & (pilot["seed"] == 1)].assign(norm=None, seed=np.nan)
    found = expected_from(single, otherwise=Expected(correlation=0.3, spread=0.02))
    assert (found.correlation, found.spread, found.trainings) == (0.3, pytest.approx(0.02), 1)
    assert found.intraclass == pytest.approx(0.4, abs=0.08)


def test_what_is_given_comes_before_defaults():
    found = expectation({"auroc": 0.9, "slices": None}, pilot=None, root=Path("none"))
    assert found == Expected(auroc=0.9, spread=0.01)
    plans = planned({"half_width": [0.05, 0.1]}, found, power=0.8)
    assert [plan.goal.size for plan, _ in plans] == [0.05, 0.1]
    assert power_table(plans, found).row_count == 2
    assert [plan.goal.aim for plan, _ in planned({}, found, power=0.9)] == ["half_width", "difference", "margin"]


def test_bad_pilots_say_what_is_wrong(pilot):
    with pytest.raises(ScanproofError, match=r"--reconstruction: unknown reconstruction, got 'unett' .*unet"):
        expected_from(pilot, reconstruction="unett")
    with pytest.raises(ScanproofError, match="clean test cases of both classes"):
        expected_from(pilot[pilot["label"] == 1])
    with pytest.raises(ScanproofError, match="--reconstruction: needs a pilot study, got 'unet'"):
        expectation({}, pilot=None, root=Path("none"), reconstruction="unet")
