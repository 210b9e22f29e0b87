"""From a training to MLflow's registry and back into another study, on a real database."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from scanproof.cli import app
from scanproof.errors import ScanproofError
from scanproof.study.definition import Study
from scanproof.study.load import load_study
from scanproof.study.model_description import read_description
from scanproof.study.model_notes import model_notes, model_warnings
from scanproof.study.model_source import ModelSource
from scanproof.study.register import register_reconstruction
from scanproof.study.run import Finished, Workspace, plan_study, run_study
from scanproof.study.saved_model import load_reconstructor
from scanproof.tracking.client import connect
from scanproof.tracking.registry import Version
from scanproof.tracking.runs import KIND, find_runs
from scanproof.tracking.uri import default_tracking_uri

TINY = {
    "name": "tiny",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north", "south"],
        "subjects": {"train": 3, "val": 2, "test": 2},
        "slices": 2,
        "matrix": [48, 40],
    },
    "acquisition": {"accelerations": [2]},
    "shifts": [{"name": "ghosting", "severities": [3]}],
    "reconstruction": [
        {"name": "zero_filled"},
        {"name": "unet", "options": {"features": [4, 4, 4, 4, 4, 4], "epochs": 1}},
        {"name": "ttt", "method": "unet_ttt", "weights_from": "unet", "options": {"adaptation_steps": 1}},
        {
            "name": "unrolled",
            "method": "proximal_gradient",
            "options": {"features": 4, "unrolls": 2, "epochs": 1, "training": "greedy"},
            "training_seed": 3,
        },
    ],
    "evaluation": {"resamples": 100},
}


@dataclass
class Lab:
    """A place where studies run, and the registry that they share."""

    root: Path
    uri: str
    done: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return Workspace(root=self.root)

    def load(self, **changes: object) -> Study:
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / "study.yaml"
        path.write_text(yaml.safe_dump({**TINY, **changes}))
        return load_study(path, models=ModelSource(root=self.root, tracking_uri=self.uri))

    def run(self, study: Study, *, workers: int = 1, tracking_uri: str | None = None) -> Finished:
        self.done.clear()
        return run_study(
            study,
            self.workspace,
            workers=workers,
            tracking_uri=tracking_uri,
            command="test",
            on_done=lambda task: self.done.append(task.kind),
        )

    def register(self, reconstruction: str, study: Study | None = None, **options: object) -> tuple[Version, bool]:
        found = register_reconstruction(study or self.load(), self.workspace, reconstruction, uri=self.uri, **options)
        return found.version, found.new


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The small study has run with tracking, and its networks are registered."""
    root = tmp_path_factory.mktemp("lab") / "mlruns"
    lab = Lab(root, default_tracking_uri(root))
    lab.run(lab.load(), tracking_uri=lab.uri)
    assert lab.register("unet")[0].uri == "models:/tiny-unet/1"
    assert lab.register("unrolled", name="gleam", folder=root / "saved")[0].uri == "models:/gleam/1"
    return lab


LOADED = [
    TINY["reconstruction"][0],
    {"name": "unet", "model": "models:/tiny-unet/1"},
    TINY["reconstruction"][2],
    {"name": "unrolled", "model": "models:/gleam/1"},
]


def files(lab: Lab) -> list[bytes]:
    folder = lab.root / "studies" / "tiny"
    return [(folder / name).read_bytes() for name in ("results.parquet", "predictions.parquet")]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_loaded_network_gives_the_same_bits_and_trains_nothing(lab: Lab, tmp_path: Path, workers: int) -> None:
    other = Lab(tmp_path / "mlruns", lab.uri)
    study = other.load(reconstruction=LOADED)
    other.run(study, workers=workers)
    assert sorted(set(other.done)) == ["cohort", "evaluate", "load_reconstruction", "reconstruct"]
    assert other.done.count("load_reconstruction") == 2
    assert files(other) == files(lab)
    first, second = (plan_study(*of) for of in ((lab.load(), lab.workspace), (study, other.workspace)))
    for here, there in zip(first.reconstructions, second.reconstructions, strict=True):
        images = [place.workspace.store.get(task.key).arrays["images"] for place, task in ((lab, here), (other, there))]
        assert np.array_equal(*images)
    lock = yaml.safe_load((tmp_path / "mlruns" / "studies" / "tiny" / "study.lock.yaml").read_text())
    plan = lock["definition"]["reconstruction"][3]
    assert (plan["model"], plan["method"]) == ("models:/gleam/1", "proximal_gradient")
    assert plan["options"] == TINY["reconstruction"][3]["options"]
    assert plan["model_sha256"] == lock["model_sha256"]["load unrolled"]
    assert plan["model_sha256"] == read_description(lab.root / "saved").model_sha256
    report = (tmp_path / "mlruns" / "studies" / "tiny" / "report.html").read_text()
    assert "unrolled was not trained in this study: it is models:/gleam/1" in report
    # a definition that was written out is a study, too
    assert other.load(**lock["definition"]).model_dump() == study.model_dump()


