"""What `make demo` must have given: reads its results, computes nothing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

DEMO = Path(__file__).resolve().parents[2] / "mlruns" / "studies" / "demo"

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    assert (DEMO / "results.parquet").is_file(), "run `make demo` first"
    return pd.read_parquet(DEMO / "results.parquet")


@pytest.fixture(scope="module")
def auroc(results: pd.DataFrame) -> pd.DataFrame:
    return results[(results["metric"] == "auroc") & results["seed"].isna()]


def clean_auroc(auroc: pd.DataFrame, norm: str) -> float:
    """Of the fully sampled chain at the site of training."""
    rows = auroc.query("site == 'north' and reconstruction == 'fully_sampled' and shift == 'none' and norm == @norm")
    return float(rows["value"].item())


def test_the_task_is_neither_trivial_nor_impossible(auroc: pd.DataFrame) -> None:
    """For the reference model, the one with batch normalization."""
    assert 0.85 <= clean_auroc(auroc, "batch") <= 0.98


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_the_other_norms_were_trained_as_well(auroc: pd.DataFrame, norm: str) -> None:
    assert 0.85 <= clean_auroc(auroc, norm) < 1


def test_every_condition_was_evaluated(auroc: pd.DataFrame) -> None:
    assert auroc["site"].nunique() == 4
    assert len(auroc) == 4 * 13 * 4 * 3
    assert auroc[["value", "lower", "upper"]].notna().all(axis=None)


@pytest.mark.parametrize("metric", ["psnr", "ssim"])
@pytest.mark.parametrize("shift", ["complex_noise", "rigid_motion", "ghosting", "bias_field"])
def test_shifts_cost_image_quality_and_more_when_severe(results: pd.DataFrame, shift: str, metric: str) -> None:
    rows = results[
        results["subject"].isna()
        & (results["metric"] == metric)
        & (results["site"] == "all")
        & (results["reconstruction"] == "fully_sampled")
        & results["shift"].isin(["none", shift])
    ].sort_values("severity")
    assert rows["severity"].tolist() == [0, 1, 3, 5]
    assert rows["value"].is_monotonic_decreasing


def test_reconstructions_that_use_more_knowledge_give_better_images(results: pd.DataFrame) -> None:
    rows = results[
        results["subject"].isna()
        & (results["metric"] == "psnr")
        & (results["shift"] == "none")
        & (results["site"] == "all")
    ].set_index("reconstruction")["value"]
    assert rows["zero_filled"] < rows["cg_sense"] < rows["fully_sampled"]
    assert rows["zero_filled"] < rows["unet"] < rows["fully_sampled"]


def test_the_report_and_lock_file_belong_to_the_results(results: pd.DataFrame) -> None:
    lock = yaml.safe_load((DEMO / "study.lock.yaml").read_text())
    report = (DEMO / "report.html").read_text()
    assert lock["files_sha256"]["results.parquet"] in report
    assert "not for clinical use" in report
