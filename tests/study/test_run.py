"""A whole study from its file to report and MLflow, as a user runs it: the real command, real processes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from killing import Moment, Running, entries, inventory
from programs import Program, scanproof
from scanproof.data.demo.generator import demo_cohort
from scanproof.errors import ScanproofError
from scanproof.evaluation.table import check_table, predictions_schema, results_schema
from scanproof.study.load import load_study
from scanproof.study.run import Workspace, plan_study, run_study

TABLES = ("results.parquet", "predictions.parquet", "comparisons.parquet", "layers.parquet")
FILES = (*TABLES, "claims.csv")


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


class Counter:
    """Counts what a run computes."""

    def __init__(self) -> None:
        self.planned: list[str] = []
        self.done: list[str] = []

    def run(self, path: Path, root: Path, **options: object):
        study = load_study(path, **options)
        return run_study(
            study,
            Workspace(root=root),
            workers=1,
            tracking_uri=None,
            command="test",
            on_start=lambda tasks: self.planned.extend(task.kind for task in tasks),
            on_done=lambda task: self.done.append(task.kind),
        )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_text: str, claims: list[dict]) -> Path:
    """Working folder in which the small study was run with two workers and MLflow."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.yaml").write_text(small_text + yaml.safe_dump({"claims": claims}))
    command = [sys.executable, "-m", "scanproof", "run", "small.yaml", "-j", "2"]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    assert process.returncode == 0, process.stderr
    (folder / "stdout").write_text(process.stdout)
    (folder / "stderr").write_text(process.stderr)
    return folder


@pytest.fixture(scope="module")
def output(finished: Path) -> Path:
    return finished / "mlruns" / "studies" / "small"


def test_writes_what_it_promises(finished: Path, output: Path) -> None:
    assert {p.name for p in output.iterdir()} == {*FILES, "report.html", "study.lock.yaml", "figures", ".written.json"}
    results = check_table(pd.read_parquet(output / TABLES[0]), results_schema(), name=TABLES[0])
    predictions = check_table(pd.read_parquet(output / TABLES[1]), predictions_schema(), name=TABLES[1])
    assert set(results["site"]) == {"north", "south", "all"}
    assert set(results["metric"]) >= {"auroc", "sensitivity", "specificity", "ece", "psnr", "ssim", "nrmse"}
    # 2 sites x 18 test cases x 4 conditions x 2 methods, and 18 validation cases x 2 methods, by 4 classifiers
    assert len(predictions) == 4 * (2 * 18 * 4 * 2 + 18 * 2)
    printed = (finished / "stdout").read_text()
    for name in (
        "Report ",
        "report.html",
        "MLflow ",
        "ui\n",
        "then open http://127.0.0.1:5000/#/experiments/",
        "Sturdiest chains",
        "They are alike at south.",
    ):
        assert name in printed
    assert "\x1b" not in (finished / "stderr").read_text()


def test_lock_file_holds_hashes_that_are_true(output: Path) -> None:
    import hashlib

    lock = yaml.safe_load((output / "study.lock.yaml").read_text())
    for name in FILES:
        assert lock["files_sha256"][name] == hashlib.sha256((output / name).read_bytes()).hexdigest()
    assert lock["definition"]["evaluation"]["confidence"] == 0.95
    assert len(lock["model_sha256"]) == 5
    assert set(lock["data_sha256"]) == {"north", "south"}
    assert lock["versions"]["torch"].startswith("2.")


def test_claims_are_judged_everywhere(output: Path) -> None:
    claims = pd.read_csv(output / "claims.csv")
    results = pd.read_parquet(output / "results.parquet")
    means = results[results["case"].isna() & (results["site"] == "south") & (results["metric"] == "nrmse")]
    clean = means[means["shift"] == "none"].set_index("reconstruction")["value"]
    # an error counts backwards
    assert claims["difference"][1] == pytest.approx(clean["fully_sampled"] - clean["unet"])
    assert claims["verdict"][1] == "disagree"
    assert claims["subjects"].tolist() == [12, 6]
    report = (output / "report.html").read_text(encoding="utf-8")
    assert '<span class="badge disagree">disagree</span>' in report
    assert "Noise costs more without lines to spare." in report