def test_the_registry_tells_where_a_network_comes_from(lab: Lab) -> None:
    with connect(lab.uri) as client:
        version = client.get_model_version("gleam", "1")
        experiment = client.get_experiment_by_name("tiny").experiment_id
        runs = find_runs(client, experiment, {KIND: "training"})
        (run,) = [run for run in runs if run.info.run_id == version.run_id]
        (logged,) = client.search_logged_models([experiment], filter_string="name = 'gleam'")
        (own,) = client.search_logged_models([experiment], filter_string="name = 'tiny-unrolled'")
        outputs = client.get_run(run.info.run_id).outputs.model_outputs
        # the run has registered it by itself, and the command under another name
        assert {output.model_id for output in outputs} == {logged.model_id, own.model_id}
        assert (
            client.get_model_version_by_alias("tiny-unrolled", "R2").tags["model_sha256"]
            == version.tags["model_sha256"]
        )
    lock = yaml.safe_load((lab.root / "studies" / "tiny" / "study.lock.yaml").read_text())
    tags = version.tags
    assert tags["model_sha256"] == run.data.tags["model_sha256"]
    assert tags["model_sha256"] in lock["model_sha256"].values()
    assert tags["data_sha256.north"] == lock["data_sha256"]["north"]
    assert "data_sha256.south" not in tags  # it was tested on alone
    assert (tags["method"], tags["acceleration"], tags["training_seed"]) == ("proximal_gradient", "2", "3")
    assert (tags["study"], tags["study_sha256"]) == ("tiny", lock["study_sha256"])
    assert tags["code_version"] == lock["code_version"]
    assert "trained in study tiny at north for R = 2" in version.description
    assert len(runs) == 2  # registering has tracked nothing twice


def test_the_same_network_is_registered_once(lab: Lab) -> None:
    assert lab.register("unet") == (lab.register("unet")[0], False)
    version, new = lab.register("ttt", name="tiny-unet")  # the same weights, but another method
    assert (version.uri, new) == ("models:/tiny-unet/2", True)


def test_an_alias_becomes_the_version_it_stands_for(lab: Lab) -> None:
    with connect(lab.uri) as client:
        client.set_registered_model_alias("gleam", "best", "1")
    study = lab.load(reconstruction=[{"name": "mine", "model": "models:/gleam@best"}])
    assert study.reconstruction[0].model == "models:/gleam/1"


