from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scanproof.evaluation.table import RESULT_COLUMNS, conform
from scanproof.reporting.curves import CurveKey, Facet, axis_range, extract_curves, facets, grid_columns
from scanproof.reporting.vocabulary import METRICS, Chain, Estimate


def test_every_curve_holds_the_rows_of_the_table(standard: Any) -> None:
    rows = standard.results[standard.results["case"].isna() & standard.results["seed"].isna()]
    rows = rows[rows["shift"] != "all"].astype(object).where(rows.notna(), None)
    by_chain = ["metric", "reconstruction", "acceleration", "classifier", "norm", "site"]
    expected = {}
    for (metric, *chain, site), group in rows.groupby(by_chain, dropna=False):
        chain = Chain(*(None if pd.isna(part) else part for part in chain))
        for shift in standard.recipe.shifts:
            own = group[group["shift"].isin([shift, "none"])].sort_values("severity")
            points = own[["severity", "value", "lower", "upper"]].itertuples(index=False, name=None)
            expected[metric, chain, (site, shift)] = {severity: estimate for severity, *estimate in points}
    curves = extract_curves(standard.results)
    assert {key: {s: list(e) for s, e in curve.items()} for key, curve in curves.items()} == expected
    assert all(list(curve) == [0, 1, 2, 3, 4, 5] for curve in curves.values())


def test_all_chains_metrics_and_places_are_there(standard: Any) -> None:
    curves = extract_curves(standard.results)
    shifts, chains = 4, 4 * 3
    assert len(curves) == 5 * chains * shifts * (3 + 1) + 3 * 4 * shifts * (3 + 1)


def test_a_study_that_was_only_tested_clean_has_single_points(study_of: Callable[..., Any]) -> None:
    curves = extract_curves(study_of(shifts=(), reconstructions=("unet",)).results)
    assert {key.facet.shift for key in curves} == {"none"}
    assert all(list(curve) == [0] for curve in curves.values())


def test_the_mean_over_a_single_site_is_not_drawn_beside_it(study_of: Callable[..., Any]) -> None:
    results = study_of(sites=("north",), shifts=("ghosting",), reconstructions=("unet",)).results
    assert "all" in set(results["site"])
    assert {key.facet.site for key in extract_curves(results)} == {"north"}


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


def test_rows_of_single_findings_and_of_whole_shifts_are_no_part_of_a_curve(standard: Any) -> None:
    results = standard.results.assign(target=pd.Series(pd.NA, index=standard.results.index, dtype="string"))
    of_site = results[results["case"].isna() & results["classifier"].notna() & results["severity"].notna()]
    targets = of_site.assign(target="tear", value=0.123, lower=None, upper=None)
    summed = of_site[of_site["shift"] == "ghosting"].assign(severity=pd.NA, metric="severity_auc", value=0.321)
    assert extract_curves(pd.concat([results, targets, summed])) == extract_curves(standard.results)