def test_tables_for_a_manuscript(finished: Path, tmp_path: Path) -> None:
    process = scanproof("tables", "small.yaml", "-o", tmp_path / "t", "--against", "unet", cwd=finished)
    assert process.returncode == 0, process.stderr
    names = {"README.md", "chains.csv", "comparisons.csv", "curves.csv", "means.csv", "claims.csv"}
    images = {"slices.csv", "paired.csv"}
    written = {p.name for p in (tmp_path / "t").rglob("*.*")}
    assert {Path(line).name for line in process.stdout.split()} == written
    assert written >= names | images | {"calibration.png"}
    slices = pd.read_csv(tmp_path / "t" / "slices.csv")
    assert len(slices) == 2 * 18 * 4 * 2
    page = (tmp_path / "t" / "README.md").read_text(encoding="utf-8")
    assert page.index("## Claims") < page.index("## Chains") < page.index("## Comparisons") < page.index("## SSIM")
    process = scanproof("tables", "small.yaml", "-o", tmp_path / "short", cwd=finished)
    assert {p.name for p in (tmp_path / "short").rglob("*.*")} == written - images
    assert "## SSIM" not in (tmp_path / "short" / "README.md").read_text(encoding="utf-8")
    written = (finished / "small.yaml").read_text()
    (finished / "other.yaml").write_text(written.replace("seed: 7", "seed: 8"))
    process = scanproof("tables", "other.yaml", "-o", tmp_path / "u", cwd=finished)
    assert process.returncode == 2
    assert "study.lock.yaml: results must be of the study as it is defined now" in process.stderr
    process = scanproof("tables", "small.yaml", "-o", tmp_path / "u", "--root", tmp_path, cwd=finished)
    assert process.returncode == 2
    assert "study must have been run, got 'no results'" in process.stderr
    process = scanproof("tables", "small.yaml", "-o", tmp_path / "u", "--metric", "vif", cwd=finished)
    assert "--metric: unknown image metric, got 'vif'" in process.stderr
    assert not (tmp_path / "u").exists()


def test_one_worker_gives_the_same_bits(finished: Path, output: Path, tmp_path: Path) -> None:
    counter = Counter()
    counter.run(finished / "small.yaml", tmp_path)
    assert tables(tmp_path / "studies" / "small") == tables(output)
    lock = "study.lock.yaml"
    assert (tmp_path / "studies" / "small" / lock).read_bytes() == (output / lock).read_bytes()
    assert counter.done.count("train_classifier") == 4


def test_again_computes_nothing_and_gives_the_same(finished: Path, output: Path) -> None:
    before, counter = tables(output), Counter()
    counter.run(finished / "small.yaml", finished / "mlruns")
    assert counter.planned == []
    assert tables(output) == before


def test_again_writes_nothing_that_is_whole(finished: Path, output: Path) -> None:
    written = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    before, counter = tables(output), Counter()
    again = counter.run(finished / "small.yaml", finished / "mlruns")
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()} == written
    assert again.tables.claims is not None
    pd.testing.assert_frame_equal(again.claims, again.tables.claims)
    whole = again.results[again.results["case"].isna()].reset_index(drop=True)
    assert again.summary["value"].tolist() == whole["value"].tolist()

    for name in (TABLES[0], "report.html"):
        (output / name).write_bytes((output / name).read_bytes()[:-1])
    counter.run(finished / "small.yaml", finished / "mlruns")
    assert tables(output) == before
    assert (output / "report.html").stat().st_mtime_ns > written[output / "report.html"]
    assert counter.done == []


def test_another_shift_trains_nothing(finished: Path, small: dict) -> None:
    small["shifts"][0] = {"name": "bias_field", "severities": [2]}
    (finished / "other.yaml").write_text(yaml.safe_dump({**small, "name": "other"}))
    counter = Counter()
    counter.run(finished / "other.yaml", finished / "mlruns")
    assert sorted(set(counter.done)) == ["evaluate", "predict", "reconstruct"]
    assert counter.done.count("reconstruct") == 4


def test_killed_again_and_again_redoes_only_what_was_unfinished(finished: Path, output: Path, tmp_path: Path) -> None:
    """SIGKILL in the start-up, twice while tasks run, while results are written and while they are logged.

    ``make bench-kill`` does so at more moments, and with other commands.
    """
    root, kept = tmp_path / "mlruns", {}
    moments = (
        Moment("reading data", 0.5),
        Moment(15, 0.2),
        Moment(60, 0.4, "all"),
        Moment("writing results", 0.3),
        Moment("logging to MLflow", 2.0),
    )
    for moment in moments:
        running = Running(["run", finished / "small.yaml", "-j", 2], tmp_path)
        assert running.reach(moment, root / "store"), running.text
        assert running.kill(moment.whom) is not None, "a worker has outlived its run"
        found = entries(root / "store")
        assert {key: found.get(key) for key in kept} == kept
        kept = found
    assert len(kept) == 100
    last = Running(["run", finished / "small.yaml", "-j", 2], tmp_path)
    assert last.finish() == 0, last.text
    assert "nothing to compute" in last.text
    assert entries(root / "store") == kept
    assert tables(root / "studies" / "small") == tables(output)
    lock = "study.lock.yaml"
    assert (root / "studies" / "small" / lock).read_bytes() == (output / lock).read_bytes()
    assert inventory(root / "mlflow.db") == inventory(finished / "mlruns" / "mlflow.db")


