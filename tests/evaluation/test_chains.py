from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.chain_rows import chain_rows
from scanproof.evaluation.chains import (
    CLASSIFICATION_METRICS,
    chain_samples,
    is_shifted,
    operating_points,
    reading_grids,
)

BOOTSTRAP = Bootstrap(seed=1, resamples=100)


def test_samples_have_the_shape_they_promise(study):
    grids = reading_grids(study.predictions)
    chains = list(chain_samples(grids, operating_points(study.predictions, sensitivity=0.9), BOOTSTRAP))
    assert [chain.chain["norm"] for chain in chains] == ["batch", "instance"]
    for chain in chains:
        assert chain.seeds == [1, 2]
        assert chain.conditions["shift"].tolist() == ["ghosting", "ghosting", "motion", "motion", "none"]
        assert tuple(chain.samples) == CLASSIFICATION_METRICS
        assert {samples.shape for samples in chain.samples.values()} == {(3, 3, 5, 101)}
        assert chain.clean.shape == (3, 101)
        assert chain.shifted.shape == (3, 4, 101)
        np.testing.assert_allclose(chain.clean[-1], chain.clean[:-1].mean(axis=0))


def test_operating_points_come_from_clean_validation_cases_of_all_sites(study):
    predictions = study.predictions
    south = predictions[(predictions["split"] == "val")].assign(
        site="south", probability=lambda t: t["probability"] * 0.7
    )
    pooled = pd.concat([predictions, south, south.assign(shift="motion", severity=1, probability=0.0)])
    for table in (predictions, pooled):
        found = operating_points(table, sensitivity=0.8)
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
    rows = chain_rows(pd.concat([study.predictions, twin]), BOOTSTRAP, sensitivity=0.9)
    gap = rows[rows["metric"] == "auroc_gap_to_best"].set_index("norm")
    assert gap.index.tolist() == ["batch", "twin"]
    assert gap.loc["twin", ["value", "lower", "upper"]].tolist() == [0, 0, 0]
    assert gap.loc["batch", "upper"] < 0


def test_gap_is_narrower_than_if_chains_were_read_on_different_cases(study):
    bootstrap = Bootstrap(seed=1, resamples=1000)
    grids = reading_grids(study.predictions)
    thresholds = operating_points(study.predictions, sensitivity=0.9)
    batch, instance = (c.shifted[-1].mean(axis=0) for c in chain_samples(grids, thresholds, bootstrap))
    unpaired, _ = (
        c.shifted[-1].mean(axis=0) for c in chain_samples(grids, thresholds, Bootstrap(seed=2, resamples=1000))
    )
    rows = chain_rows(study.predictions, bootstrap, sensitivity=0.9)
    gap = rows[rows["metric"] == "auroc_gap_to_best"].iloc[0]
    assert gap["value"] == pytest.approx(batch[0] - instance[0], abs=1e-12)
    apart = bootstrap.estimate((unpaired - instance)[None])
    assert gap["upper"] - gap["lower"] < 0.8 * float((apart.upper - apart.lower)[0])


def test_model_without_a_seed_has_one_row_a_condition(study):
    one = study.predictions[study.predictions["seed"] == 1]
    nameless = one.assign(seed=pd.array([pd.NA] * len(one), "Int64"), norm=pd.array([pd.NA] * len(one), "string"))
    nameless = nameless[one["norm"] == "batch"]
    rows = chain_rows(nameless, BOOTSTRAP, sensitivity=0.9)
    assert rows["seed"].isna().all()
    assert not rows.duplicated(["site", "shift", "severity", "metric"]).any()
    named = chain_rows(one[one["norm"] == "batch"], BOOTSTRAP, sensitivity=0.9)
    named = named[named["seed"].isna()]
    np.testing.assert_array_equal(rows["value"], named["value"])
    np.testing.assert_array_equal(rows["lower"], named["lower"])


def test_study_of_clean_images_alone_says_nothing_about_shifts(make_study):
    predictions = make_study(conditions=(("none", 0),)).predictions
    rows = chain_rows(predictions, BOOTSTRAP, sensitivity=0.9)
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
            "label: test cases of site 'south' must have both labels, 0 and 1, got 0 .24 test cases",
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
        chain_rows(spoil(study.predictions), BOOTSTRAP, sensitivity=0.9)


def test_worst_cases_are_no_shifts():
    rows = pd.DataFrame({"shift": ["none", "motion", "adversarial"], "severity": [0, 2, 5]})
    assert is_shifted(rows).tolist() == [False, True, False]
