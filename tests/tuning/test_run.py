"""A whole search: preset, table, page, MLflow and command."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from privacy.search import found_in, found_in_text
from scanproof.cli import app
from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.reconstructors import ConvDecoder
from scanproof.study.load import load_study
from scanproof.tracking.client import connect
from scanproof.tracking.runs import KIND, find_runs
from scanproof.tuning.run import Effort, command, tune
from scanproof.tuning.scoring import score_slice
from scanproof.tuning.search import Request, read_samples
from scanproof.tuning.trials import FINISHED, State

from .conftest import SEARCHED, TINY


def test_preset_reads_back_as_the_best_trial(lab, finished) -> None:
    tuned = finished.tuned
    best = tuned.ranking.best
    method, expected = ConvDecoder(preset=tuned.preset), tuned.search.settings.build(best.options)
    assert method.options == expected.options
    assert method.output == expected.output
    given, wanted = method.network_options, expected.network_options
    assert {k: v if not isinstance(v, list) else tuple(v) for k, v in given.items()} == wanted
    # and gives the value that the search tells
    samples = read_samples(tuned.search, lab.store)
    scores = [score_slice(method, sample, quality="held_out").quality for sample in samples]
    assert sum(scores) / len(scores) == pytest.approx(best.values[0], rel=1e-6)


def test_preset_says_where_it_comes_from(finished) -> None:
    tuned = finished.tuned
    head = [line for line in tuned.preset.read_text().splitlines() if line.startswith("#")]
    assert head[1] == f"# {tuned.command}"
    assert tuned.search.identity in head[2]
    assert f"trial {tuned.ranking.best.number}, the best of 14" in head[2]
    assert head[-1] == "# Subjects: north: north-val-000, north-val-001, north-val-002."


def test_a_study_file_reads_the_preset(finished, lab, tmp_path: Path) -> None:
    content = yaml.safe_load(lab.file.read_text())
    (tmp_path / "best.yaml").write_bytes(finished.tuned.preset.read_bytes())
    content["reconstruction"] = [{"name": "conv_decoder", "options": {"preset": "best.yaml"}}]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    (plan,) = load_study(tmp_path / "study.yaml").reconstruction
    assert plan.options["channels"] == 4


def test_same_search_gives_the_same_preset(finished, lab, tmp_path: Path) -> None:
    tuned = tune(
        lab.study, lab.request(), Effort(trials=14, storage=str(tmp_path / "trials.journal")),
        root=lab.root, output=tmp_path, study_file="small.yaml",
    )  # fmt: skip
    assert tuned.preset.read_bytes() == finished.tuned.preset.read_bytes()
    assert tuned.importances == finished.tuned.importances


def test_table_holds_every_trial(finished) -> None:
    table = pd.read_csv(finished.tuned.table, keep_default_na=False)
    assert list(table["trial"]) == list(range(14))
    for row, record in zip(table.to_dict("records"), finished.tuned.records, strict=True):
        assert row["state"] == record.state
        assert row["slices"] == len(record.scores)
        assert float(row["learning_rate"]) == record.options["learning_rate"]
        assert row["norm"] == record.options["norm"]
        if record.state is State.COMPLETE:
            assert math.isclose(float(row["held_out"]), record.values[0])
        else:
            assert row["reason"]


def test_progress_is_told(finished) -> None:
    said = finished.said
    assert "14 trials, each on 3 slices of 3 validation subjects; searching 4 options" in said
    assert sum(text.startswith("trial ") for text in said) >= 14
    assert any("pruned: worse than the median" in text for text in said)


def test_mlflow_holds_the_search_and_its_trials(finished) -> None:
    tuned = finished.tuned
    with connect(finished.uri) as client:
        experiment = client.get_experiment_by_name("small-tuning")
        (parent,) = find_runs(client, experiment.experiment_id, {KIND: "search"})
        children = find_runs(client, experiment.experiment_id, {KIND: "trial"})
        files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"preset.yaml", "trials.csv", "report.html"}
    assert parent.info.status == "FINISHED"
    assert parent.data.params["method"] == "conv_decoder"
    assert parent.data.params["not_searched.iterations"] == "20"
    assert parent.data.metrics["best_held_out"] == tuned.ranking.best.values[0]
    assert parent.data.tags["best/norm"] == tuned.ranking.best.options["norm"]
    shares = {key: value for key, value in parent.data.metrics.items() if key.startswith("importance/")}
    assert shares == {f"importance/{name}": share for name, share in tuned.importances.items()}
    assert set(tuned.importances) == set(SEARCHED)
    by_number = {int(run.data.tags["scanproof.trial"]): run for run in children}
    for record in tuned.records:
        run = by_number[record.number]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["state"] == record.state
        assert run.data.params["loss"] == record.options["loss"]
        assert run.data.metrics.get("held_out") == (record.values[0] if record.values else None)


def test_going_on_adds_to_what_is_logged(finished) -> None:
    before = finished.tuned
    tuned = finished.again(trials=16)
    assert tuned.records[:14] == before.records
    assert "16 trials, 14 of them finished, each on 3 slices" in finished.said[-5]
    with connect(finished.uri) as client:
        experiment = client.get_experiment_by_name("small-tuning")
        assert len(find_runs(client, experiment.experiment_id, {KIND: "search"})) == 1
        children = find_runs(client, experiment.experiment_id, {KIND: "trial"})
    assert sorted(int(run.data.tags["scanproof.trial"]) for run in children) == list(range(16))


def test_several_workers(lab, tmp_path: Path) -> None:
    told = []
    tuned = tune(
        lab.study, lab.request(slices=1), Effort(trials=4, workers=2, storage=str(tmp_path / "trials.journal")),
        root=lab.root, output=tmp_path, on_trial=lambda search, record: told.append(record.number),
    )  # fmt: skip
    done = [record.number for record in tuned.records if record.state in FINISHED]
    assert len(done) == 4
    assert sorted(told) == done


def run(*arguments: object):
    return CliRunner().invoke(app, ["tune", *map(str, arguments)])


def test_command(lab, tmp_path: Path) -> None:
    options = [part for text in TINY for part in ("--set", text)]
    result = run(
        lab.file, "-m", "conv_decoder", "-n", 2, "--slices", 1, "--objective", "nrmse", "--objective", "seconds",
        "--only", "norm", *options, "--root", lab.root, "--no-tracking", "-o", tmp_path, "--storage",
        f"sqlite:///{tmp_path}/trials.db",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Best settings of conv_decoder: trial" in result.output
    assert str(tmp_path / "preset.yaml") in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"preset.yaml", "report.html", "trials.csv", "trials.db"}
    assert "trials.db" not in (tmp_path / "report.html").read_text() + (tmp_path / "preset.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-m", "unet"], "--method: method must be an un-trained network, got 'unet'"),
        (["-m", "conv_decoder", "--objective", "vif"], "--objective: unknown objective, got 'vif'"),
        (["-m", "conv_decoder", "--seconds", "0"], "--seconds: must be positive, got 0.0"),
        (["-m", "conv_decoder", "--timeout", "0"], "--timeout: must be positive, got 0.0"),
        (["-m", "conv_decoder", "--preset", "best"], "unknown preset, got 'best'.*known: a path that ends in .yaml"),
    ],
)
def test_wrong_commands(lab, options: list[str], text: str) -> None:
    result = run(lab.file, *options, "--root", lab.root, "--no-tracking")
    with pytest.raises(ScanproofError, match=text):
        raise result.exception


def test_no_trial_starts_after_the_timeout(lab, tmp_path: Path) -> None:
    effort = Effort(trials=5, timeout=1e-9, storage=str(tmp_path / "trials.journal"))
    with pytest.raises(ScanproofError, match=r"at least one trial must give a result.*none has finished"):
        tune(lab.study, lab.request(), effort, root=lab.root, output=tmp_path)


def test_recorded_command_repeats_the_search_without_its_secrets() -> None:
    request = Request(
        method="deep_decoder", objectives=("ssim", "seconds"), slices=2, seconds=9.5, preset="a b.yaml",
        fixed=("input_size=[8, 4]",), only=("norm",),
    )  # fmt: skip
    text = command("study.yaml", request, Effort(trials=3, seed=4, workers=2, storage="mysql://me:hunter2@host/db"))
    assert text == (
        "scanproof tune study.yaml --method deep_decoder --trials 3 --objective ssim --objective seconds --slices 2 "
        "--seconds 9.5 --preset 'a b.yaml' --set 'input_size=[8, 4]' --only norm --seed 4 --workers 2"
    )


def test_the_password_of_a_storage_is_in_nothing_that_is_written_or_said(lab, tmp_path: Path) -> None:
    canary, said = "CNRY41d0c3", []
    # SQLite takes no password, and ignores what it does not know
    storage = f"sqlite:///file:{tmp_path}/trials.db?uri=true&password={canary}"
    tuned = tune(
        lab.study, lab.request(), Effort(trials=2, storage=storage), root=lab.root, output=tmp_path / "out",
        study_file="small.yaml", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", on_stage=said.append,
    )  # fmt: skip
    assert (tmp_path / "trials.db").exists()
    assert tuned.page.exists()
    assert found_in(tmp_path, [canary]) == []
    assert found_in_text("\n".join([*said, tuned.command]), [canary]) == []
