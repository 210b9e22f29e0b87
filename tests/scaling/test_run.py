"""A sweep from its file to its tables and MLflow runs."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import yaml

from scanproof.scaling.load import load_sweep
from scanproof.scaling.plan import make_plan
from scanproof.scaling.results import RESULT_COLUMNS
from scanproof.scaling.run import run_sweep
from scanproof.study.executor import missing_tasks
from scanproof.study.plan import Task
from scanproof.study.store import Store
from scanproof.tracking.client import connect


def keys(plan, kind: str) -> set[str]:
    return {task.key for task in plan.tasks if task.kind == kind}


def test_a_sweep_runs_to_its_table_report_and_mlflow(tiny, write, tmp_path: Path) -> None:
    tiny["examples"] = [2, 3, 6]
    sweep = load_sweep(write(tiny))
    uri = f"sqlite:///{(tmp_path / 'one' / 'mlflow.db').as_posix()}"
    finished = run_sweep(sweep, tmp_path / "one", tracking_uri=uri, command="scanproof scaling run tiny.yaml")
    results = pd.read_parquet(finished.table)
    assert dict(results.dtypes.astype(str)) == RESULT_COLUMNS
    assert set(results["data"]) == {"demo"}
    # 2 tasks x 3 sizes x 2 seeds, each on 4 validation slices, 4 test slices and these under one shift, in 4 metrics
    assert len(results) == 12 * 12 * 4
    assert results["value"].notna().all()
    assert set(results.groupby(["split", "shift", "severity"]).groups) == {
        ("val", "none", 0),
        ("test", "none", 0),
        ("test", "ghosting", 3),
    }
    assert not set(results.loc[results["split"] == "val", "subject"]) & set(
        results.loc[results["split"] == "test", "subject"]
    )
    assert (results["seconds"] > 0).all()
    index = [name for name in RESULT_COLUMNS if name not in ("metric", "value")]
    wide = results.pivot(index=index, columns="metric", values="value")
    # references have a maximum of one
    assert ((wide["psnr"] + 10 * wide["mse"].map(math.log10)).abs() < 1e-6).all()
    trainings = pd.read_csv(finished.folder / "trainings.csv")
    assert (trainings["steps"] == 4).all()
    assert set(trainings["ended"]) == {"steps"}
    assert trainings["model_sha256"].nunique() == 12
    participants = pd.read_csv(finished.folder / "participants.csv").set_index("split")
    assert participants["subjects"].to_dict() == {"train": 3, "val": 2, "test": 2}
    assert participants["cases"].to_dict() == {"train": 6, "val": 4, "test": 4}
    page = finished.report.read_text()
    for text in ("scanproof scaling run tiny.yaml", "12 of 12 trainings", "data:image/svg+xml", "Robustness"):
        assert text in page

    # with two processes, from nothing: the same but for the time
    again = run_sweep(sweep, tmp_path / "two", workers=2)
    assert again.results.drop(columns="seconds").equals(finished.results.drop(columns="seconds"))
    locks = [yaml.safe_load((folder / "scaling.lock.yaml").read_text()) for folder in (finished.folder, again.folder)]
    assert locks[0] == locks[1]

    # nothing is computed or logged twice
    done: list[Task] = []
    run_sweep(sweep, tmp_path / "one", tracking_uri=uri, on_done=done.append)
    assert done == []
    with connect(uri) as client:
        check_runs(client, results, trainings, measures=locks[0]["measures_sha256"])


def check_runs(client, results: pd.DataFrame, trainings: pd.DataFrame, *, measures: str) -> None:
    experiment = client.get_experiment_by_name("tiny").experiment_id
    runs = client.search_runs([experiment])
    trained = [run for run in runs if run.info.run_name.startswith("train ")]
    others = {run.info.run_name: run for run in runs if run not in trained}
    assert sorted(others) == ["denoising", "denoising / width 2", "mri", "mri / width 2", "tiny"]
    parent, task, child = (others[name] for name in ("tiny", "mri", "mri / width 2"))
    assert task.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["mlflow.parentRunId"] == task.info.run_id
    assert parent.data.tags["measures_sha256"] == measures
    assert parent.data.tags["verdict.mri.mse"] == task.data.tags["verdict"]
    assert {one.dataset.name for one in parent.inputs.dataset_inputs} == {"north train", "north val", "north test"}
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"report.html", "results.parquet", "scaling.lock.yaml", "verdicts.json", "robustness.json"} <= names
    figures = {file.path for file in client.list_artifacts(parent.info.run_id, "figures")}
    assert figures == {f"figures/{name}.png" for name in ("laws", "published", "robustness", "widths")}

    curve = client.get_metric_history(child.info.run_id, "test/psnr")
    rows = results[(results["task"] == "mri") & (results["split"] == "test") & (results["shift"] == "none")]
    means = rows[rows["metric"] == "psnr"].groupby("examples")["value"].mean()
    assert {point.step: point.value for point in curve} == pytest.approx(means.to_dict())
    metrics = parent.data.metrics
    assert metrics["mse/exponent_lower.mri"] <= metrics["mse/exponent.mri"] <= metrics["mse/exponent_upper.mri"]
    assert task.data.metrics["mse/exponent"] == metrics["mse/exponent.mri"]

    # every training once, watched while it ran, with the hash of its weights
    assert {run.info.status for run in trained} == {"FINISHED"}
    assert sorted(run.data.tags["model_sha256"] for run in trained) == sorted(trainings["model_sha256"])
    one = next(run for run in trained if run.info.run_name == "train mri, N = 6, width 2, seed 2")
    assert one.data.params["max_epochs"] == "2"  # which only a handler tells
    steps = client.get_metric_history(one.info.run_id, "step")
    assert [(point.step, point.value) for point in steps] == [(1, 2), (2, 4)]


def test_a_larger_sweep_trains_only_what_is_new(tiny, write) -> None:
    first = make_plan(load_sweep(write(tiny)))
    more = make_plan(load_sweep(write({**tiny, "examples": [2, 5, 6], "widths": [2, 3]})))
    assert keys(first, "scale_train") < keys(more, "scale_train")
    shifted = make_plan(load_sweep(write({**tiny, "shifts": []})))
    assert keys(first, "scale_train") == keys(shifted, "scale_train")
    assert not keys(first, "scale_test") & keys(shifted, "scale_test")
    gpu = make_plan(load_sweep(write(tiny)), device="cuda")
    assert [task.key for task in gpu.tasks] == [task.key for task in first.tasks]
    assert {task.local["device"] for task in gpu.tasks if task.kind == "scale_train"} == {"cuda"}


def test_inputs_stand_before_what_reads_them(tiny, write, tmp_path: Path) -> None:
    plan = make_plan(load_sweep(write(tiny)))
    before: set[str] = set()
    for task in plan.tasks:
        assert {child.key for children in task.inputs.values() for child in children} <= before
        before.add(task.key)
    assert missing_tasks(plan.tasks, Store(tmp_path), wanted=plan.wanted) == list(plan.tasks)


def test_one_search_serves_all_seeds(tiny, write) -> None:
    plan = make_plan(load_sweep(write(tiny)))
    assert len(keys(plan, "scale_rate")) == 2  # of denoising; MRI has its published rate
    tiny["tasks"][0]["training"]["rate"]["at"] = "largest"
    plan = make_plan(load_sweep(write(tiny)))
    searches = [task for task in plan.tasks if task.kind == "scale_rate"]
    assert [task.params["examples"] for task in searches] == [5]
