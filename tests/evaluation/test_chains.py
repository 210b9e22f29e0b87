from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.chains import (
    CLASSIFICATION_METRICS,
    Chain,
    is_shifted,
    operating_points,
    read_chains,
    reading_grids,
)
from scanproof.evaluation.degradation import Degradation
from scanproof.evaluation.evaluate import chain_tables

BOOTSTRAP = Bootstrap(seed=1, resamples=100)


def chains(predictions: pd.DataFrame, bootstrap: Bootstrap = BOOTSTRAP) -> list[Chain]:
    thresholds = operating_points(predictions, sensitivity=0.9)
    return list(read_chains(reading_grids(predictions), thresholds, bootstrap, sensitivity=0.9))


def chain_rows(predictions: pd.DataFrame, bootstrap: Bootstrap = BOOTSTRAP) -> pd.DataFrame:
    rows, _ = chain_tables(predictions, bootstrap, sensitivity=0.9)
    return rows


def degradations(predictions: pd.DataFrame, bootstrap: Bootstrap) -> list[Degradation]:
    return [Degradation.of(chain, chain.samples("auroc")) for chain in chains(predictions, bootstrap)]


def test_samples_have_the_shape_they_promise(study):
    found = chains(study.predictions)
    assert [chain.names["norm"] for chain in found] == ["batch", "instance"]
    for chain in found:
        assert chain.seeds == [1, 2]
        assert chain.conditions["shift"].tolist() == ["ghosting", "ghosting", "motion", "motion", "none"]
        for metric in CLASSIFICATION_METRICS:
            assert chain.samples(metric).shape == (3, 2, 5, 101)
        one = Degradation.of(chain, chain.samples("auroc"))
        assert one.clean.shape == (3, 101)
        assert one.shifted.shape == (3, 4, 101)
        assert one.shifts == ["ghosting", "motion"]
        assert one.severities("motion") == [1, 3]
        np.testing.assert_allclose(one.clean[-1], one.clean[:-1].mean(axis=0))
        np.testing.assert_allclose(one.trainings[..., 0].mean(axis=1), one.samples[..., 0])


def test_means_over_seeds_vary_with_the_seeds_that_are_drawn(study):
    """One seed reads everything rightly, the other nothing: which are drawn decides."""
    table = study.predictions
    right = table.assign(probability=0.1 + 0.8 * table["label"])
    wrong = table.assign(probability=0.9 - 0.8 * table["label"])
    apart = pd.concat([right[right["seed"] == 1], wrong[wrong["seed"] == 2]])
    [batch, _] = degradations(apart, Bootstrap(seed=1, resamples=1000))
    assert set(batch.trainings[-1, ..., 0].ravel()) == {0.0, 1.0}
    assert batch.clean[-1, 0] == 0.5
    assert len(set(batch.clean[-1].round(6))) > 1


def test_targets_are_told_one_by_one_and_as_their_mean(study):
    table = study.predictions
    other = table.assign(target="stroke", label=1 - table["label"])
    rows = chain_rows(pd.concat([table, other]))
    one = rows[(rows["metric"] == "auroc") & (rows["site"] == "all") & (rows["norm"] == "batch") & rows["seed"].isna()]
    lesion, stroke, mean = (
        one[one["target"].eq(name) if name else one["target"].isna()]["value"].to_numpy()
        for name in ("lesion", "stroke", None)
    )
    np.testing.assert_allclose(lesion, 1 - stroke)
    np.testing.assert_allclose(mean, 0.5)
    assert rows.loc[rows["severity"].isna(), "target"].isna().all()
    alone = chain_rows(table)
    assert alone["target"].isna().all()


def test_targets_must_have_been_tested_alike(study):
    other = study.predictions.assign(target="stroke")
    with pytest.raises(ScanproofError, match=r"every target must have been tested at the same sites.*'stroke'"):
        chain_rows(pd.concat([study.predictions, other[other["shift"] != "motion"]]))


def test_operating_points_come_from_clean_validation_cases_of_all_sites(study):
    predictions = study.predictions
    south = predictions[(predictions["split"] == "val")].assign(
        site="south", probability=lambda t: t["probability"] * 0.7
    )
    pooled = pd.concat([predictions, south, south.assign(shift="motion", severity=1, probability=0.0)])
    for table in (predictions, pooled):
        found = operating_points(table, sensitivity=0.8)["lesion"]
        assert len(found) == 4
        for (_, _, _, norm, seed), threshold in found.items():
            val = table[(table["split"] == "val") & (table["norm"] == norm) & (table["seed"] == seed)]
            val = val[val["shift"] == "none"]
            _, rates, thresholds = roc_curve(val["label"], val["probability"], drop_intermediate=False)
            assert threshold == thresholds[np.flatnonzero(rates >= 0.8)[0]]
    assert operating_points(pooled, sensitivity=0.8) != operating_points(predictions, sensitivity=0.8)


def test_test_cases_do_not_move_the_operating_point(study):
    table = study.predictions
    changed = table.assign(probability=table["probability"].where(table["split"] == "val", 0.5))
    assert operating_points(changed, sensitivity=0.9) == operating_points(table, sensitivity=0.9)