def test_interrupted_says_what_is_kept(finished: Path, tmp_path: Path) -> None:
    process = Program("-m", "scanproof", "run", finished / "small.yaml", "-j", 2, "--no-tracking", cwd=tmp_path)
    store = tmp_path / "mlruns" / "store"
    while process.poll() is None and not list(store.glob("??/*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 130
    assert printed.splitlines()[-1] == "scanproof: interrupted; finished work is kept, run again to go on"
    assert "Traceback" not in printed


def test_damaged_results_are_computed_again(finished: Path, output: Path) -> None:
    """A stored reconstruction loses a bit, and what was made from it is asked for anew."""
    before = tables(output)
    plan = plan_study(load_study(finished / "small.yaml"), Workspace(root=finished / "mlruns"))
    store = Workspace(root=finished / "mlruns").store
    victim = plan.reconstructions[0]
    file = next(store.root.glob(f"??/{victim.key}/arrays.safetensors"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    for task in plan.tasks:  # the verdicts on claims, which are made of the tables, stay
        if task.kind == "evaluate" or victim in task.inputs.get("images", ()):
            store.remove(task.key)
    counter = Counter()
    counter.run(finished / "small.yaml", finished / "mlruns")
    assert sorted(counter.done) == ["evaluate", "predict", "predict", "predict", "predict", "reconstruct"]
    assert tables(output) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sede": 1}, r"scanproof: error: .*small.yaml: sede: unknown key, got 'sede' \(did you mean 'seed'"),
        (
            {"data": {"kind": "volumes", "manifest": "none.csv"}},
            r"none.csv: data.manifest: manifest must be an exist",
        ),
        ({"acquisition": {"accelerations": [2], "center_fraction": 0.9}}, r"scanproof: error: .*centre|center"),
    ],
)
def test_wrong_input_ends_with_one_line_and_code_two(tmp_path: Path, small: dict, change: dict, message: str) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({**small, **change}))
    process = scanproof("run", "small.yaml", "-j", 1, "--no-tracking", cwd=tmp_path)
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    error = [line for line in process.stderr.splitlines() if line.startswith("scanproof: error:")]
    assert len(error) == 1
    assert re.search(message, error[0])


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of NIfTI volumes with telling names, and its manifest."""
    folder = tmp_path_factory.mktemp("hospital")
    rows = []
    for site, subjects in (("St. Elsewhere", 12), ("Zürich <b>", 6)):
        cohort = demo_cohort("north", subjects={"test": subjects}, slices=4, matrix=(96, 80), seed=len(site))
        for number, (subject, cases) in enumerate(cohort.cases.groupby("subject")):
            volume = cohort.images[cases.index, 0][:, ::-1].transpose(2, 1, 0)
            name = f"Doe_Jane_{site[:2]}{number}.nii.gz"
            nib.save(nib.Nifti1Image(np.ascontiguousarray(volume), np.diag([2.0, 2.0, 6.0, 1.0])), folder / name)
            rows.append({"subject": f"DOE^JANE^{site[:2]}{number}", "site": site, "path": name, "label": number % 2})
            assert subject
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder


def run_hospital(hospital: Path, tmp_path: Path, small: dict, change=lambda manifest: manifest):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**small, "name": "local", "shifts": small["shifts"][:1]}))
    manifest = tmp_path / "manifest.csv"
    change(pd.read_csv(hospital / "cohort.csv")).to_csv(manifest, index=False)
    return Counter().run(path, tmp_path / "mlruns", data=hospital, manifest=manifest)


def test_the_same_study_runs_on_a_hospitals_volumes(hospital: Path, tmp_path: Path, small: dict) -> None:
    finished = run_hospital(hospital, tmp_path, small)
    assert set(finished.results["site"]) == {"St. Elsewhere", "Zürich <b>", "all"}
    assert finished.predictions.groupby("subject")["split"].nunique().max() == 1
    # nothing that names a patient, and no image of one, is written anywhere
    written = [p for p in (tmp_path / "mlruns").rglob("*") if p.is_file()]
    assert len(written) > 20
    for path in written:
        data = path.read_bytes()
        assert b"DOE^" not in data, path
        assert b"Doe_Jane" not in data, path
        assert str(hospital).encode() not in data, path
    report = (finished.folder / "report.html").read_text()
    assert '<img src="data:image/png' not in report
    assert "Zürich &lt;b&gt;" in report


def _nan_volume(folder: Path, tmp_path: Path) -> Path:
    image = nib.load(folder / "Doe_Jane_St0.nii.gz")
    data = image.get_fdata()
    data[5, 5, 1] = np.nan
    nib.save(nib.Nifti1Image(data, image.affine), tmp_path / "nan.nii.gz")
    return tmp_path / "nan.nii.gz"


def test_wrong_hospital_data_are_named(hospital: Path, tmp_path: Path, small: dict) -> None:
    def one_class(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(label=1)

    def two_splits(table: pd.DataFrame) -> pd.DataFrame:
        table = table.assign(split="test")
        table.loc[1, ["subject", "split"]] = [table.loc[0, "subject"], "train"]
        return table

    def nan_volume(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(path=[str(_nan_volume(hospital, tmp_path)), *table["path"][1:]])

    def no_label(table: pd.DataFrame) -> pd.DataFrame:
        return table.drop(columns="label")

    for change, message in (
        (
            one_class,
            r"manifest.csv: site 'St. Elsewhere', split train: split must hold cases with and without 'label'",
        ),
        (
            two_splits,
            r"manifest.csv: subject DOE\^JANE\^St0: a subject must lie in one split only, got \['test', 'train'\]",
        ),
        (nan_volume, r"nan.nii.gz: voxels: voxels must be finite, got '1 NaN"),
        (no_label, r"manifest.csv: label: manifest must have this column"),
    ):
        with pytest.raises(ScanproofError, match=message):
            run_hospital(hospital, tmp_path, small, change)


def test_finished_work_survives_a_wrong_volume(hospital: Path, tmp_path: Path, small: dict) -> None:
    """The second site's volume is broken: the first site's cohort stays, and is used after the repair."""

    def broken(table: pd.DataFrame) -> pd.DataFrame:
        nan = str(_nan_volume(hospital, tmp_path))
        return table.assign(path=[*table["path"][:-1], nan])

    with pytest.raises(ScanproofError, match="voxels must be finite"):
        run_hospital(hospital, tmp_path, small, broken)
    kept = list((tmp_path / "mlruns" / "store").glob("??/*/entry.json"))
    assert kept
    times = {path: path.stat().st_mtime_ns for path in kept}
    run_hospital(hospital, tmp_path, small)
    assert times == {path: path.stat().st_mtime_ns for path in kept}


def test_a_study_of_images_alone_needs_no_labels(hospital: Path, tmp_path: Path, small: dict) -> None:
    finished = run_hospital(
        hospital, tmp_path, {**small, "classification": []}, lambda table: table.drop(columns="label")
    )
    assert finished.predictions.empty
    assert set(finished.results["metric"]) == {"psnr", "ssim", "nrmse"}


def test_mlflow_holds_sites_chains_and_curves(finished: Path, output: Path) -> None:
    from scanproof.tracking.client import connect

    results = pd.read_parquet(output / TABLES[0])
    with connect(f"sqlite:///{finished}/mlruns/mlflow.db") as client:
        experiment = client.get_experiment_by_name("small")
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        names = {run.info.run_id: run.data.tags["mlflow.runName"] for run in runs}
        chains = [r for r in runs if "mlflow.parentRunId" in r.data.tags and r.data.tags.get("norm") == "layer"]
        sites = {names[run.data.tags["mlflow.parentRunId"]] for run in chains}
        assert {"north", "south"} <= sites
        chain = next(
            r
            for r in chains
            if names[r.data.tags["mlflow.parentRunId"]] == "north" and r.data.tags["reconstruction"] == "unet"
        )
        history = client.get_metric_history(chain.info.run_id, "complex_noise/auroc")
        assert [point.step for point in sorted(history, key=lambda p: p.step)] == [0, 2, 5]
        rows = results.query(
            "site == 'north' and reconstruction == 'unet' and norm == 'layer' and metric == 'auroc' and seed.isna()"
        )
        for point in history:
            shift = "none" if point.step == 0 else "complex_noise"
            row = rows[(rows["shift"] == shift) & (rows["severity"] == point.step)]
            assert point.value == pytest.approx(float(row["value"].iloc[0]))
        trainings = [r for r in runs if r.data.tags.get("scanproof.kind") == "training"]
        assert len(trainings) == 5
        assert all(r.info.status == "FINISHED" for r in trainings)
        curve = client.get_metric_history(
            next(r for r in trainings if "resnet18" in names[r.info.run_id]).info.run_id, "val_auroc"
        )
        assert len(curve) == 2


def test_a_study_logged_once_is_not_logged_again(finished: Path) -> None:
    from scanproof.tracking.client import connect

    def count() -> int:
        with connect(f"sqlite:///{finished}/mlruns/mlflow.db") as client:
            experiment = client.get_experiment_by_name("small")
            return len(client.search_runs([experiment.experiment_id], max_results=1000))

    before = count()
    process = scanproof("run", "small.yaml", cwd=finished)
    assert process.returncode == 0, process.stderr
    assert "nothing to compute" in process.stderr
    assert count() == before
