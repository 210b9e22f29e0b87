from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import (
    PREDICTION_COLUMNS,
    RESULT_COLUMNS,
    check_table,
    conform,
    predictions_schema,
    results_schema,
)

RESULT = {
    "study": "s",
    "site": "north",
    "shift": "none",
    "severity": 0,
    "reconstruction": "unet",
    "acceleration": 4,
    "metric": "ssim",
    "value": 0.5,
    "n": 3,
}


def results(**changes: object) -> pd.DataFrame:
    return conform(pd.DataFrame([RESULT | changes]), RESULT_COLUMNS)


def test_conform_gives_columns_types_and_an_order_that_ignores_the_input():
    rows = pd.DataFrame([RESULT | {"site": site, "severity": k} for site in ("b", "a") for k in (2, 0, 1)])
    table = conform(rows, RESULT_COLUMNS)
    assert list(table.columns) == list(RESULT_COLUMNS)
    assert {c: str(t) for c, t in table.dtypes.items()} == RESULT_COLUMNS
    assert list(zip(table["site"], table["severity"], strict=True)) == [(s, k) for s in "ab" for k in (0, 1, 2)]
    pd.testing.assert_frame_equal(conform(rows[::-1], RESULT_COLUMNS), table)
    check_table(table, results_schema(), name="results")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"severity": 6}, r"results: severity: must hold: in_range\(0, 5\), got 6"),
        ({"acceleration": 0.5}, r"results: acceleration: must hold: greater_than_or_equal_to\(1\), got 0.5"),
        ({"site": None}, "results: site: must hold: not_nullable"),
        ({"value": np.nan}, "results: value: must hold: not_nullable"),
        ({"n": 0}, "results: n: must hold"),
        ({"lower": 0.6, "upper": 0.7}, "results: .*lower <= value <= upper"),
        ({"lower": 0.1, "upper": 0.4}, "lower <= value <= upper"),
    ],
)
def test_results_schema_names_column_rule_and_value(changes, message):
    with pytest.raises(ScanproofError, match=message):
        check_table(results(**changes), results_schema(), name="results")


def test_bounds_may_be_missing_but_not_wrong():
    check_table(results(lower=np.nan, upper=0.9), results_schema(), name="results")
    check_table(results(lower=0.5, upper=0.5), results_schema(), name="results")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": None}, None),
        ({"seed": None}, None),
        ({"subject": None}, "p: subject: must hold: not_nullable"),
        ({"classifier": None}, "p: classifier: must hold: not_nullable"),
        ({"severity": None}, "p: severity: must hold: not_nullable"),
        ({"split": "train"}, "p: split: must hold: .*val.*test.*, got 'train'"),
        ({"label": 2}, "p: label: must hold: .*, got 2"),
        ({"probability": 1.01}, r"p: probability: must hold: in_range\(0, 1\), got 1.01"),
        ({"probability": np.nan}, "p: probability: must hold: not_nullable"),
    ],
)
def test_predictions_schema(study, changes, message):
    table = conform(study.predictions.head(3).assign(**changes), PREDICTION_COLUMNS)
    if message is None:
        check_table(table, predictions_schema(), name="p")
    else:
        with pytest.raises(ScanproofError, match=message):
            check_table(table, predictions_schema(), name="p")


def test_conform_refuses_what_it_cannot_hold():
    with pytest.raises(ScanproofError, match=r"file\.parquet: age, weight: table must have only declared columns"):
        conform(pd.DataFrame([RESULT | {"weight": 1, "age": 2}]), RESULT_COLUMNS, name="file.parquet")
    with pytest.raises(ScanproofError, match="severity: must hold values of type Int64"):
        results(severity="mild")
    with pytest.raises(ScanproofError, match="severity: must hold values of type Int64"):
        results(severity=1.5)
    with pytest.raises(ScanproofError, match="value: must hold values of type float64"):
        results(value="high")
