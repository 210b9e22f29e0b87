from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.evaluate import evaluate
from scanproof.evaluation.quality import of_cases_with_findings, quality_rows
from scanproof.evaluation.table import PREDICTION_COLUMNS

NO_PREDICTIONS = pd.DataFrame(columns=list(PREDICTION_COLUMNS))
KEYS = ["site", "shift", "severity", "metric"]


@pytest.fixture
def with_findings(study) -> pd.DataFrame:
    """The study with an error of the finding in the second case of every other subject, NaN in the other cases."""
    errors = study.case_metrics[study.case_metrics["metric"] == "ssim"].assign(metric="finding_error")
    number = errors["subject"].str[-2:].astype(int)
    has = (number % 2 == 0) & errors["case"].str.endswith("-1")
    errors["value"] = (1 - errors["value"]).where(has)
    return pd.concat([study.case_metrics, errors], ignore_index=True)


def run(case_metrics: pd.DataFrame) -> pd.DataFrame:
    return evaluate(NO_PREDICTIONS, case_metrics, study="simulated", seed=3, resamples=200).results


def test_means_and_intervals_are_those_of_the_cases_with_a_finding(with_findings):
    results = run(of_cases_with_findings(with_findings))
    rows = results[results["case"].isna() & (results["metric"] == "finding_error")]
    errors = with_findings[with_findings["metric"] == "finding_error"].dropna(subset="value")
    means = errors.groupby(["site", "shift", "severity"])["value"].mean()
    own = rows[rows["site"] != "all"].set_index(["site", "shift", "severity"])
    np.testing.assert_allclose(own["value"].astype(float), means.loc[own.index])
    assert set(own["n"]) == {12}
    assert set(rows.loc[rows["site"] == "all", "n"]) == {24}
    assert (rows["upper"] - rows["lower"] > 0).all()
    # each subject has one such case: the standard error of a mean of 12 independent values
    spread = errors.groupby(["site", "shift", "severity"])["value"].std() / np.sqrt(12)
    widths = (own["upper"] - own["lower"]).astype(float) / (2 * 1.96)
    assert (widths / spread.loc[own.index]).mean() == pytest.approx(1, abs=0.2)


def test_the_other_metrics_stay_the_same_to_the_bit(with_findings, study):
    both, alone = run(of_cases_with_findings(with_findings)), run(study.case_metrics)
    rest = both[both["metric"] != "finding_error"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, alone, check_exact=True)


def test_a_case_whose_finding_vanishes_under_one_condition_is_left_out_under_all(with_findings):
    table = with_findings.copy()
    row = table[(table["metric"] == "finding_error") & (table["shift"] == "motion") & table["value"].notna()].index[0]
    table.loc[row, "value"] = np.nan
    kept, before = (of_cases_with_findings(t) for t in (table, with_findings))
    lost = before.merge(kept, how="left", indicator=True, on=list(kept.columns)).query("_merge == 'left_only'")
    assert set(lost["case"]) == {table.loc[row, "case"]}
    assert len(lost) == len(before[KEYS[1:3]].drop_duplicates())
    run(kept)


def test_a_site_without_findings_is_no_part_of_the_mean(with_findings):
    table = with_findings.copy()
    table.loc[(table["site"] == "south") & (table["metric"] == "finding_error"), "value"] = np.nan
    rows = quality_rows(of_cases_with_findings(table), Bootstrap(seed=3, resamples=100))
    rows = rows[rows["metric"] == "finding_error"].set_index("site")
    assert set(rows.index) == {"north", "all"}
    np.testing.assert_array_equal(rows.loc["all", "value"], rows.loc["north", "value"])


def test_intervals_stay_within_what_a_metric_can_be():
    """Of two subjects, Student's t widens them beyond."""
    rows = [
        {"site": site, "subject": subject, "case": subject, "metric": metric, "value": value}
        for site in ("north", "south")
        for metric, values in (("ssim", (0.99, 0.9)), ("nrmse", (0.01, 0.1)), ("psnr", (20.0, 40.0)))
        for subject, value in zip("ab", values, strict=True)
    ]
    common = {"study": "simulated", "shift": "none", "severity": 0, "reconstruction": "unet", "acceleration": 4.0}
    results = run(pd.DataFrame(rows).assign(**common))
    found = results[results["case"].isna()].set_index(["site", "metric"])
    assert found.loc[("north", "ssim"), ["value", "upper"]].tolist() == [pytest.approx(0.945), 1]
    assert found.loc[("north", "nrmse"), ["lower", "value"]].tolist() == [0, pytest.approx(0.055)]
    assert found.loc[("north", "ssim"), "lower"] < 0.9
    assert found.loc[("north", "psnr"), "lower"] < 0


def test_metrics_of_every_case_must_be_complete(with_findings):
    case = with_findings["case"].iloc[0]
    gone = with_findings[~((with_findings["metric"] == "psnr") & (with_findings["case"] == case))]
    with pytest.raises(ScanproofError, match="every case must stand exactly once in every condition"):
        run(of_cases_with_findings(gone))


def test_no_finding_at_all_is_an_error(with_findings):
    table = with_findings.copy()
    table.loc[table["metric"] == "finding_error", "value"] = np.nan
    with pytest.raises(
        ScanproofError, match=r"needs a test case whose finding shows .*, got 'finding_error' .test more"
    ):
        of_cases_with_findings(table)
