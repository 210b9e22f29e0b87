from __future__ import annotations

from typing import Any

import pandas as pd

from scanproof.reporting.sections.comparison import norms_of, of_shifts, of_sites, pairs, read_comparisons
from scanproof.reporting.vocabulary import Chain


def test_every_row_of_the_metric_is_read_as_it_stands(compared: Any) -> None:
    table = compared.comparisons
    found = read_comparisons(table)
    assert len(found) == len(table)
    key = ["norm", "site", "shift", "measure"]
    by_key = table.set_index(key)
    for one in found:
        row = by_key.loc[(one.chain.norm, one.site, one.shift, one.measure)]
        assert one.difference == (row["difference"], row["lower"], row["upper"])
        assert (one.p_holm is None) == pd.isna(row["p_holm"])
        assert one.severity == (0 if one.shift == "none" else None)
        assert one.subjects == row["subjects"]
    assert not read_comparisons(table, metric="brier")
    assert not read_comparisons(None)
    assert not read_comparisons(table.iloc[:0])


def test_the_named_pair_comes_first_and_rows_go_where_they_belong(compared: Any) -> None:
    found = read_comparisons(pd.concat([compared.comparisons, compared.comparisons.assign(reconstruction="cg")]))
    first = Chain("unet", 4.0, "resnet18", "group")
    assert [pair.reconstruction for pair in pairs(found, first=first)] == ["unet", "cg"]
    assert [pair.reconstruction for pair in pairs(found)] == ["cg", "unet"]
    pair = first._replace(norm=None)
    by_shift, by_site = of_shifts(found, pair, "change"), of_sites(found, pair, "change")
    assert {(one.site, one.chain.norm, one.shift) for one in by_shift} == {
        ("all", norm, shift) for norm in ("group", "layer") for shift in ("ghosting", "bias_field", "rigid_motion")
    }
    assert {(one.site, one.shift) for one in by_site} == {("all", "all"), ("north", "all"), ("south", "all")}
    assert norms_of(found) == ["group", "layer"]


def test_single_severities_are_not_mixed_with_whole_shifts(compared: Any) -> None:
    table = compared.comparisons
    mixed = read_comparisons(pd.concat([table, table.assign(severity=5)]))
    pair = Chain("unet", 4.0, "resnet18")
    assert of_shifts(mixed, pair, "change") == of_shifts(read_comparisons(table), pair, "change")
