"""One trained network in every form that a site may bring, in a study."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from scanproof.classification.external import ExternalClassifier, dry_run
from scanproof.classification.preparation import Preparation
from scanproof.cli import app
from scanproof.errors import ScanproofError
from scanproof.study.definition import Study
from scanproof.study.dry_run import phantoms, try_models
from scanproof.study.load import load_study
from scanproof.study.model_source import ModelSource
from scanproof.study.run import Finished, Workspace, public_definition, run_study
from scanproof.study.saved_classifier import load_classifier
from scanproof.study.trained import save_trained
from scanproof.tracking.uri import default_tracking_uri

TINY = {
    "name": "tiny",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "subjects": {"train": 6, "val": 5, "test": 4},
        "slices": 3,
        "matrix": [32, 32],
    },
    "reconstruction": [{"name": "fully_sampled"}],
    "classification": [
        {
            "name": "theirs",
            "network": "resnet18",
            "norms": ["batch"],
            "options": {"width": 0.0625},
            "training": {"epochs": 1, "batch_size": 8},
        }
    ],
    "evaluation": {"resamples": 100},
}
NETWORK = {
    "_target_": "monai.networks.nets.ResNet",
    "block": "basic",
    "layers": [2, 2, 2, 2],
    "block_inplanes": [64, 128, 256, 512],
    "conv1_t_stride": 2,
    "spatial_dims": 2,
    "n_input_channels": 1,
    "num_classes": 1,
    "widen_factor": 0.0625,
}


class Site:
    """A finished study, and its network in a folder of forms."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.first = self.run(self.load(TINY["classification"][0]), root / "first")
        study = self.load(TINY["classification"][0])
        saved = save_trained(study, Workspace(root=root / "first"), root / "saved")
        self.network = load_classifier(saved["theirs-batch-1"])

    def load(self, entry: dict, *trusted: str) -> Study:
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / "study.yaml"
        path.write_text(yaml.safe_dump({**TINY, "classification": [{"name": "theirs", **entry}]}))
        return load_study(
            path,
            models=ModelSource(
                root=self.root, tracking_uri=default_tracking_uri(self.root), trusted=frozenset(trusted)
            ),
        )

    def run(self, study: Study, root: Path) -> Finished:
        return run_study(study, Workspace(root=root), workers=1, tracking_uri=None, command="test")


def exported(site: Site, path: Path) -> str:
    count = torch.export.Dim("count", min=1)
    program = torch.export.export(site.network, (torch.zeros(2, 1, 32, 32),), dynamic_shapes=({0: count},))
    torch.export.save(program, path.with_suffix(".pt2"))
    return path.with_suffix(".pt2").name


