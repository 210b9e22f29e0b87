from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm as normal
from sklearn.metrics import confusion_matrix

from scanproof.reporting.curves import extract_curves
from scanproof.reporting.sections.misread import misread_cases
from scanproof.reporting.sections.operating import Condition, called, cross_tables, natural, wilson
from scanproof.reporting.sections.parts import worst_condition
from scanproof.reporting.vocabulary import Chain

CHAIN = Chain("unet", 4.0, "resnet18", "batch")


@given(total=st.integers(1, 200), share=st.floats(0, 1), level=st.sampled_from([0.8, 0.95]))
@settings(max_examples=50, deadline=None)
def test_wilson_solves_its_quadratic(total: int, share: float, level: float) -> None:
    count = round(share * total)
    found = wilson(count, total, level=level)
    z2 = normal.ppf(0.5 + level / 2) ** 2
    ends = np.sort(np.roots([1 + z2 / total, -(2 * count / total + z2 / total), (count / total) ** 2]).real)
    assert (found.lower, found.upper) == pytest.approx(tuple(ends), abs=1e-7)


def test_no_cases_give_no_interval() -> None:
    assert wilson(0, 0, level=0.95).interval() == ""


def test_calls_reproduce_sensitivity_and_specificity_of_the_results_table(compared: Any) -> None:
    calls = called(compared.predictions, chain=CHAIN, sensitivity=0.9)
    worst = worst_condition(extract_curves(compared.results), CHAIN)
    assert worst is not None
    tables = cross_tables(calls, chain=CHAIN, worst=worst, level=0.95)
    assert len(tables) == 2 * 2 * 2  # trainings, sites, conditions
    rows = compared.results[(compared.results["norm"] == "batch") & compared.results["seed"].notna()]
    for table in tables:
        own = rows[
            (rows["site"] == table.site) & (rows["seed"] == table.seed) & (rows["shift"] == table.shift)
            & (rows["severity"] == table.severity)
        ].set_index("metric")["value"]  # fmt: skip
        assert table.sensitivity.value == pytest.approx(own["sensitivity"])
        assert table.specificity.value == pytest.approx(own["specificity"])
        cases = calls[
            (calls["site"] == table.site) & (calls["seed"] == table.seed) & (calls["shift"] == table.shift)
            & (calls["severity"] == table.severity)
        ]  # fmt: skip
        truth = confusion_matrix(cases["label"].astype(int), cases["positive"].astype(int))
        assert truth.tolist() == [
            [table.true_negative, table.false_positive],
            [table.false_negative, table.true_positive],
        ]


def test_the_worst_condition_is_the_lowest_of_the_mean_over_sites(compared: Any) -> None:
    rows = compared.results[
        (compared.results["metric"] == "balanced_accuracy") & (compared.results["norm"] == "batch")
        & (compared.results["site"] == "all") & compared.results["seed"].isna() & (compared.results["severity"] > 0)
    ]  # fmt: skip
    lowest = rows.loc[rows["value"].idxmin()]
    assert worst_condition(extract_curves(compared.results), CHAIN) == Condition(lowest["shift"], lowest["severity"])
    assert worst_condition({}, CHAIN) is None


def test_models_without_validation_cases_have_no_calls(compared: Any) -> None:
    test_only = compared.predictions[compared.predictions["split"] == "test"]
    calls = called(test_only, chain=CHAIN, sensitivity=0.9)
    assert calls.empty
    assert cross_tables(calls, chain=CHAIN, worst=None, level=0.95) == []
    assert misread_cases(calls) == []


def test_each_finding_has_an_operating_point_of_its_own(compared: Any) -> None:
    one = compared.predictions.assign(target="tear")
    other = one.assign(target="cyst", probability=one["probability"] / 2)
    both = called(type(one)(np.concatenate([one, other]), columns=one.columns), chain=CHAIN, sensitivity=0.9)
    alone = called(one, chain=CHAIN, sensitivity=0.9)
    for target in ("tear", "cyst"):
        assert (both.loc[both["target"] == target, "positive"].to_numpy() == alone["positive"].to_numpy()).all()
    worst = Condition("ghosting", 5)
    assert {table.target for table in cross_tables(both, chain=CHAIN, worst=worst, level=0.95)} == {"tear", "cyst"}


def test_misread_cases_are_counted_from_the_calls(compared: Any) -> None:
    calls = called(compared.predictions, chain=CHAIN, sensitivity=0.9)
    found = misread_cases(calls)
    shares = [one.wrong / one.readings for one in found]
    assert shares == sorted(shares, reverse=True)
    assert len(found) == 12
    shifted = natural(calls)
    for one in found:
        case = calls["case"] == one.case
        clean = calls[case & (calls["shift"] == "none")]
        able = clean.loc[(clean["label"] == 1) == clean["positive"], "seed"]
        own = shifted[(shifted["case"] == one.case) & shifted["seed"].isin(able)]
        wrong = own[(own["label"] == 1) != own["positive"]]
        assert (one.wrong, one.readings) == (len(wrong), len(own))
        assert wrong["shift"].value_counts()[one.shift] == wrong["shift"].value_counts().max()
        assert one.clean == pytest.approx(clean.loc[clean["seed"].isin(able), "probability"].mean())
