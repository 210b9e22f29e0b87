"""Small studies and tracking databases shared by the tests of tracking."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scanproof.evaluation.comparisons import COMPARISON_COLUMNS
from scanproof.evaluation.table import PREDICTION_COLUMNS, RESULT_COLUMNS, conform
from scanproof.tracking.client import import_mlflow
from scanproof.tracking.experiment import prepare
from scanproof.tracking.model import TrackedStudy, TrainingRecord
from scanproof.tracking.uri import ENVIRONMENT, default_tracking_uri

import_mlflow()

SHA = {name: f"{name:0<64}" for name in ("5ead", "4e5a")}
READING = ("auroc", "balanced_accuracy", "sensitivity", "specificity", "ece")
IMAGES = ("psnr", "ssim", "nrmse")


def make_results(
    *,
    sites: Sequence[str],
    shifts: Sequence[str],
    severities: int,
    reconstructions: Sequence[str],
    accelerations: Sequence[float],
    readers: Sequence[tuple[str, str]],
    seeds: Sequence[int],
    cases: int,
) -> pd.DataFrame:
    """A results table whose every value differs from every other one, so that a mix-up shows."""
    numbers = np.random.default_rng(3)
    rows: list[dict[str, object]] = []

    def add(interval: bool = True, **row: object) -> None:
        value = float(numbers.uniform(0.5, 1))
        ends = {"lower": value - 0.01, "upper": value + 0.02} if interval else {}
        rows.append({"study": "knees", "value": value, "n": cases, **ends, **row})

    conditions = [("none", 0), *product(shifts, range(1, severities + 1))]
    places = [*sites, "all"] if len(sites) > 1 else list(sites)
    for site, made, factor in product(places, reconstructions, accelerations):
        chain: dict[str, object] = {"site": site, "reconstruction": made, "acceleration": factor}
        for (shift, severity), metric in product(conditions, IMAGES):
            condition = {**chain, "shift": shift, "severity": severity, "metric": metric}
            add(**condition)
            if site != "all":
                for case in range(cases):
                    add(interval=False, **condition, subject=f"s{case}", case=f"c{case}")
        for classifier, norm in readers:
            reader = {**chain, "classifier": classifier, "norm": norm}
            for (shift, severity), metric, seed in product(conditions, READING, [None, *seeds]):
                add(**reader, shift=shift, severity=severity, metric=metric, seed=seed)
            for metric in ("auroc_clean", "auroc_shifted", "auroc_drop"):
                add(**reader, shift="all", metric=metric)
    return conform(pd.DataFrame(rows), RESULT_COLUMNS)


def make_predictions(results: pd.DataFrame, cases: int) -> pd.DataFrame:
    """A probability for every case under every condition that the results name."""
    rows = results[(results["metric"] == "auroc") & results["seed"].notna() & (results["site"] != "all")]
    columns = [c for c in PREDICTION_COLUMNS if c in rows and c not in ("subject", "case")]
    table = rows[columns].merge(pd.DataFrame({"place": range(cases)}), how="cross")
    table["case"] = "c" + table["place"].astype(str)
    table["subject"] = "s" + table["place"].astype(str)
    table["label"], table["split"], table["target"] = table["place"] % 2, "test", "finding"
    table["probability"] = np.random.default_rng(4).uniform(size=len(table))
    return conform(table.drop(columns="place"), PREDICTION_COLUMNS)


def make_comparisons(results: pd.DataFrame) -> pd.DataFrame:
    """The second norm against the first under every condition of which there is a mean over shifts."""
    rows = results[(results["metric"] == "auroc_shifted") & (results["norm"] == "group")]
    found = rows[["study", "site", "shift", "reconstruction", "acceleration", "classifier", "norm"]].assign(
        reference="batch", metric="auroc", measure="quality", difference=rows["value"] - 0.7, seeds=2
    )
    return conform(found, COMPARISON_COLUMNS)


def make_layers(results: pd.DataFrame) -> pd.DataFrame:
    """Drift of two layers of every chain at every site under every condition."""
    rows = results[(results["metric"] == "auroc") & results["seed"].isna() & (results["site"] != "all")]
    names = ["site", "shift", "severity", "reconstruction", "acceleration", "classifier", "norm"]
    layers = rows[names].merge(pd.DataFrame({"layer": [0, 1], "name": ["stem", "head"]}), how="cross")
    return layers.assign(input_mean_drift=layers["severity"].astype(float) / 5).reset_index(drop=True)


@pytest.fixture(scope="session")
def make_study(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrackedStudy]:
    """Build a study; arguments replace the small defaults."""
    folder = tmp_path_factory.mktemp("study")

    def make(
        *,
        sites: Sequence[str] = ("north", "south"),
        shifts: Sequence[str] = ("ghosting", "rigid_motion"),
        severities: int = 2,
        reconstructions: Sequence[str] = ("unet", "zero_filled"),
        accelerations: Sequence[float] = (4.0,),
        readers: Sequence[tuple[str, str]] = (("resnet18", "batch"), ("resnet18", "group")),
        seeds: Sequence[int] = (1, 2),
        cases: int = 4,
        **changes: object,
    ) -> TrackedStudy:
        results = make_results(
            sites=sites,
            shifts=shifts,
            severities=severities,
            reconstructions=reconstructions,
            accelerations=accelerations,
            readers=readers,
            seeds=seeds,
            cases=cases,
        )
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot([0, 1], [1, 0])
        report, lock = folder / "knees.html", folder / "study.lock.yaml"
        report.write_text("<!doctype html><title>knees</title>")
        lock.write_text("study: knees\n")
        history = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [0.7, 0.5, 0.4], "auroc": [float("nan"), 0.8, 0.9]})
        cohort = pd.DataFrame({"case": [f"c{i}" for i in range(cases)], "label:finding": [i % 2 for i in range(cases)]})
        cohort = cohort.astype({"case": "string", "label:finding": "Int64"}).assign(
            split=["train", *["test"] * (cases - 1)]
        )
        facts: dict[str, object] = {
            "study": "knees",
            "description": "How far do knee readers carry?",
            "study_sha256": SHA["5ead"],
            "results_sha256": SHA["4e5a"],
            "data_sha256": {site: f"{i:0>64}" for i, site in enumerate(sites)},
            "code_version": "0.1.0",
            "protocol": "knee-v1",
            "protocol_sha256": "ab" * 32,
            "definition": {"seed": 7, "sites": [{"name": site, "cases": cases} for site in sites]},
            "lock_file": lock,
            "report": report,
            "figures": {"degradation": figure},
            "results": results,
            "predictions": make_predictions(results, cases),
            "comparisons": make_comparisons(results),
            "layers": make_layers(results),
            "cohorts": dict.fromkeys(sites, cohort),
            "training": [
                TrainingRecord(
                    key="7a5c",
                    name="resnet18/batch/seed 1",
                    kind="classifier",
                    params={"epochs": 3, "norm": "batch"},
                    history=history,
                    model_sha256="cd" * 32,
                )
            ],
        }
        return TrackedStudy(**{**facts, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, to be copied: making them takes seconds."""
    root = tmp_path_factory.mktemp("empty")
    prepare(default_tracking_uri(root), experiment="unused")
    return root / "mlflow.db"


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tracking database of the test's own."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    root = tmp_path / "mlruns"
    root.mkdir()
    shutil.copy(empty_database, root / "mlflow.db")
    return default_tracking_uri(root)
