from __future__ import annotations

import json
import math
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from programs import run
from scanproof.errors import ScanproofError
from scanproof.tracking.client import connect
from scanproof.tracking.model import TrackedStudy
from scanproof.tracking.study_log import log_study
from scanproof.tracking.uri import default_tracking_uri

Make = Callable[..., TrackedStudy]

# for tests that need a study and do not look at what it holds
SMALL: dict[str, Any] = {
    "sites": ("north",),
    "shifts": ("ghosting",),
    "severities": 1,
    "reconstructions": ("unet",),
    "readers": (("resnet18", "batch"),),
    "training": (),
    "figures": {},
}


def children(client: MlflowClient, run_id: str) -> list[Run]:
    run = client.get_run(run_id)
    found = client.search_runs([run.info.experiment_id], filter_string=f"tags.mlflow.parentRunId = '{run_id}'")
    return list(found)


def steps(client: MlflowClient, run_id: str, key: str) -> dict[int, float]:
    return {entry.step: entry.value for entry in client.get_metric_history(run_id, key)}


def curve(results: pd.DataFrame, shift: str, column: str, **where: Any) -> dict[int, float]:
    """The curve as the table has it: clean condition first, rows averaged over seeds unless a seed is named."""
    rows = results[results["shift"].isin([shift, "none"]) & results["subject"].isna()]
    for key, value in {"seed": None, **where}.items():
        rows = rows[rows[key].isna() if value is None else rows[key] == value]
    rows = rows.sort_values("severity")
    return dict(zip(rows["severity"].astype(int), rows[column], strict=True))


@dataclass(frozen=True)
class Logged:
    study: TrackedStudy
    runs: dict[str, str]
    uri: str


