from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from scanproof.tracking.metrics import (
    Chain,
    Point,
    chain_rows,
    chains_in,
    curve_points,
    part,
    site_rows,
    summarise_site,
    summary_points,
)
from scanproof.tracking.model import TrackedStudy


@pytest.fixture
def study(make_study: Callable[..., TrackedStudy]) -> TrackedStudy:
    return make_study()


def test_chains_are_what_the_table_names(study: TrackedStudy) -> None:
    chains = chains_in(site_rows(study.results, "north"))
    assert chains == [
        Chain(made, 4.0, "resnet18", norm) for made in ("unet", "zero_filled") for norm in ("batch", "group")
    ]


def test_unread_reconstructions_are_chains_of_their_own(study: TrackedStudy) -> None:
    results = study.results
    rows = site_rows(results[~((results["reconstruction"] == "unet") & results["classifier"].notna())], "north")
    assert chains_in(rows)[0] == Chain("unet", 4.0, None, None)
    assert Chain("zero_filled", 4.0, None, None) not in chains_in(rows)


def test_rows_of_a_chain_are_its_own_and_its_images(study: TrackedStudy) -> None:
    rows = site_rows(study.results, "north")
    own = chain_rows(rows, Chain("unet", 4.0, "resnet18", "group"))
    assert set(own["reconstruction"]) == {"unet"}
    assert set(own["norm"].dropna()) == {"group"}
    assert set(own[own["classifier"].isna()]["metric"]) == {"psnr", "ssim", "nrmse"}
    # every classifier row belongs to exactly one chain
    count = sum(chain_rows(rows, chain)["classifier"].notna().sum() for chain in chains_in(rows))
    assert count == rows["classifier"].notna().sum()


def test_chain_without_a_stated_norm_has_rows(study: TrackedStudy) -> None:
    rows = site_rows(study.results, "north").copy()
    rows.loc[rows["norm"] == "batch", "norm"] = pd.NA
    chain = Chain("unet", 4.0, "resnet18", None)
    assert chain in chains_in(rows)
    assert chain_rows(rows, chain)["metric"].eq("auroc").any()


def test_curves_hold_each_mean_over_seeds_once_and_the_interval_of_the_auroc(study: TrackedStudy) -> None:
    rows = chain_rows(site_rows(study.results, "south"), Chain("unet", 4.0, "resnet18", "batch"))
    points = curve_points(rows)
    assert len(points) == len({(point.key, point.step) for point in points})
    values = {(point.key, point.step): point.value for point in points}

    expected = {}
    for row in rows[rows["shift"] != "all"].to_dict("records"):
        for shift in ("ghosting", "rigid_motion"):
            if row["shift"] not in ("none", shift):
                continue
            key = f"{shift}/{row['metric']}"
            if pd.isna(row["seed"]):
                expected[key, row["severity"]] = row["value"]
                if row["metric"] == "auroc":
                    expected[f"{key}_lower", row["severity"]] = row["lower"]
                    expected[f"{key}_upper", row["severity"]] = row["upper"]
    assert values == expected


def test_targets_have_curves_of_their_auroc(study: TrackedStudy) -> None:
    rows = chain_rows(site_rows(study.results, "north"), Chain("unet", 4.0, "resnet18", "batch"))
    left = rows[rows["metric"].isin(["auroc", "ece"])].assign(target="left")
    new = {point.key for point in curve_points(pd.concat([rows, left]))} - {point.key for point in curve_points(rows)}
    assert new == {"ghosting/auroc.left", "rigid_motion/auroc.left"}


def test_run_of_a_large_study_stays_readable(make_study: Callable[..., TrackedStudy]) -> None:
    shifts = [f"shift_{number}" for number in range(23)]
    results = make_study(sites=("north",), shifts=shifts, severities=5, seeds=(1, 2, 3, 4, 5), cases=1).results
    own = chain_rows(site_rows(results, "north"), Chain("unet", 4.0, "resnet18", "batch"))
    more = [
        own[own["metric"] == "ece"].assign(metric=name)
        for name in ("auprc", "brier", "nll", "balanced_accuracy_retuned", "sensitivity_retuned", "specificity_retuned")
    ]
    keys = {point.key for point in curve_points(pd.concat([own, *more]))}
    # an AUROC with its interval, four and the Brier score besides, and three of images
    assert len(keys) == 23 * (3 + 5 + 3)


