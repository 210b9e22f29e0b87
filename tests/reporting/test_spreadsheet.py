from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from scanproof.reporting.spreadsheet import spreadsheet_csv


@pytest.mark.parametrize("name", ["=cmd|'/C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r\n=1", " =1"])
@pytest.mark.parametrize("kind", ["str", "object", "category"])
def test_text_is_never_computed(name: str, kind: str) -> None:
    table = pd.DataFrame({"site": pd.Series([name, "St. Elsewhere", None]).astype(kind), name: [1, 2, 3]})
    read = pd.read_csv(io.StringIO(spreadsheet_csv(table), newline=""))
    marked = "'" + name.replace("\r\n", " ")
    assert read["site"].tolist()[:2] == [marked, "St. Elsewhere"]
    assert read["site"].isna().tolist() == [False, False, True]
    assert read.columns.tolist() == ["site", marked]


def test_numbers_stay_numbers() -> None:
    table = pd.DataFrame({"a": [-1.5, np.nan], "b": pd.array([-1, None], dtype="Int64"), "c": [True, False]})
    assert spreadsheet_csv(table) == "a,b,c\n-1.5,-1,True\n,,False\n"
    assert spreadsheet_csv(pd.DataFrame({"a": [-0.123456]}), float_format="%.2g") == "a\n-0.12\n"
    assert table["a"].tolist()[0] == -1.5