def test_a_folder_serves_as_well_as_the_registry(lab: Lab) -> None:
    described = read_description(lab.root / "saved")
    assert type(load_reconstructor(lab.root / "saved")).__name__ == "ProximalGradient"
    study = lab.load(reconstruction=[{"name": "mine", "model": "saved"}])
    assert study.reconstruction[0].model_sha256 == described.model_sha256
    registered = lab.load(reconstruction=[{"name": "mine", "model": "models:/gleam/1"}])
    tasks = [[task.key for task in plan_study(one, lab.workspace).tasks] for one in (study, registered)]
    assert tasks[0] == tasks[1]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "models:/gleem/1",
            r"unknown registered model, got 'gleem' \(did you mean 'gleam'\? known: gleam, tiny-unet, tiny-unrolled\)",
        ),
        ("models:/gleam/7", r"unknown version of registered model 'gleam', got '7' \(known: 1\)"),
        ("models:/gleam/latest", r"unknown version of registered model 'gleam', got 'latest'"),
        ("models:/gleam@worst", r"unknown alias of registered model 'gleam', got 'worst'"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(lab: Lab, model: str, message: str) -> None:
    with pytest.raises(ScanproofError, match=r"study.yaml: reconstruction\[0\].model: " + message):
        lab.load(reconstruction=[{"name": "mine", "model": model}])


def test_no_registry_is_made_by_asking(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "mlruns", default_tracking_uri(tmp_path / "mlruns"))
    with pytest.raises(ScanproofError, match="tracking database with the model must exist"):
        lab.load(reconstruction=[{"name": "mine", "model": "models:/gleam/1"}])
    assert [path.name for path in lab.root.iterdir()] == ["study.yaml"]


class Harmful:
    """Leaves a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_a_registered_pickle_is_refused_and_never_executed(lab: Lab, tmp_path: Path) -> None:
    """A model as MLflow itself stores Python functions."""
    folder, marker = tmp_path / "function", tmp_path / "executed"
    folder.mkdir()
    (folder / "MLmodel").write_text(
        yaml.safe_dump({"flavors": {"python_function": {"model_path": "python_model.pkl"}}})
    )
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Harmful(marker)))
    with connect(lab.uri) as client:
        client.create_registered_model("function")
        client.create_model_version("function", source=folder.as_uri())
    with pytest.raises(
        ScanproofError, match=r"must be trusted to be opened, because that executes code.*MLflow unpickles"
    ):
        lab.load(reconstruction=[{"name": "mine", "model": "models:/function/1"}])
    assert not marker.exists()


def test_weights_altered_after_planning_stop_the_run(lab: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path / "mlruns", lab.uri)
    other.root.mkdir()
    folder = other.root / "saved"
    folder.mkdir()
    for file in (lab.root / "saved").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    study = other.load(reconstruction=[{"name": "mine", "model": "saved"}])
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[:-1])
    with pytest.raises(ScanproofError, match=r"weights.safetensors: weights must be as they were saved"):
        other.run(study)


def test_what_a_network_was_not_trained_for_is_said(lab: Lab) -> None:
    plan = [{"name": "mine", "model": "models:/gleam/1"}]
    same = lab.load(reconstruction=plan)
    assert model_warnings(same) == []
    assert "trained in study tiny at north for R = 2 with equispaced lines." in model_notes(same)[0]
    other = lab.load(reconstruction=plan, acquisition={"mask": "random", "accelerations": [2, 4]})
    differs = "It is tested on what it was not trained for: R = 4, not 2; random lines, not equispaced."
    assert model_warnings(other) == [f"mine: {differs}"]
    assert model_notes(other)[0].endswith(differs)


@pytest.mark.parametrize(
    ("reconstruction", "options", "message"),
    [
        ("unett", {}, r"unknown reconstruction of study tiny, got 'unett' \(did you mean 'unet'"),
        ("zero_filled", {}, "zero_filled: reconstruction must be one that is trained"),
        ("unet", {"acceleration": 4.0}, "--acceleration: must be an acceleration of the study: 2, got 4.0"),
        ("unet", {"name": "a/b"}, "--as: name of a model must start with a letter or digit"),
    ],
)
def test_what_cannot_be_registered(lab: Lab, reconstruction: str, options: dict, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        lab.register(reconstruction, **options)


def test_one_of_several_accelerations_must_be_chosen(lab: Lab) -> None:
    study = lab.load(acquisition={"accelerations": [2, 4]})
    with pytest.raises(ScanproofError, match="--acceleration: must be an acceleration of the study: 2, 4, got None"):
        lab.register("unet", study)
    version, new = lab.register("unet", study, acceleration=2.0)
    assert (version.uri, new) == ("models:/tiny-unet/1", False)
    with pytest.raises(
        ScanproofError, match=r"unet: training must be finished, got 'not trained yet' \(run: scanproof"
    ):
        lab.register("unet", study, acceleration=4.0)


def test_a_loaded_network_is_not_registered_again(lab: Lab) -> None:
    study = lab.load(reconstruction=[{"name": "mine", "model": "models:/gleam/1"}])
    with pytest.raises(ScanproofError, match="mine: reconstruction must be trained in the study"):
        lab.register("mine", study)


def test_the_command(lab: Lab) -> None:
    def scanproof(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--root", str(lab.root)])

    lab.load()
    file = str(lab.root / "study.yaml")
    result = scanproof("register", file, "unrolled", "--as", "gleam")
    assert (result.exit_code, result.stdout) == (0, "models:/gleam/1\n")
    assert "the same network is version 1 of gleam already; nothing was added" in result.stderr
    lab.load(reconstruction=[{"name": "mine", "model": "models:/gleam/1"}], acquisition={"accelerations": [4]})
    result = scanproof("plan", file)
    assert "load reconstruction │   1" in result.stdout
    assert "scanproof: warning: mine: It is tested on what it was not trained for: R = 4, not 2." in result.stderr
    lab.load(seed=8)
    result = scanproof("register", file, "unet")
    assert f"(run: scanproof run {file} --root {lab.root})" in str(result.exception)