@pytest.fixture(scope="module")
def logged(make_study: Make, empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """A study logged once, for the tests that only look."""
    root = tmp_path_factory.mktemp("logged")
    shutil.copy(empty_database, root / "mlflow.db")
    study, uri = make_study(), default_tracking_uri(root)
    return Logged(study, log_study(study, uri=uri), uri)


def test_site_run_holds_what_identifies_it(logged: Logged) -> None:
    study, runs, uri = logged.study, logged.runs, logged.uri
    assert list(runs) == ["north", "south", "all"]
    with connect(uri) as client:
        run = client.get_run(runs["south"])
        experiment = client.get_experiment(run.info.experiment_id)
        overall = client.get_run(runs["all"])
    assert (experiment.name, experiment.tags["mlflow.note.content"]) == (study.study, study.description)
    assert (run.info.run_name, run.info.status) == ("south", "FINISHED")
    expected = {
        "site": "south",
        "protocol": "knee-v1",
        "protocol_sha256": study.protocol_sha256,
        "data_sha256": study.data_sha256["south"],
        "code_version": "0.1.0",
        "study_sha256": study.study_sha256,
        "results_sha256": study.results_sha256,
        "scanproof.kind": "site",
    }
    assert run.data.tags.items() >= expected.items()
    assert run.data.params["sites.north.cases"] == "4"
    note = run.data.tags["mlflow.note.content"]
    best = study.results[(study.results["metric"] == "auroc_shifted") & (study.results["site"] == "south")]
    top = best.sort_values("value").iloc[-1]
    numbers = f"{top['value']:.3f} ({top['lower']:.3f} to {top['upper']:.3f})"
    assert note.startswith(f"Best chain by the mean AUROC under shift: **{run.data.tags['best_chain']}**, {numbers}.")
    assert "not for clinical use" in note
    assert overall.data.tags["scanproof.kind"] == "all-sites"
    assert "data_sha256" not in overall.data.tags


def test_curves_and_summaries_come_back_as_in_the_table(logged: Logged) -> None:
    study, runs, uri = logged.study, logged.runs, logged.uri
    reader = {"site": "north", "reconstruction": "unet", "classifier": "resnet18", "norm": "group"}
    image = {"site": "north", "reconstruction": "unet", "classifier": None}
    with connect(uri) as client:
        nested = {run.info.run_name: run for run in children(client, runs["north"])}
        assert set(nested) == {
            f"{made} / resnet18 / {n}" for made in ("unet", "zero_filled") for n in ("batch", "group")
        }
        run = nested["unet / resnet18 / group"]
        run_id = run.info.run_id
        for shift in ("ghosting", "rigid_motion"):
            auroc = curve(study.results, shift, "value", metric="auroc", **reader)
            assert list(auroc) == [0, 1, 2]
            assert steps(client, run_id, f"{shift}/auroc") == auroc
            lower = curve(study.results, shift, "lower", metric="auroc", **reader)
            assert steps(client, run_id, f"{shift}/auroc_lower") == lower
            assert steps(client, run_id, f"{shift}/ssim") == curve(
                study.results, shift, "value", metric="ssim", **image
            )
    drop = study.results[(study.results["metric"] == "auroc_drop") & (study.results["site"] == "north")]
    drop = drop[(drop["reconstruction"] == "unet") & (drop["norm"] == "group")].iloc[0]
    assert run.data.metrics["auroc_drop"] == drop["value"]
    assert run.data.metrics["auroc_drop_upper"] == drop["upper"]
    facts = {"reconstruction": "unet", "acceleration": "4", "classifier": "resnet18", "norm": "group"}
    assert run.data.tags.items() >= {**facts, "site": "north", "scanproof.kind": "chain"}.items()
    assert run.data.params == {**facts, "site": "north"}


def test_acceleration_is_named_only_if_there_are_several(make_study: Make, uri: str) -> None:
    study = make_study(sites=("north",), accelerations=(2.0, 4.5), readers=(), reconstructions=("unet",))
    runs = log_study(study, uri=uri)
    assert list(runs) == ["north"]
    with connect(uri) as client:
        nested = children(client, runs["north"])
        assert sorted(run.info.run_name for run in nested) == ["unet R2", "unet R4.5"]
        assert {run.data.tags["scanproof.kind"] for run in nested} == {"reconstruction"}
        assert not any("auroc" in key for run in nested for key in run.data.metrics)
        assert {a.path for a in client.list_artifacts(runs["north"])}.isdisjoint(
            {"predictions.json", "comparisons.json", "layers.json"}
        )


def test_runs_can_be_sorted_and_filtered(logged: Logged) -> None:
    study, runs, uri = logged.study, logged.runs, logged.uri
    with connect(uri) as client:
        experiment = client.get_run(runs["north"]).info.experiment_id
        best = client.search_runs(
            [experiment],
            filter_string="tags.`scanproof.kind` = 'chain' and tags.site = 'south' and metrics.auroc_shifted > 0",
            order_by=["metrics.auroc_shifted DESC"],
            max_results=1,
        )[0]
        site = client.search_runs(
            [experiment], filter_string="metrics.`auroc_shifted.best` > 0 and tags.site = 'south'"
        )
    rows = study.results[(study.results["metric"] == "auroc_shifted") & (study.results["site"] == "south")]
    top = rows.sort_values("value").iloc[-1]
    assert (best.data.tags["reconstruction"], best.data.tags["norm"]) == (top["reconstruction"], top["norm"])
    assert [run.info.run_id for run in site] == [runs["south"]]
    assert site[0].data.metrics["auroc_shifted.best"] == top["value"]
    assert site[0].data.tags["best_chain"] == best.info.run_name


def test_newest_nested_run_is_the_sturdiest(logged: Logged) -> None:
    with connect(logged.uri) as client:
        nested = sorted(children(client, logged.runs["north"]), key=lambda run: run.info.start_time)
    values = [run.data.metrics["auroc_shifted"] for run in nested]
    assert values == sorted(values)


def test_artifacts_and_tables(logged: Logged, tmp_path: Path) -> None:
    study, runs, uri = logged.study, logged.runs, logged.uri
    with connect(uri) as client:
        run = client.get_run(runs["north"])
        folder = Path(client.download_artifacts(runs["north"], "", str(tmp_path)))
    tables = {
        "summary": study.results[study.results["severity"].isna()],
        "results": study.results,
        "predictions": study.predictions,
        "comparisons": study.comparisons,
        "layers": study.layers,
    }
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": f"{name}.json", "type": "table"} for name in tables
    ]
    assert (folder / "report.html").read_text() == study.report.read_text()
    assert (folder / "study.lock.yaml").read_text() == study.lock_file.read_text()
    assert (folder / "figures/degradation.png").read_bytes().startswith(b"\x89PNG")
    for name, table in tables.items():
        rows = table[table["site"] == "north"].reset_index(drop=True)
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), rows)
        shown = json.loads((folder / f"{name}.json").read_text())
        assert shown["columns"] == list(rows.columns)
        assert len(shown["data"]) == len(rows)
        place = shown["columns"].index("severity")
        assert [row[place] for row in shown["data"]] == [None if pd.isna(s) else s for s in rows["severity"]]


def test_data_sets_tell_numbers_but_no_case(logged: Logged) -> None:
    study, runs, uri = logged.study, logged.runs, logged.uri
    with connect(uri) as client:
        inputs = client.get_run(runs["south"]).inputs.dataset_inputs
        assert not client.get_run(runs["all"]).inputs.dataset_inputs
    found = {entry.dataset.name: entry for entry in inputs}
    assert set(found) == {"south test", "south train"}
    assert {tag.key: tag.value for tag in found["south train"].tags} == {"mlflow.data.context": "training"}
    test = found["south test"]
    assert {tag.key: tag.value for tag in test.tags} == {"mlflow.data.context": "testing"}
    assert study.data_sha256["south"].startswith(test.dataset.digest)
    assert json.loads(test.dataset.profile)["num_rows"] == 3
    assert [c["name"] for c in json.loads(test.dataset.schema)["mlflow_colspec"]] == ["case", "label:finding", "split"]
    text = "".join([test.dataset.schema, test.dataset.profile, test.dataset.source])
    assert not any(case in text for case in ('"c0"', '"c1"', '"c2"', '"c3"'))