def scripted(site: Site, path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(site.network, torch.zeros(2, 1, 32, 32)).save(str(path.with_suffix(".ts")))
    return path.with_suffix(".ts").name


def weights(site: Site, path: Path) -> str:
    torch.save(site.network.state_dict(), path.with_suffix(".pt"))
    return path.with_suffix(".pt").name


def safetensors(site: Site, path: Path) -> str:
    save_file(site.network.state_dict(), path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors").name


def bundle(site: Site, path: Path) -> str:
    (path / "configs").mkdir(parents=True)
    (path / "models").mkdir()
    (path / "configs" / "metadata.json").write_text(json.dumps({"version": "0.1.0", "monai_version": "1.6.0"}))
    config = {"channels": "$1 + 0", "network_def": {**NETWORK, "n_input_channels": "@channels"}}
    (path / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save(site.network.state_dict(), path / "models" / "model.pt")
    return path.name


def bundle_archive(site: Site, path: Path) -> str:
    name = bundle(site, path)
    shutil.make_archive(str(path), "zip", root_dir=path.parent, base_dir=name)
    return f"{name}.zip"


FORMS: dict[str, Callable[[Site, Path], str]] = {
    "torch_export": exported,
    "torchscript": scripted,
    "state_dict": weights,
    "safetensors": safetensors,
    "monai_bundle": bundle,
    "monai_bundle in an archive": bundle_archive,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def entry(site: Site, request: pytest.FixtureRequest) -> dict:
    form = request.param
    place = site.root / form.replace(" ", "_")
    if not list(site.root.glob(f"{place.name}*")):
        FORMS[form](site, place)
    found = next(one for one in sorted(site.root.glob(f"{place.name}.*")) or [place])
    alone = {"network_def": NETWORK} if form in ("state_dict", "safetensors") else {}
    return {"model": found.name, "labels": ["lesion"], **alone}


def auroc(finished: Finished) -> pd.DataFrame:
    rows = finished.results[(finished.results["metric"] == "auroc") & finished.results["seed"].isna()]
    return rows.reset_index(drop=True)[["site", "shift", "value"]]


@pytest.mark.parametrize("entry", list(FORMS), indirect=True)
def test_every_form_reads_as_the_study_that_trained_it(site: Site, entry: dict, tmp_path: Path) -> None:
    study = site.load(entry, "theirs")
    (plan,) = study.classification
    assert plan.norms == ["batch"]  # found by looking at the network
    finished = site.run(study, tmp_path)
    pd.testing.assert_frame_equal(auroc(finished), auroc(site.first), check_exact=True)
    assert finished.predictions["seed"].isna().all()
    ours, theirs = (one.predictions["probability"].to_numpy() for one in (site.first, finished))
    assert np.abs(ours - theirs).max() < 1e-6
    lock = yaml.safe_load((finished.folder / "study.lock.yaml").read_text())
    assert lock["model_sha256"]["load theirs, model"] == plan.external.sha256
    trusted = {} if entry.get("network_def") else {"theirs": plan.external.sha256}
    assert lock.get("trusted_sha256", {}) == trusted
    report = (finished.folder / "report.html").read_text()
    assert "theirs was trained by others" in report
    assert ("and was trusted" in report) == bool(trusted)
    definition = public_definition(study)["classification"][0]
    assert "model" not in definition
    assert definition["model_sha256"] == {"model": plan.external.sha256}
    # a definition that was written out loads again
    assert (
        site.load({**definition, "model": entry["model"]}, "theirs").classification[0].model_dump() == plan.model_dump()
    )


@pytest.mark.parametrize("entry", [form for form in FORMS if form not in ("state_dict", "safetensors")], indirect=True)
def test_what_executes_code_is_refused_unless_it_is_named(site: Site, entry: dict) -> None:
    with pytest.raises(ScanproofError, match=r"must be trusted to be opened.*--trust theirs \(sha256 [0-9a-f]{64}"):
        site.load(entry)
    with pytest.raises(ScanproofError, match="must be trusted"):
        site.load(entry, "another")
    sha256 = site.load(entry, "theirs").classification[0].external.sha256
    for name in (sha256, entry["model"], str(site.root / entry["model"])):
        assert site.load(entry, name).classification[0].external.sha256 == sha256


def test_a_bundle_that_would_do_harm_is_refused_unread(site: Site, tmp_path: Path) -> None:
    marker, folder = tmp_path / "executed", tmp_path / "bundle"
    bundle(site, folder)
    config = {"network_def": f"$__import__('pathlib').Path({str(marker)!r}).touch()"}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    entry = {"model": str(folder), "labels": ["lesion"], "norms": ["batch"]}
    with pytest.raises(ScanproofError, match="configuration of a MONAI Bundle is a program"):
        site.load(entry)
    assert not marker.exists()
    study = site.load(entry, "theirs")
    with pytest.raises(ScanproofError, match="model of format monai_bundle must open"):
        try_models(study)
    assert marker.exists()  # that it would have been


def test_models_of_mlflow(site: Site, tmp_path: Path) -> None:
    from scanproof.tracking.client import connect, import_mlflow

    import_mlflow()
    import mlflow.pytorch

    uri = default_tracking_uri(site.root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(
            site.network, str(tmp_path / "model"), serialization_format="pickle", pip_requirements=["torch"]
        )
    with connect(uri) as client:
        client.create_registered_model("theirs")
        client.create_model_version("theirs", source=(tmp_path / "model").as_uri())
    entry = {"model": "models:/theirs/1", "labels": ["lesion"]}
    with pytest.raises(ScanproofError, match="MLflow unpickles models of other kinds than scanproof"):
        site.load(entry)
    study = site.load(entry, "models:/theirs/1")
    assert study.classification[0].format == "mlflow"
    assert public_definition(study)["classification"][0]["model"] == "models:/theirs/1"
    finished = site.run(study, tmp_path)
    pd.testing.assert_frame_equal(auroc(finished), auroc(site.first), check_exact=True)


@pytest.mark.parametrize("entry", ["safetensors"], indirect=True)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, "labels: must name the outputs of the model"),
        ({"network_def": None}, "network_def: must name the network of the weights"),
        ({"network_def": {**NETWORK, "widen_factor": 0.125}, "norms": None}, "weights must fit the network ResNet"),
        ({"network_def": {**NETWORK, "width": 8}, "norms": None}, "model of format safetensors must open"),
        ({"norms": ["batch", "layer"]}, "norms: must be the one normalization that the model has"),
        ({"norms": ["batch_site"]}, "norms: must be the one normalization that the model has"),
        ({"seeds": [2]}, "seeds: must not stand beside the model of somebody else"),
        ({"training": {"epochs": 1}}, "training: must not stand beside the model of somebody else"),
        ({"model_sha256": {"model": "0"}}, "model_sha256: must be left out, or be that of the model"),
        ({"preprocessing": ["zero_mean"]}, "unknown preprocessing, got 'zero_mean'"),
    ],
)
def test_wrong_entries(site: Site, entry: dict, change: dict, message: str) -> None:
    content = {key: value for key, value in {**entry, **change}.items() if value is not None}
    with pytest.raises(ScanproofError, match=message):
        try_models(site.load(content))


@pytest.mark.parametrize("entry", ["safetensors"], indirect=True)
def test_a_model_that_does_not_fit_stops_the_run_before_anything_is_computed(
    site: Site, entry: dict, tmp_path: Path
) -> None:
    study = site.load({**entry, "labels": ["none", "lesion"]})
    expected = r"theirs\): model must give an output for each of its labels, shape \(4, 2\), got \(4, 1\)"
    with pytest.raises(ScanproofError, match=expected):
        site.run(study, tmp_path)
    assert not list((tmp_path / "store").rglob("entry.json"))


@pytest.mark.parametrize("entry", ["safetensors"], indirect=True)
def test_the_command_says_what_it_tried(site: Site, entry: dict) -> None:
    site.load(entry)
    arguments = ["plan", str(site.root / "study.yaml"), "--dry-run", "--root", str(site.root / "empty")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "theirs: safetensors, norm batch, sha256" in result.stdout
    assert "load classifier" in result.stdout


def reader(network: Callable, **options: object) -> ExternalClassifier:
    return ExternalClassifier(name="theirs", network=network, **options)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (lambda x: x.mean((2, 3)) * float("nan"), {}, "model must give finite outputs"),
        (lambda x: x.mean((2, 3)).expand(-1, 3), {}, r"shape \(4, 1\), got \(4, 3\)"),
        (lambda x: (x.mean((2, 3)), x), {}, "model must give a tensor, got 'tuple'"),
        (lambda x: x.mean((2, 3)) + 5, {"output": "probabilities"}, r"must be in \[0, 1\].*say output: logits"),
        (
            lambda x: torch.full((len(x), 2), 0.4),
            {"output": "probabilities", "outputs": 2, "exclusive": True},
            "must sum to one, got 0.8",
        ),
        (lambda x: x.mean((2, 3)) + torch.rand(1), {}, "must say the same of the same images twice"),
        (nn.Sequential(nn.BatchNorm2d(1), nn.MaxPool2d(32), nn.Flatten()).train(), {}, "must say"),
        (lambda x: x - x.mean(), {}, "an output for each of its labels"),
        (lambda x: x.amax((2, 3)) - x.std(), {}, "of a case alone what it says of it among others"),
        (lambda x: x.amax((2, 3)), {}, None),
        (lambda x: x.amax((1, 2, 3)), {}, None),
        (nn.Linear(7, 1), {}, r"model must read images of shape \(4, 1, 32, 32\)"),
    ],
)
def test_dry_run(network: Callable, options: dict, message: str | None) -> None:
    images = phantoms((32, 32))
    if message is None:
        dry_run(reader(network, **options), images)
        return
    with pytest.raises(ScanproofError, match=message):
        dry_run(reader(network, **options), images)


def test_batch_statistics_in_use_are_found() -> None:
    network = nn.Sequential(
        nn.BatchNorm2d(1, track_running_stats=False), nn.AvgPool2d(8), nn.MaxPool2d(4), nn.Flatten()
    )
    raw = Preparation(steps=["none"])
    with pytest.raises(ScanproofError, match=r"of a case alone .*batch normalization may be in training mode"):
        dry_run(reader(network.eval(), preparation=raw), phantoms((32, 32)))


def test_preparation_against_monai_and_numpy() -> None:
    from monai.transforms import NormalizeIntensity, Resize

    images = np.random.default_rng(1).random((2, 1, 20, 16), np.float32) * 9
    ours = Preparation()(images).numpy()
    assert np.allclose(ours, [(one - one.mean()) / one.std(ddof=1) for one in images], atol=1e-5)
    named = Preparation(steps=[{"_target_": "monai.transforms.NormalizeIntensity"}], spatial_size=(8, 8))(images)
    size = Resize((8, 8), mode="bilinear", anti_aliasing=True)
    assert np.allclose(named.numpy(), [NormalizeIntensity()(size(one)).numpy() for one in images], atol=1e-6)
    shares = Preparation(steps=["percentiles"], spatial_size=(24, 24), fit="pad", channels=3)(images[:, :, :, :])
    assert shares.shape == (2, 3, 24, 24)
    assert (float(shares.min()), float(shares.max())) == (0, 1)


@pytest.mark.parametrize(
    "step",
    [
        {"_target_": "monai.transforms.Lambda", "func": "$lambda x: x"},
        {"_target_": "monai.transforms.Lambda"},
        {"_target_": "monai.transforms.SaveImage"},
        {"_target_": "monai.transforms.RandGaussianNoise"},
        {"_target_": "monai.transforms.intensity.array.os"},
        {"_target_": "os.system", "command": "echo"},
        {"_target_": "monai.transforms.ScaleIntensity", "maxvv": 1},
    ],
)
def test_preparation_computes_and_nothing_else(step: dict) -> None:
    with pytest.raises(ScanproofError, match=r"preprocessing\[0\]"):
        Preparation(steps=[step])
