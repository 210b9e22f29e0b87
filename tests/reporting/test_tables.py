from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from scanproof.evaluation.table import PREDICTION_COLUMNS, conform
from scanproof.reporting.curves import extract_curves
from scanproof.reporting.model import SiteFacts, SplitCounts
from scanproof.reporting.ranking import rank_chains
from scanproof.reporting.tables import flow_rows, flow_splits, operating_rows, ranking_rows, smallest_test


def test_the_flow_counts_people_and_cases_once(standard: Any, provenance_of: Any) -> None:
    rows = flow_rows(standard.predictions, provenance_of(standard.recipe).sites)
    assert [row.site for row in rows] == ["north", "east", "south"]
    first = standard.predictions.drop_duplicates("case")
    for row in rows:
        for split in ("val", "test"):
            cases = first[(first["site"] == row.site) & (first["split"] == split)]
            counts = row.evaluated[split]
            assert counts.subjects == cases["subject"].nunique()
            assert counts.cases == len(cases)
            assert counts.positives == cases["label"].sum()
    assert rows[0].cell("train", "subjects") == "40"
    assert rows[1].cell("train", "subjects") == "–"
    assert rows[0].cell("val", "cases") == "12"
    assert rows[0].cell("test", "cases") == "12 of 14"
    assert all(row.partial for row in rows)
    assert flow_splits(rows) == ["train", "val", "test"]


def test_sites_that_only_predictions_know_are_shown_too(standard: Any) -> None:
    rows = flow_rows(standard.predictions, [])
    assert [(row.site, row.role) for row in rows] == [(s, "not stated") for s in ("east", "north", "south")]
    assert not any(row.partial for row in rows)


def test_without_predictions_the_listed_counts_stand(standard: Any) -> None:
    sites = [
        SiteFacts(name="a", counts={"test": SplitCounts(subjects=3, cases=9)}),
        SiteFacts(name="b", counts={"test": SplitCounts(subjects=3, cases=7)}),
    ]
    rows = flow_rows(conform(standard.predictions.iloc[:0], PREDICTION_COLUMNS), sites)
    assert rows[0].cell("test", "cases") == "9"
    assert rows[0].cell("test", "positives") == "–"
    smallest = smallest_test(rows)
    assert smallest is not None
    assert smallest[0] == "b"
    assert smallest_test([]) is None


def test_standing_says_what_the_interval_supports(standard: Any) -> None:
    rows = ranking_rows(rank_chains(standard.results, extract_curves(standard.results)))
    assert [row.rank for row in rows] == list(range(1, 13))
    assert rows[0].standing == "highest"
    for row in rows[1:]:
        assert row.gap is not None
        assert row.gap.upper is not None
        assert row.standing == ("worse" if row.gap.upper < 0 else "cannot be told apart")
    assert {row.standing for row in rows} == {"highest", "worse", "cannot be told apart"}


def test_the_operating_table_names_the_worst_shift_at_its_highest_severity(standard: Any) -> None:
    rows = operating_rows(extract_curves(standard.results), ["south", "north"])
    assert len(rows) == 12 * 4
    assert [row.site for row in rows[:4]] == ["all", "south", "north", "east"]
    results = standard.results
    for row in rows[:8]:
        for name, change in (("sensitivity", row.sensitivity), ("specificity", row.specificity)):
            own = results[
                (results["metric"] == name) & (results["site"] == row.site) & results["seed"].isna()
                & (results["reconstruction"] == row.chain.reconstruction) & (results["norm"] == row.chain.norm)
            ]  # fmt: skip
            worst = own[own["severity"] == 5].sort_values("value").iloc[0]
            assert change.lowest is not None
            assert change.clean is not None
            assert (change.lowest.value, change.shift, change.severity) == (worst["value"], worst["shift"], 5)
            assert change.clean.value == own.loc[own["severity"] == 0, "value"].item()


def test_without_shift_the_operating_table_has_clean_values_only(study_of: Any) -> None:
    (row, *_) = operating_rows(extract_curves(study_of(shifts=(), sites=("north",)).results))
    assert row.sensitivity.clean is not None
    assert row.sensitivity.clean.value == pytest.approx(0.85, abs=0.1)
    assert row.sensitivity[1:] == (None, None, None)


def test_a_case_with_several_findings_is_one_positive_case(standard: Any) -> None:
    other = standard.predictions.assign(target="cyst", label=1 - standard.predictions["label"])
    [before, *_] = flow_rows(standard.predictions, [])
    [after, *_] = flow_rows(pd.concat([standard.predictions.assign(target="tear"), other]), [])
    counts, both = before.evaluated["test"], after.evaluated["test"]
    assert (both.subjects, both.cases) == (counts.subjects, counts.cases)
    assert both.positives == both.cases
