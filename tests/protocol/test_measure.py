"""What results say of endpoints, against the tables of the study and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.claims import judge_claims
from scanproof.evaluation.evaluate import evaluate
from scanproof.protocol.endpoint import Endpoint
from scanproof.protocol.measure import Measured, measure_endpoints

BOOTSTRAP = Bootstrap(seed=3, resamples=400, interval="expanded")
POINTS = {"target": "lesion", "reconstruction": "unet", "acceleration": 2.0, "classifier": "net", "threshold": 0.5}


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results and predictions of 30 subjects with two cases each, without validation rows."""
    rng = np.random.default_rng(0)
    subjects = np.repeat([f"s{number:02d}" for number in range(30)], 2)
    cases = [f"{subject}-{number % 2}" for number, subject in enumerate(subjects)]
    labels = rng.integers(0, 2, 60)
    common = {"study": "s", "site": "x", "subject": subjects, "case": cases, "acceleration": 2.0}
    quality, read = [], []
    for shift, severity, loss in (("none", 0, 0.0), ("noise", 3, 0.1), ("noise", 5, 0.2)):
        where = {"shift": shift, "severity": severity}
        for name, level in (("unet", 0.9), ("zero_filled", 0.8)):
            values = level - loss + rng.normal(0, 0.02, 60)
            quality.append(pd.DataFrame({**common, **where, "reconstruction": name, "metric": "ssim", "value": values}))
        for norm in ("batch", "layer"):
            for seed in (1, 2):
                scores = 1 / (1 + np.exp(-(labels * (2 - 5 * loss) + rng.normal(0, 1, 60) - 1)))
                row = {**common, **where, "reconstruction": "unet", "classifier": "net", "norm": norm, "seed": seed}
                read.append(
                    pd.DataFrame({**row, "split": "test", "target": "lesion", "label": labels, "probability": scores})
                )
    predictions = pd.concat(read, ignore_index=True)
    columns = {"classifier": "string", "norm": "string"}
    given = pd.DataFrame([{**POINTS, "norm": norm, "seed": seed} for norm in ("batch", "layer") for seed in (1, 2)])
    found = evaluate(
        predictions.astype(columns),
        pd.concat(quality, ignore_index=True),
        study="s",
        seed=BOOTSTRAP.seed,
        interval=BOOTSTRAP.interval,
        resamples=BOOTSTRAP.resamples,
        given=given,
    )
    return found.results, predictions


def measure(tables: tuple[pd.DataFrame, pd.DataFrame], **content: Any) -> Measured:
    given = pd.DataFrame([{**POINTS, "norm": norm, "seed": seed} for norm in ("batch", "layer") for seed in (1, 2)])
    [found] = measure_endpoints(
        [Endpoint.model_validate({"name": "a", **content})],
        results=tables[0],
        predictions=tables[1],
        bootstrap=BOOTSTRAP,
        sensitivity=0.9,
        given=given,
    )
    return found


def test_image_quality_is_that_of_the_results(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = measure(tables, metric="ssim", reconstruction="unet", shift="noise", severity=5, rule="at_least", limit=0.6)
    rows = tables[0]
    rows = rows[rows["case"].isna() & (rows["metric"] == "ssim") & (rows["site"] == "x") & (rows["severity"] == 5)]
    [row] = rows[rows["reconstruction"] == "unet"].to_dict("records")
    assert (found.estimate, found.lower, found.upper) == pytest.approx((row["value"], row["lower"], row["upper"]))
    assert (found.subjects, found.cases) == (30, 60)
    assert found.p_value < 0.05  # 0.7 ± 0.01 lies far from 0.6


def test_a_change_is_paired(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    asked = {"metric": "ssim", "reconstruction": "unet", "rule": "at_least", "limit": -0.5}
    change = measure(tables, **asked, shift="noise", measure="change")
    assert change.estimate == pytest.approx(-0.15, abs=0.01)
    clean, shifted = measure(tables, **asked), measure(tables, **asked, shift="all")
    assert change.estimate == pytest.approx(shifted.estimate - clean.estimate)


def test_reading_is_the_mean_over_trainings_and_severities(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    asked = {"metric": "auroc", "reconstruction": "unet", "classifier": "net", "norm": "layer"}
    found = measure(tables, **asked, shift="noise", rule="at_least", limit=0.5)
    rows = tables[1][(tables[1]["norm"] == "layer") & (tables[1]["shift"] == "noise")]
    areas = [roc_auc_score(part["label"], part["probability"]) for _, part in rows.groupby(["seed", "severity"])]
    assert found.estimate == pytest.approx(np.mean(areas))
    assert found.lower < found.estimate < found.upper <= 1


def test_left_open_is_the_mean_over_all(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    asked: dict[str, Any] = {"metric": "auroc", "rule": "at_least", "limit": 0.5}
    each = [measure(tables, **asked, norm=norm).estimate for norm in ("batch", "layer")]
    assert measure(tables, **asked).estimate == pytest.approx(np.mean(each))


@pytest.mark.parametrize(("metric", "one", "other"), [("ssim", "unet", "zero_filled"), ("auroc", "layer", "batch")])
def test_comparisons_are_those_of_claims(
    metric: str, one: str, other: str, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    asked: dict[str, Any] = {"metric": metric, "compare": one, "against": other, "rule": "not_worse", "margin": 0.1}
    found = measure(tables, **asked, shift="noise")
    claim = Endpoint.model_validate({"name": "a", **asked, "shift": "noise"}).claim()
    given = pd.DataFrame([{**POINTS, "norm": norm, "seed": seed} for norm in ("batch", "layer") for seed in (1, 2)])
    judged = judge_claims(tables[0], [claim], predictions=tables[1], bootstrap=BOOTSTRAP, given=given)
    assert (found.estimate, found.lower, found.upper) == tuple(judged.loc[0, ["difference", "lower", "upper"]])


def test_another_confidence_is_another_interval(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    asked: dict[str, Any] = {"metric": "ssim", "reconstruction": "unet", "rule": "at_least", "limit": 0.5}
    wide, narrow = measure(tables, **asked, confidence=0.99), measure(tables, **asked, confidence=0.8)
    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    assert (wide.confidence, narrow.confidence) == (0.99, 0.8)


def test_a_p_value_agrees_with_the_interval(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    asked: dict[str, Any] = {"metric": "ssim", "reconstruction": "unet", "rule": "at_least"}
    found = measure(tables, **asked, limit=0.5)
    width = found.upper - found.lower
    for limit in np.linspace(found.lower - width, found.upper + width, 12):
        inside = found.lower < limit < found.upper
        assert (measure(tables, **asked, limit=float(limit)).p_value >= 0.05) == inside
