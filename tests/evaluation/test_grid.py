from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from scanproof.errors import ScanproofError
from scanproof.evaluation.grid import site_grids, to_grid

PLACES = list(product(("n", "s"), ("b", None), (0, 2), "ab"))
TABLE = pd.DataFrame(PLACES, columns=["site", "norm", "severity", "subject"]).convert_dtypes()
TABLE = TABLE.assign(case="x", label=(TABLE["subject"] == "a").astype("Int64"), p=np.arange(16.0))
BY = ["norm", "severity"]


def test_spreads_rows_over_conditions_and_cases():
    grid = to_grid(TABLE[TABLE["site"] == "n"], by=BY, value="p", constants=["label"])
    np.testing.assert_array_equal(grid.values, [[0, 1], [2, 3], [4, 5], [6, 7]])
    assert grid.values.dtype == np.float64
    assert grid.rows["severity"].tolist() == [0, 2, 0, 2]
    assert grid.rows["norm"].isna().tolist() == [False, False, True, True]
    assert grid.cases.to_dict("list") == {"subject": ["a", "b"], "case": ["x", "x"], "label": [1, 0]}


def test_order_of_rows_does_not_matter():
    shuffled = TABLE.sample(frac=1, random_state=1)
    for site, grid in site_grids(TABLE, by=BY, value="p", constants=["label"]).items():
        other = site_grids(shuffled, by=BY, value="p", constants=["label"])[site]
        pd.testing.assert_frame_equal(grid.rows, other.rows)
        pd.testing.assert_frame_equal(grid.cases, other.cases)
        np.testing.assert_array_equal(grid.values, other.values)


def test_agrees_with_a_pandas_pivot(study):
    table = study.case_metrics[study.case_metrics["site"] == "north"]
    by = ["shift", "severity", "metric"]
    grid = to_grid(table, by=by, value="value")
    expected = table.pivot_table(index=by, columns=["subject", "case"], values="value")
    np.testing.assert_array_equal(grid.values, expected.to_numpy())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            TABLE.drop(index=3),
            r"t: n: every case must stand exactly once .* one stands 0 times, got \{'subject': 'b', ",
        ),
        (pd.concat([TABLE, TABLE.iloc[[8]]]), "t: s: every case must stand exactly once .* one stands 2 times"),
        (TABLE.assign(label=[*TABLE["label"][:-1], 1]), "t: s: label of a case must be the same .*'label': 1"),
        (TABLE.drop(index=[0, 1]), r"t: n: every site .* one is missing here, got \{'norm': 'b', 'severity': 0\}"),
    ],
)
def test_incomplete_tables_are_named(table, message):
    with pytest.raises(ScanproofError, match=message):
        site_grids(table, by=BY, value="p", constants=["label"], name="t")
