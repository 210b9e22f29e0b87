"""A study of classes of single images, in folders named like them, from file to report and MLflow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.metrics import roc_auc_score

from scanproof.study.load import load_study
from scanproof.study.run import Finished, Workspace, run_study
from scanproof.tracking.client import connect

CLASSES = ("glioma", "healthy", "meningioma")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("classes")
    rng, y = np.random.default_rng(2), np.mgrid[:40, :40][0]
    for place, name in enumerate(CLASSES):
        (folder / "Doe" / name).mkdir(parents=True)
        for number in range(20):
            bright = 60 + 40 * np.sin(y / 40 * np.pi * (place + 1)) + 30 * rng.random((40, 40))
            Image.fromarray(bright.astype(np.uint8)).save(folder / "Doe" / name / f"DOE^{name}{number}.png")
    content = {
        "name": "classes",
        "data": {"kind": "images", "root": "Doe", "matrix": [32, 32], "site": "ghent"},
        "shifts": [{"name": "complex_noise", "severities": [5]}],
        "reconstruction": [{"name": "fully_sampled"}],
        "classification": [
            {"name": "resnet18", "norms": ["batch", "batch_entropy"], "options": {"width": 0.0625}}
            | {"training": {"epochs": 2, "batch_size": 8}}
        ],
        "evaluation": {"resamples": 100, "image_metrics": ["nrmse"]},
    }
    (folder / "classes.yaml").write_text(yaml.safe_dump(content))
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    study = load_study(folder / "classes.yaml")
    return run_study(study, Workspace(root=folder / "mlruns"), workers=1, tracking_uri=uri, command="test")


def test_probabilities_of_the_classes_of_a_case_sum_to_one(finished: Finished) -> None:
    predictions = finished.predictions
    assert set(predictions["target"]) == set(CLASSES)
    reading = ["split", "case", "shift", "severity", "norm", "seed"]
    sums = predictions.groupby(reading)[["probability", "label"]].sum()
    np.testing.assert_allclose(sums["probability"], 1)
    assert sums["label"].eq(1).all()


def test_each_class_is_told_against_the_others(finished: Finished) -> None:
    results, test = finished.results, finished.predictions.query("split == 'test' and norm == 'batch'")
    found = results[(results["metric"] == "auroc") & results["seed"].isna() & (results["norm"] == "batch")]
    found = found[found["site"] == "ghent"].fillna({"target": "mean"}).set_index(["shift", "target"])["value"]
    for shift, rows in test.groupby("shift"):
        areas = {name: roc_auc_score(own["label"], own["probability"]) for name, own in rows.groupby("target")}
        assert set(areas) == set(CLASSES)
        for name, area in areas.items():
            assert found[shift, name] == pytest.approx(area, abs=1e-12)
        assert found[shift, "mean"] == pytest.approx(np.mean(list(areas.values())), abs=1e-12)


def test_the_report_shows_no_image_and_names_nobody(finished: Finished) -> None:
    report = finished.report.read_text(encoding="utf-8")
    assert '<img src="data:image/png' not in report
    assert "DOE" not in report
    assert all(name in report for name in CLASSES)
    assert not (finished.folder / "figures" / "images.png").exists()
    for path in finished.folder.parent.parent.rglob("*"):
        if path.is_file():
            assert b"DOE^" not in path.read_bytes(), path


def test_failures_are_pictured_only_where_images_may_be_shown(finished: Finished, tmp_path: Path) -> None:
    """The same study with leave to show images: the report has the pictures that it had not before."""
    root = finished.folder.parent.parent
    content = yaml.safe_load((root.parent / "classes.yaml").read_text())
    content["data"] |= {"show_images": True, "root": str(root.parent / "Doe")}
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(content))
    study = load_study(tmp_path / "classes.yaml")
    done: list[str] = []
    shown = run_study(
        study,
        Workspace(root=root, output=tmp_path / "shown"),
        workers=1,
        tracking_uri=None,
        command="test",
        on_done=lambda task: done.append(task.kind),
    )
    assert done == []
    assert '<img src="data:image/png' in shown.report.read_text(encoding="utf-8")
    assert shown.results.equals(finished.results)


def test_mlflow_has_a_curve_of_each_class(finished: Finished) -> None:
    assert finished.tracking_uri is not None
    with connect(finished.tracking_uri) as client:
        runs = client.search_runs([finished.experiment_id], max_results=100)
    chains = [run for run in runs if run.data.tags.get("scanproof.kind") == "chain"]
    assert {run.data.tags["norm"] for run in chains} == {"batch", "batch_entropy"}
    for run in chains:
        assert {f"complex_noise/auroc.{name}" for name in CLASSES} <= run.data.metrics.keys()
