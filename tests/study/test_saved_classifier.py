"""Saved classifiers: from a finished study into folders and the registry, and back into other studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from scanproof.cli import app
from scanproof.errors import ScanproofError
from scanproof.study.classifier_description import read_classifier_description
from scanproof.study.definition import Study
from scanproof.study.load import load_study
from scanproof.study.model_description import read_description
from scanproof.study.model_files import LAYERS, WEIGHTS
from scanproof.study.model_source import ModelSource
from scanproof.study.plan import make_plan
from scanproof.study.register import register_network
from scanproof.study.run import Finished, Workspace, definition_hash, public_definition, run_study
from scanproof.study.saved_classifier import load_classifier
from scanproof.study.trained import save_trained
from scanproof.tracking.client import connect
from scanproof.tracking.uri import default_tracking_uri

NORMS = ["batch", "layer", "batch_condition"]
TINY = {
    "name": "tiny",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north", "south"],
        "subjects": {"train": 6, "val": 5, "test": 4},
        "slices": 3,
        "matrix": [32, 32],
    },
    "shifts": [{"name": "complex_noise", "severities": [3]}],
    "reconstruction": [{"name": "fully_sampled"}],
    "classification": [
        {
            "name": "reader",
            "network": "resnet18",
            "norms": NORMS,
            "seeds": [1, 2],
            "options": {"width": 0.0625},
            "training": {"epochs": 1, "batch_size": 8},
        }
    ],
    "evaluation": {"resamples": 100},
}
LOADED = {"name": "reader", "model": "models/reader-{norm}-{seed}", "norms": NORMS, "seeds": [1, 2]}


class Lab:
    """A finished study, the folders that its networks were written into, and the registry that has one of them."""

    def __init__(self, root: Path) -> None:
        self.root, self.uri = root, default_tracking_uri(root)
        self.trained = self.load(TINY)
        self.first = self.run(self.trained, root)
        self.folders = save_trained(self.trained, Workspace(root=root), root / "models")

    def load(self, content: dict) -> Study:
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / "study.yaml"
        path.write_text(yaml.safe_dump(content))
        return load_study(path, models=ModelSource(root=self.root, tracking_uri=self.uri))

    def reading(self, **plan: object) -> Study:
        return self.load({**TINY, "classification": [{"name": "reader", **plan}]})

    def run(self, study: Study, root: Path) -> Finished:
        self.done: list[str] = []
        return run_study(
            study,
            Workspace(root=root),
            workers=1,
            tracking_uri=None,
            command="test",
            on_done=lambda task: self.done.append(task.kind),
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab") / "mlruns")


def test_every_training_is_written_once(lab: Lab) -> None:
    assert sorted(lab.folders) == ["reader-batch-1", "reader-batch-2", "reader-layer-1", "reader-layer-2"]
    for name, folder in lab.folders.items():
        assert sorted(path.name for path in folder.iterdir()) == ["MLmodel", LAYERS, WEIGHTS]
        described = read_classifier_description(folder)
        assert name == f"reader-{described.norm}-{described.training_seed}"
        assert (described.network, described.targets) == ("resnet18", ["lesion"])
    points = read_classifier_description(lab.folders["reader-batch-2"]).operating_points
    assert sorted(point.norm for point in points) == ["batch", "batch_condition"]


def test_loaded_classifiers_give_the_same_bits_and_nothing_is_trained(lab: Lab, tmp_path: Path) -> None:
    study = lab.load({**TINY, "classification": [LOADED]})
    assert study.all_loaded
    assert not study.trains
    second = lab.run(study, tmp_path)
    assert lab.done.count("load_classifier") == 4
    assert "train_classifier" not in lab.done
    pd.testing.assert_frame_equal(second.predictions, lab.first.predictions, check_exact=True)
    pd.testing.assert_frame_equal(second.results, lab.first.results, check_exact=True)
    pd.testing.assert_frame_equal(second.tables.layers, lab.first.tables.layers, check_exact=True)
    lock = yaml.safe_load((second.folder / "study.lock.yaml").read_text())
    digest = read_classifier_description(lab.folders["reader-layer-2"]).model_sha256
    assert lock["model_sha256"]["load reader, layer-2"] == digest
    plan = lock["definition"]["classification"][0]
    assert plan["model_sha256"]["layer-2"] == digest
    assert "model" not in plan  # where a folder lies is the site's own affair
    again = lab.load({**lock["definition"], "classification": [{**plan, "model": LOADED["model"]}]})
    assert definition_hash(again) == definition_hash(study)


def test_a_network_reads_what_it_read_in_the_study(lab: Lab) -> None:
    from scanproof.classification.classifier import probabilities

    store = Workspace(root=lab.root).store
    plan = make_plan(lab.trained)
    weights = store.get(plan.readers["reader", "layer", 2].key).arrays
    network = load_classifier(lab.folders["reader-layer-2"])
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert np.array_equal(tensor.numpy(), weights[name])
    images = np.random.default_rng(1).random((3, 1, 32, 32), np.float32)
    with torch.inference_mode():
        alone = torch.sigmoid(network(torch.from_numpy(images - images.mean((1, 2, 3), keepdims=True)))).shape
    assert probabilities(network, images).shape == alone == (3, 1)


def test_a_single_classifier_says_its_norm_and_seed_itself(lab: Lab) -> None:
    (plan,) = lab.reading(model="models/reader-layer-2").classification
    assert (plan.norms, plan.seeds, plan.network, plan.options) == (["layer"], [2], "resnet18", {"width": 0.0625})
    (plan,) = lab.reading(model="models/reader-batch-1", norms=["batch", "batch_entropy"]).classification
    assert list(plan.saved) == ["batch-1"]


def on_images(lab: Lab, folder: Path, **plan: object) -> Study:
    from PIL import Image

    folder.mkdir()
    rows = []
    random = np.random.default_rng(3)
    for number in range(8):
        Image.fromarray(random.integers(0, 255, (32, 32), np.uint8)).save(folder / f"{number}.png")
        rows.append({"subject": f"s{number}", "site": "clinic", "path": f"{number}.png", "label_lesion": number % 2})
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    data = {"kind": "images", "manifest": str(folder / "cohort.csv"), "matrix": [32, 32]}
    entry = {"name": "reader", "model": "models/reader-batch-1", "labels": ["lesion"], **plan}
    return lab.load({**TINY, "data": data, "classification": [entry]})


def metrics(finished: Finished) -> set[str]:
    results = finished.results
    return set(results.loc[results["classifier"].notna(), "metric"])


def test_a_site_needs_test_images_alone(lab: Lab, tmp_path: Path) -> None:
    study = on_images(lab, tmp_path / "clinic")
    finished = lab.run(study, tmp_path / "run")
    assert set(finished.predictions["split"]) == {"test"}
    assert finished.predictions["subject"].nunique() == 8
    assert {"auroc", "sensitivity", "balanced_accuracy"} <= metrics(finished)  # the threshold came with the model
    point = read_classifier_description(lab.folders["reader-batch-1"]).operating_points[0]
    assert (point.reconstruction, point.norm) == ("fully_sampled", "batch")
    tests = finished.predictions[finished.predictions["shift"] == "none"]
    expected = (tests.loc[tests["label"] == 1, "probability"] >= point.threshold).mean()
    rows = finished.results.query("metric == 'sensitivity' and shift == 'none' and site == 'clinic' and seed.isna()")
    assert rows["value"].tolist() == [expected]


def test_without_a_threshold_metrics_that_need_one_are_left_out(lab: Lab, tmp_path: Path) -> None:
    study = on_images(lab, tmp_path / "clinic")
    other = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"sensitivity": 0.8})})
    found = metrics(lab.run(other, tmp_path / "run"))
    assert {"auroc", "sensitivity_retuned"} <= found
    assert not {"sensitivity", "specificity", "balanced_accuracy"} & found
    named = on_images(lab, tmp_path / "again", threshold={"lesion": 0.5})
    assert "sensitivity" in metrics(lab.run(named, tmp_path / "run"))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"model": "models/reader-{norm}-1", "seeds": [1]}, "norms: must be listed"),
        ({"model": "models/reader-{norm}-{sed}"}, "must have no placeholders but {norm} and {seed}"),
        ({"model": "models/reader-batch-1", "norms": ["layer"]}, "norms: must be what .* says of itself: batch"),
        ({"model": "models/reader-batch-1", "seeds": [2]}, "seeds: must be what .* says of itself: 1, got 2"),
        ({"model": "models/reader-batch-1", "seeds": [1, 2]}, r"seeds: must be one where model has no {seed}"),
        ({"model": "models/reader-batch-1", "network": "resnet34"}, "network: must be left out beside model"),
        ({"model": "models/reader-batch-1", "training": {"epochs": 2}}, "training: must not stand beside model"),
        ({"model": "models/reader-batch-1", "labels": ["a", "b"]}, "labels: must name each of the 1 outputs once"),
        ({"model": "models/none"}, "none: model must be an existing folder"),
        ({"network": "resnet18", "model_sha256": {"batch-1": "0"}}, "model_sha256 must stand beside the model"),
        ({"network": "resnet18", "threshold": 0.5}, "threshold must stand beside the model"),
    ],
)
def test_wrong_entries(lab: Lab, plan: dict, message: str) -> None:
    with pytest.raises(ScanproofError, match=message) as caught:
        lab.reading(**plan)
    assert "study.yaml: classification[0]" in str(caught.value)


def test_a_classifier_must_look_for_what_the_data_have(lab: Lab) -> None:
    study = lab.reading(model="models/reader-batch-1", labels=["tumour"])
    with pytest.raises(ScanproofError, match=r"reader must read 'lesion', .*its outputs are tumour \(say by labels"):
        make_plan(study)
    study = lab.reading(model="models/reader-batch-1", threshold={"lesson": 0.5})
    with pytest.raises(ScanproofError, match=r"threshold: unknown target, got 'lesson' \(did you mean 'lesion'"):
        make_plan(study)


@pytest.mark.parametrize("name", [WEIGHTS, LAYERS])
def test_altered_files_are_refused(lab: Lab, tmp_path: Path, name: str) -> None:
    import shutil

    folder = tmp_path / "altered"
    shutil.copytree(lab.folders["reader-batch-1"], folder)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ScanproofError, match=rf"{name}: weights must be as they were saved"):
        lab.reading(model=str(folder))


def test_classifiers_and_reconstructions_are_told_apart(lab: Lab) -> None:
    with pytest.raises(ScanproofError, match="must be a reconstruction, not a classifier, got 'resnet18'"):
        read_description(lab.folders["reader-batch-1"])


def test_the_registry(lab: Lab) -> None:
    file = str(lab.root / "study.yaml")
    lab.load(TINY)
    arguments = ["register", file, "reader", "--norm", "layer", "--seed", "2", "--root", str(lab.root)]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (0, "models:/tiny-reader/1\n")
    assert "nothing was added" in CliRunner().invoke(app, arguments).stderr
    study = lab.reading(model="models:/tiny-reader/1")
    assert study.classification[0].norms == ["layer"]
    assert public_definition(study)["classification"][0]["model"] == "models:/tiny-reader/1"
    aliased = lab.reading(model="models:/tiny-reader@{norm}-{seed}", norms=["layer"], seeds=[2])
    assert aliased.classification[0].saved["layer-2"].reference == "models:/tiny-reader/1"
    with connect(lab.uri) as client:
        version = client.get_model_version("tiny-reader", "1")
        run = client.get_run(version.run_id)
        (logged,) = client.search_logged_models([run.info.experiment_id], filter_string="name = 'tiny-reader'")
    assert (version.tags["norm"], version.tags["training_seed"], version.tags["targets"]) == ("layer", "2", "lesion")
    assert (
        run.data.tags["model_sha256"] == version.tags["model_sha256"] == study.classification[0].model_sha256["layer-2"]
    )
    assert logged.model_type == "classifier"
    assert "layer normalization (20 GroupNorm), training seed 2" in version.description


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("reader", {}, "--norm: must be one that the study trains: batch, layer, got None"),
        ("reader", {"norm": "layer", "seed": 3}, "--seed: must be one that the study trains: 1, 2, got 3"),
        ("reader", {"acceleration": 2.0}, "--acceleration: is a choice of reconstructions"),
        ("fully_sampled", {"seed": 1}, "--seed: is a choice of classifiers"),
        ("raeder", {}, r"unknown reconstruction or classifier of study tiny, got 'raeder' \(did you mean 'reader'"),
    ],
)
def test_what_cannot_be_registered(lab: Lab, network: str, options: dict, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        register_network(lab.trained, Workspace(root=lab.root), network, uri=lab.uri, **options)