def test_logging_twice_changes_nothing(logged: Logged) -> None:
    study, runs, uri = logged.study, logged.runs, logged.uri

    def everything() -> list[tuple[str, str, int | None, str]]:
        with connect(uri) as client:
            experiment = client.get_run(runs["north"]).info.experiment_id
            found = client.search_runs([experiment], run_view_type=ViewType.ALL)
        return sorted((r.info.run_id, r.info.status, r.info.end_time, r.info.lifecycle_stage) for r in found)

    before = everything()
    assert log_study(study, uri=uri) == runs
    assert everything() == before


def test_other_results_are_another_run(make_study: Make, uri: str) -> None:
    first = log_study(make_study(**SMALL), uri=uri)
    other = log_study(make_study(**SMALL, results_sha256="f" * 64), uri=uri)
    assert other.keys() == first.keys()
    assert other["north"] != first["north"]


def test_site_names_that_a_query_could_trip_over(make_study: Make, uri: str) -> None:
    study = make_study(**SMALL | {"sites": ("St. Mary's `north`", 'a" or 1=1'), "shifts": ("odd/shift (x)",)})
    runs = log_study(study, uri=uri)
    assert log_study(study, uri=uri) == runs
    with connect(uri) as client:
        assert client.get_run(runs["St. Mary's `north`"]).data.tags["site"] == "St. Mary's `north`"
        keys = children(client, runs['a" or 1=1'])[0].data.metrics
    assert "odd_shift _x_/auroc" in keys


def test_killed_while_logging(make_study: Make, uri: str, tmp_path: Path) -> None:
    """A process that dies without any clean-up, in the second nested run of the first site."""
    study = make_study(figures={})
    (tmp_path / "study.pickle").write_bytes(pickle.dumps(study))
    killed = run(
        "-c",
        "import os, pickle, sys\n"
        "from scanproof.tracking import study_log\n"
        "calls, log_points = [], study_log.log_points\n"
        "def killed(*args):\n"
        "    calls.append(1)\n"
        "    return os._exit(9) if len(calls) == 3 else log_points(*args)\n"
        "study_log.log_points = killed\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    study_log.log_study(pickle.load(file), uri=sys.argv[2])\n",
        tmp_path / "study.pickle",
        uri,
    )
    assert killed.returncode == 9, killed.stderr
    with connect(uri) as client:
        experiment = client.get_experiment_by_name("knees")
        assert experiment is not None
        left = {r.info.run_id: r for r in client.search_runs([experiment.experiment_id])}
    assert sorted(r.info.status for r in left.values()) == ["FINISHED", "FINISHED", "RUNNING", "RUNNING"]
    trainings = [r for r in left.values() if r.data.tags["scanproof.kind"] == "training"]
    assert len(trainings) == 1

    runs = log_study(study, uri=uri)
    with connect(uri) as client:
        for run_id in set(left) - {trainings[0].info.run_id}:
            info = client.get_run(run_id).info
            assert info.lifecycle_stage == "deleted"
            assert info.status in ("FAILED", "FINISHED")
        active = client.search_runs([experiment.experiment_id])
        # three sites with four chains each, and the training that was complete before
        assert len(active) == 3 * 5 + 1
        assert {r.info.status for r in active} == {"FINISHED"}
        assert runs.keys() == {"north", "south", "all"}
    assert log_study(study, uri=uri) == runs


def test_broken_logging_leaves_no_open_run(make_study: Make, uri: str, tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "artifacts").write_text("a file where the folder should be")
    with pytest.raises(ScanproofError, match="artifacts of the runs must be stored"):
        log_study(make_study(**SMALL), uri=uri)
    with connect(uri) as client:
        experiment = client.get_experiment_by_name("knees")
        assert experiment is not None
        assert [r.info.status for r in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    (tmp_path / "mlruns" / "artifacts").unlink()
    runs = log_study(make_study(**SMALL), uri=uri)
    with connect(uri) as client:
        active = client.search_runs([experiment.experiment_id])
    assert {r.info.status for r in active} == {"FINISHED"}
    assert {r.info.run_id for r in active} >= set(runs.values())


def test_site_without_rows_about_the_site(make_study: Make, uri: str) -> None:
    results = make_study().results
    only_cases = results[(results["site"] != "south") | results["subject"].notna()]
    with pytest.raises(ScanproofError, match="must hold rows about the whole site, got 'south'"):
        log_study(make_study(results=only_cases), uri=uri)


def test_more_points_than_one_request_takes(make_study: Make, uri: str) -> None:
    shifts = tuple("abcdefghijklmnopqr")
    study = make_study(
        sites=("north",),
        shifts=shifts,
        severities=5,
        reconstructions=("unet",),
        readers=(("resnet18", "batch"),),
        cases=1,
    )
    runs = log_study(study, uri=uri)
    with connect(uri) as client:
        run = children(client, runs["north"])[0]
        keys = [key for key in run.data.metrics if "/" in key]
        total = sum(len(steps(client, run.info.run_id, key)) for key in keys)
    # curves of 6 points: 5 reading metrics, one with an interval, and 3 image metrics
    assert total == len(shifts) * 6 * (5 + 2 + 3) > 1000
    assert all(math.isfinite(value) for value in run.data.metrics.values())