def test_study_without_shifts_has_its_clean_point(make_study: Callable[..., TrackedStudy]) -> None:
    rows = chain_rows(site_rows(make_study(shifts=()).results, "north"), Chain("unet", 4.0, "resnet18", "batch"))
    points = curve_points(rows)
    assert {point.step for point in points} == {0}
    assert {point.key.partition("/")[0] for point in points} == {"none"}


def test_infinite_values_are_left_out(study: TrackedStudy) -> None:
    rows = chain_rows(site_rows(study.results, "north"), Chain("unet", 4.0, "resnet18", "batch")).copy()
    rows.loc[rows["metric"] == "psnr", ["value", "upper"]] = float("inf")
    keys = {point.key for point in curve_points(rows)}
    assert "ghosting/psnr" not in keys
    assert "ghosting/ssim" in keys


def test_summaries_of_a_chain(study: TrackedStudy) -> None:
    rows = chain_rows(site_rows(study.results, "north"), Chain("unet", 4.0, "resnet18", "batch"))
    values = {point.key: point.value for point in summary_points(rows)}
    drop = rows[rows["metric"] == "auroc_drop"].iloc[0]
    assert (values["auroc_drop"], values["auroc_drop_lower"]) == (drop["value"], drop["lower"])
    ssim = rows[(rows["metric"] == "ssim") & (rows["shift"] != "none")]
    assert len(ssim) == 4
    assert values["ssim_shifted"] == pytest.approx(ssim["value"].mean())


def test_summary_of_a_site_is_read_off_the_table(study: TrackedStudy) -> None:
    rows = site_rows(study.results, "north")
    summaries = {chain: summary_points(chain_rows(rows, chain)) for chain in chains_in(rows)}
    summary = summarise_site(rows, summaries)
    values = {point.key: point.value for point in summary.points}
    shifted = rows[rows["metric"] == "auroc_shifted"].sort_values("value")
    drops = rows[rows["metric"] == "auroc_drop"]["value"]
    assert values["auroc_shifted.best"] == shifted["value"].iloc[-1]
    assert values["auroc_shifted.worst"] == shifted["value"].iloc[0]
    assert (values["auroc_drop.best"], values["auroc_drop.worst"]) == (drops.min(), drops.max())
    assert values["worst_auroc"] == rows[(rows["metric"] == "auroc") & rows["seed"].isna()]["value"].min()
    errors = rows[(rows["metric"] == "nrmse") & (rows["shift"] != "none")].groupby("reconstruction")["value"].mean()
    assert values["nrmse_shifted.best"] == pytest.approx(errors.min())
    best = shifted.iloc[-1]
    assert summary.ranking[0] == Chain(best["reconstruction"], 4.0, best["classifier"], best["norm"])


def test_reconstructions_are_ranked_by_ssim(make_study: Callable[..., TrackedStudy]) -> None:
    rows = site_rows(make_study(readers=()).results, "north")
    summaries = {chain: summary_points(chain_rows(rows, chain)) for chain in chains_in(rows)}
    summary = summarise_site(rows, summaries)
    means = rows[(rows["metric"] == "ssim") & (rows["shift"] != "none")].groupby("reconstruction")["value"].mean()
    assert [chain.reconstruction for chain in summary.ranking] == list(means.sort_values(ascending=False).index)
    assert not any("auroc" in point.key for point in summary.points)


def test_labels_tell_chains_apart() -> None:
    chain = Chain("unet", 4.0, None, None)
    assert (chain.label(with_acceleration=False), chain.label(with_acceleration=True)) == ("unet", "unet R4")
    assert chain.facts() == {"reconstruction": "unet", "acceleration": "4"}


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_any_name_becomes_one_that_mlflow_takes(name: str) -> None:
    point = Point(f"shift/{part(name)}x", 1.0)
    _validate_metric_name(point.key)
    _validate_param_name(f"p.{part(name)}x")
