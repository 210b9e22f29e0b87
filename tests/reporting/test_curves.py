from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanproof.evaluation.table import RESULT_COLUMNS, conform
from scanproof.reporting.curves import CurveKey, Facet, axis_range, extract_curves, facets, grid_columns
from scanproof.reporting.vocabulary import METRICS, Chain, Estimate


def test_every_curve_holds_the_rows_of_the_table(standard: Any) -> None:
    results = standard.results
    for key, curve in extract_curves(results).items():
        rows = results[
            (results["metric"] == key.metric)
            & (results["site"] == key.facet.site)
            & results["shift"].isin([key.facet.shift, "none"])
            & (results["reconstruction"] == key.chain.reconstruction)
            & results["case"].isna()
            & results["seed"].isna()
        ]
        for column, wanted in (("classifier", key.chain.classifier), ("norm", key.chain.norm)):
            rows = rows[rows[column].isna() if wanted is None else (rows[column] == wanted).fillna(False)]
        expected = {int(row.severity): (row.value, row.lower, row.upper) for row in rows.itertuples()}
        assert expected.keys() == {0, 1, 2, 3, 4, 5}
        assert {s: tuple(e) for s, e in curve.items()} == expected


def test_all_chains_metrics_and_places_are_there(standard: Any) -> None:
    curves = extract_curves(standard.results)
    shifts, chains = 4, 4 * 3
    assert len(curves) == 5 * chains * shifts * (3 + 1) + 3 * 4 * shifts * 3


def test_a_study_that_was_only_tested_clean_has_single_points(study_of: Callable[..., Any]) -> None:
    curves = extract_curves(study_of(shifts=(), reconstructions=("unet",)).results)
    assert {key.facet.shift for key in curves} == {"none"}
    assert all(list(curve) == [0] for curve in curves.values())


def test_missing_intervals_and_missing_norms_stay_missing() -> None:
    row = {"study": "s", "site": "a", "shift": "none", "severity": 0, "reconstruction": "unet", "acceleration": 4.0}
    rows = pd.DataFrame([row | {"classifier": "own", "metric": "auroc", "value": 0.8, "n": 5}])
    ((key, curve),) = extract_curves(conform(rows, RESULT_COLUMNS)).items()
    assert key.chain == Chain("unet", 4.0, "own", None)
    assert curve == {0: Estimate(0.8, None, None)}


def test_the_mean_over_sites_comes_first_then_sites_as_they_are_named() -> None:
    keys = [CurveKey("ssim", Chain("unet", 4.0), Facet(site, "noise")) for site in ("b", "all", "a", "c")]
    assert [facet.site for facet in facets(keys)] == ["all", "a", "b", "c"]
    assert [facet.site for facet in facets(keys, ["c", "b"])] == ["all", "c", "b", "a"]


@pytest.mark.parametrize(
    ("sites", "shifts", "columns"), [(1, 1, 1), (1, 3, 3), (1, 9, 4), (2, 5, 4), (3, 2, 3), (4, 1, 4), (7, 2, 4)]
)
def test_small_plots_fill_the_page_and_never_more_than_four_columns(sites: int, shifts: int, columns: int) -> None:
    places = [Facet(f"site{i}", f"shift{j}") for j in range(shifts) for i in range(sites)]
    assert grid_columns(places) == columns


estimates = st.builds(
    lambda middle, below, above: Estimate(middle, middle - below, middle + above),
    st.floats(0.2, 0.8),
    st.floats(0, 0.2),
    st.floats(0, 0.2),
)


@given(points=st.lists(estimates, min_size=1, max_size=6), name=st.sampled_from([*METRICS, "lesion_volume"]))
@settings(max_examples=30, deadline=None)
def test_the_axis_holds_every_interval_and_the_chance_line(points: list[Estimate], name: str) -> None:
    key = CurveKey(name, Chain("unet", 4.0), Facet("a", "noise"))
    low, high = axis_range(name, {key: dict(enumerate(points))})
    assert low < high
    for point in points:
        assert low - 1e-6 <= min(v for v in point if v is not None)
        assert max(v for v in point if v is not None) <= high + 1e-6
    chance = METRICS[name].chance if name in METRICS else None
    assert chance is None or low <= chance <= high


def test_the_axis_ignores_other_metrics_and_survives_nothing_known() -> None:
    place = Facet("a", "noise")
    curves = {
        CurveKey("psnr", Chain("unet", 4.0), place): {0: Estimate(30.0)},
        CurveKey("ssim", Chain("unet", 4.0), place): {0: Estimate(float("nan"))},
    }
    assert axis_range("psnr", curves) == (28.5, 31.5)
    assert np.isfinite(axis_range("ssim", curves)).all()