def test_best_chain_has_no_gap_and_equals_have_none(study):
    twin = study.predictions[study.predictions["norm"] == "instance"].assign(norm="twin")
    rows = chain_rows(pd.concat([study.predictions, twin]))
    gap = rows[rows["metric"] == "auroc_gap_to_best"].set_index("norm")
    assert gap.index.tolist() == ["batch", "twin"]
    assert gap.loc["twin", ["value", "lower", "upper"]].tolist() == [0, 0, 0]
    assert gap.loc["batch", "upper"] < 0


def test_gap_is_narrower_than_if_chains_were_read_on_different_cases(study):
    bootstrap = Bootstrap(seed=1, resamples=1000)
    batch, instance = (one.shifted[-1].mean(axis=0) for one in degradations(study.predictions, bootstrap))
    other = Bootstrap(seed=2, resamples=1000)
    unpaired, _ = (one.shifted[-1].mean(axis=0) for one in degradations(study.predictions, other))
    rows = chain_rows(study.predictions, bootstrap)
    gap = rows[rows["metric"] == "auroc_gap_to_best"].iloc[0]
    assert gap["value"] == pytest.approx(batch[0] - instance[0], abs=1e-12)
    apart = bootstrap.estimate((unpaired - instance)[None])
    assert gap["upper"] - gap["lower"] < 0.8 * float((apart.upper - apart.lower)[0])


def test_model_without_a_seed_has_one_row_a_condition(study):
    one = study.predictions[study.predictions["seed"] == 1]
    nameless = one.assign(seed=pd.array([pd.NA] * len(one), "Int64"), norm=pd.array([pd.NA] * len(one), "string"))
    nameless = nameless[one["norm"] == "batch"]
    rows = chain_rows(nameless)
    assert rows["seed"].isna().all()
    assert not rows.duplicated(["site", "shift", "severity", "metric"]).any()
    named = chain_rows(one[one["norm"] == "batch"])
    corrupted = named["metric"].str.contains("mce|corruption")  # against itself; one without a norm has no reference
    named = named[named["seed"].isna() & ~corrupted]
    np.testing.assert_array_equal(rows["value"], named["value"])
    np.testing.assert_array_equal(rows["lower"], named["lower"])


def test_site_of_one_subject_with_a_finding_has_no_threshold_tuned_anew(study):
    """No half of the subjects could choose one for the other."""
    table = study.predictions
    positive = table[(table["site"] == "south") & (table["label"] == 1)]["subject"]
    rows = chain_rows(table[~table["subject"].isin(positive.unique()[1:])])
    retuned = rows["metric"].str.endswith("_retuned")
    assert set(rows.loc[retuned, "site"]) == {"north"}
    assert set(rows.loc[rows["metric"] == "sensitivity", "site"]) == {"north", "south", "all"}
    assert rows["value"].notna().all()


def test_study_of_clean_images_alone_says_nothing_about_shifts(make_study):
    predictions = make_study(conditions=(("none", 0),)).predictions
    rows = chain_rows(predictions)
    assert set(rows["metric"]) == {*CLASSIFICATION_METRICS, "auroc_clean"}


def drop(predictions: pd.DataFrame, query: str) -> pd.DataFrame:
    return predictions.drop(index=predictions.query(query).index)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: drop(p, "split == 'val'"), "must hold validation rows .*'none'.*operating points are fixed on them"),
        (lambda p: drop(p, "split == 'test'"), "split: must hold rows of the test split"),
        (
            lambda p: drop(p, "split == 'val' and norm == 'batch' and seed == 2"),
            "needs clean validation rows .*'seed': 2",
        ),
        (lambda p: drop(p, "split == 'val' and label == 1"), "at least one positive case"),
        (
            lambda p: drop(p, "split == 'test' and site == 'south' and label == 1"),
            "label: test cases of site 'south' must have both labels, 0 and 1, of 'lesion', got 0 .24 test cases",
        ),
        (lambda p: drop(p, "split == 'test' and shift == 'none'"), "shift: test split must hold the clean condition"),
        (lambda p: drop(p, "norm == 'batch' and shift == 'motion'"), "same conditions, this one lacks some, .*'batch'"),
        (lambda p: drop(p, "site == 'north' and shift == 'motion'"), "predictions: north: every site must have been"),
        (lambda p: p.drop(index=p.query("shift == 'motion'").index[0]), "one stands 0 times"),
        (lambda p: pd.concat([p, p.tail(1)]), "one stands 2 times"),
        (lambda p: p.assign(label=[*p["label"][:-1], 1 - p["label"].iloc[-1]]), "label of a case must be the same"),
    ],
)
def test_tables_that_cannot_be_evaluated_are_refused(study, spoil, message):
    with pytest.raises(ScanproofError, match=message):
        chain_rows(spoil(study.predictions))


def test_worst_cases_are_no_shifts():
    rows = pd.DataFrame({"shift": ["none", "motion", "adversarial"], "severity": [0, 2, 5]})
    assert is_shifted(rows).tolist() == [False, True, False]
