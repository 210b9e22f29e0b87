from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.comparisons import COMPARISON_COLUMNS
from scanproof.evaluation.evaluate import chain_tables

BOOTSTRAP = Bootstrap(seed=1, resamples=400, interval="expanded")


def compared(predictions: pd.DataFrame) -> pd.DataFrame:
    _, comparisons = chain_tables(predictions, BOOTSTRAP, sensitivity=0.9)
    return comparisons


@pytest.fixture(scope="module")
def table(study) -> pd.DataFrame:
    return compared(study.predictions)


def area(predictions: pd.DataFrame, *, site: str, norm: str, shift: str) -> float:
    """Mean over seeds and severities by scikit-learn."""
    rows = predictions.query("split == 'test' and site == @site and norm == @norm and shift == @shift")
    found = rows.groupby(["seed", "severity"]).apply(lambda p: roc_auc_score(p["label"], p["probability"]))
    return float(found.mean())


def test_every_site_shift_and_measure_is_there_once(table):
    assert set(table.columns) == set(COMPARISON_COLUMNS) - {"study"}
    assert not table.duplicated(["site", "shift", "measure", "norm"]).any()
    assert set(table["site"]) == {"north", "south", "all"}
    found = table.groupby("measure")["shift"].unique().map(set).to_dict()
    assert found == {"quality": {"none", "ghosting", "motion", "all"}, "change": {"ghosting", "motion", "all"}}
    assert set(table["norm"]) == {"instance"}
    assert set(table["reference"]) == {"batch"}
    assert table["seeds"].eq(2).all()
    assert table.set_index("site").loc["all", "subjects"].eq(48).all()
    assert table.set_index("site").loc["south", "cases"].eq(48).all()


def test_differences_are_those_of_scikit_learn(study, table):
    found = table.set_index(["site", "shift", "measure"])["difference"]
    for shift in ("ghosting", "motion"):
        gaps, changes = [], []
        for site in ("north", "south"):
            areas = {
                (norm, s): area(study.predictions, site=site, norm=norm, shift=s)
                for norm in ("batch", "instance")
                for s in (shift, "none")
            }
            gap = areas["instance", shift] - areas["batch", shift]
            change = gap - (areas["instance", "none"] - areas["batch", "none"])
            assert found[site, shift, "quality"] == pytest.approx(gap, abs=1e-12)
            assert found[site, shift, "change"] == pytest.approx(change, abs=1e-12)
            gaps.append(gap)
            changes.append(change)
        assert found["all", shift, "quality"] == pytest.approx(np.mean(gaps), abs=1e-12)
        assert found["all", shift, "change"] == pytest.approx(np.mean(changes), abs=1e-12)


def test_norm_that_holds_better_is_found_to(table):
    row = table.query("site == 'all' and shift == 'all' and measure == 'change'").iloc[0]
    assert row["lower"] > 0
    assert row["p_value"] < 0.05
    assert row["p_permutation"] < 0.05


def test_p_values_agree_with_intervals(table):
    apart = (table["lower"] > 0) | (table["upper"] < 0)
    clear = (table["p_value"] - 0.05).abs() > 0.01
    np.testing.assert_array_equal((table["p_value"] < 0.05)[clear], apart[clear])


def test_holm_is_over_the_shifts_of_a_measure(table):
    both = table.query("site == 'all' and shift in ['ghosting', 'motion']")
    for _, rows in both.groupby("measure"):
        expected = multipletests(rows["p_value"], method="holm")[1]
        np.testing.assert_allclose(rows["p_holm"], expected)
    others = table.query("site != 'all' or shift in ['none', 'all']")
    assert others["p_holm"].isna().all()
    assert table.loc[table["site"] != "all", "p_permutation"].isna().all()


def test_twins_cannot_be_told_apart(study):
    batch = study.predictions[study.predictions["norm"] == "batch"]
    table = compared(pd.concat([batch, batch.assign(norm="twin")]))
    assert table["difference"].eq(0).all()
    assert table["p_value"].eq(1).all()
    assert table.loc[table["site"] == "all", "p_permutation"].eq(1).all()


def test_study_without_batch_normalization_compares_nothing(study):
    table = compared(study.predictions[study.predictions["norm"] == "instance"])
    assert table.empty
    assert list(table.columns) == [*COMPARISON_COLUMNS][1:]


def test_one_training_has_no_effect_size(study):
    table = compared(study.predictions[study.predictions["seed"] == 1])
    assert table["effect_size"].isna().all()
    assert table["p_value"].notna().all()


def test_few_subjects_give_differences_without_p_values(make_study):
    """A resample of four subjects often lacks a label: nothing can be said of chance, and nothing is."""
    table = compared(make_study(subjects=4).predictions)
    assert table["difference"].notna().all()
    assert table[["lower", "upper", "p_value", "p_holm"]].isna().all(axis=None)
