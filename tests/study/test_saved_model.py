"""Folders of saved reconstructions: what is written, what is read again, and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import save

from scanproof.errors import ScanproofError
from scanproof.reconstruction.unet import UNet
from scanproof.study.load import load_study
from scanproof.study.model_description import ModelDescription, TrainedSampling, read_description
from scanproof.study.model_files import WEIGHTS, refuse_code
from scanproof.study.plan import make_plan
from scanproof.study.run import definition_hash, public_definition
from scanproof.study.saved_model import hash_weights, load_reconstructor, save_model

OPTIONS = {"features": [4, 4, 4, 4, 4, 4], "epochs": 1}
Write = Callable[[dict], Path]


@pytest.fixture(scope="session")
def weights() -> dict[str, np.ndarray]:
    """Of a network that was not trained: what is tested here does not depend on it."""
    from scanproof.reconstruction.unet import ResidualUnet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = ResidualUnet(OPTIONS["features"]).state_dict()
        state["unet.final_conv.weight"].normal_()  # it starts at zero, as if the network did nothing
    return {name: tensor.numpy() for name, tensor in state.items()}


def describe(weights: dict[str, np.ndarray], **changes: object) -> ModelDescription:
    facts: dict[str, object] = {
        "method": "unet",
        "options": OPTIONS,
        "sampling": TrainedSampling(mask="equispaced", acceleration=2, center_fraction=0.08),
        "data_sha256": {"north": "ab" * 32},
        "model_sha256": hash_weights(weights),
        "seed": 7,
        "study": "small",
        "study_sha256": "cd" * 32,
        "code_version": "0.1.0",
    }
    return ModelDescription.model_validate({**facts, **changes})


@pytest.fixture
def folder(tmp_path: Path, weights: dict[str, np.ndarray]) -> Path:
    save_model(tmp_path / "saved", weights, describe(weights))
    return tmp_path / "saved"


def edit(folder: Path, **changes: object) -> None:
    """Change what a model says of itself."""
    content = yaml.safe_load((folder / "MLmodel").read_text())
    content["flavors"]["scanproof"].update(changes)
    (folder / "MLmodel").write_text(yaml.safe_dump(content))


def replace_weights(folder: Path, weights: dict[str, np.ndarray]) -> None:
    """Other weights, with hashes that are true."""
    data = save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    (folder / WEIGHTS).write_bytes(data)
    edit(folder, weights_sha256=hashlib.sha256(data).hexdigest(), model_sha256=hash_weights(weights))


class Harmful:
    """Leaves a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_what_was_saved_reconstructs_the_same(folder: Path, weights: dict[str, np.ndarray]) -> None:
    first = UNet(**OPTIONS)
    first.load({name: torch.from_numpy(array) for name, array in weights.items()})
    kspace = torch.randn(2, 32, 32, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    arguments = (kspace, torch.ones(1, 32, 32, dtype=torch.bool), torch.ones(2, 32, 32, dtype=torch.complex64))
    assert torch.equal(load_reconstructor(folder)(*arguments), first(*arguments))
    assert {path.name for path in folder.iterdir()} == {"MLmodel", WEIGHTS}


def test_mlflow_reads_the_signature(folder: Path) -> None:
    from scanproof.tracking.client import import_mlflow

    import_mlflow()
    from mlflow.models import Model

    model = Model.load(str(folder))
    assert list(model.flavors) == ["scanproof"]
    inputs = {spec.name: (str(spec.type), spec.shape) for spec in model.signature.inputs}
    axes = (-1, -1, -1)
    assert inputs == {"kspace": ("complex64", axes), "mask": ("bool", axes), "sensitivities": ("complex64", axes)}
    (output,) = model.signature.outputs
    assert (str(output.type), output.shape) == ("float32", (1, -1, -1))


def test_a_folder_in_use_is_left_alone(folder: Path, weights: dict[str, np.ndarray]) -> None:
    with pytest.raises(ScanproofError, match="folder of a new model must be empty"):
        save_model(folder, weights, describe(weights))


@pytest.mark.parametrize("name", ["python_model.pkl", "data/model.pth", "code/model.py", "weights", WEIGHTS])
def test_pickles_and_programs_are_refused_and_never_executed(folder: Path, tmp_path: Path, name: str) -> None:
    marker = tmp_path / "executed"
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(Harmful(marker)))
    with pytest.raises(ScanproofError, match="would execute code when it is read") as caught:
        load_reconstructor(folder)
    assert str(folder / name) in str(caught.value)
    assert not marker.exists()
    pickle.loads((folder / name).read_bytes())  # noqa: S301 (that it would have been)
    assert marker.exists()


def test_the_frame_of_pytorch_is_refused_under_any_name(folder: Path) -> None:
    torch.save({"a": torch.zeros(1)}, folder / WEIGHTS)
    assert zipfile.is_zipfile(folder / WEIGHTS)
    with pytest.raises(ScanproofError, match=r"weights\.safetensors: must not be in a saved model"):
        load_reconstructor(folder)


def test_weights_whose_header_is_as_long_as_a_pickle_begins_are_no_pickle(tmp_path: Path) -> None:
    for count in range(200):  # the length of the header is the first number in the file
        data = save({"a" * (count + 1): np.zeros(1, np.float32)} | {f"w{n}": np.zeros(1, np.float32) for n in range(8)})
        (tmp_path / WEIGHTS).write_bytes(data)
        refuse_code(tmp_path)
        if data.startswith(b"\x80\x02"):
            return
    pytest.fail("no header of that length")


@pytest.mark.parametrize("flavour", ["python_function", "pytorch", "onnx"])
def test_other_flavours_are_refused(folder: Path, flavour: str) -> None:
    content = yaml.safe_load((folder / "MLmodel").read_text())
    content["flavors"][flavour] = {"loader_module": "mlflow.pyfunc.model"}
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    with pytest.raises(ScanproofError, match=rf"MLmodel: flavors: must be scanproof alone.*execute code.*{flavour}"):
        load_reconstructor(folder)


def test_mlmodel_is_read_as_plain_yaml(folder: Path) -> None:
    (folder / "MLmodel").write_text("flavors: !!python/object/apply:os.system [echo]\n")
    with pytest.raises(ScanproofError, match="MLmodel: line 1, column 10: must be valid YAML"):
        read_description(folder)


@pytest.mark.parametrize("change", [lambda data: data[:-7], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_truncated_or_altered_weights(folder: Path, change: Callable[[bytes], bytes]) -> None:
    expected = read_description(folder).weights_sha256
    data = change((folder / WEIGHTS).read_bytes())
    (folder / WEIGHTS).write_bytes(data)
    found = hashlib.sha256(data).hexdigest()
    with pytest.raises(ScanproofError, match=rf"{WEIGHTS}: .*with sha256 {expected}, got '{found}'"):
        load_reconstructor(folder)


def test_weights_that_are_not_those_of_the_model(folder: Path, weights: dict[str, np.ndarray]) -> None:
    replace_weights(folder, weights)
    edit(folder, model_sha256="0" * 64)
    with pytest.raises(ScanproofError, match=rf"with sha256 {'0' * 64}, got '{hash_weights(weights)}'"):
        load_reconstructor(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {**w, "a": w["unet.final_conv.bias"]}, r'must fit the network of unet \(.*Unexpected key.*"a"'),
        (lambda w: {n: a for n, a in w.items() if "final" not in n}, r"must fit the network.*Missing key.*final_conv"),
        (lambda w: {n: a[..., :1] if a.ndim > 1 else a for n, a in w.items()}, "must fit the network.*size mismatch"),
        (
            lambda w: {**w, "unet.final_conv.bias": np.full(2, np.nan, np.float32)},
            "unet.final_conv.bias: weights must be finite",
        ),
    ],
)
def test_weights_that_cannot_be_used(folder: Path, weights, change: Callable[[dict], dict], message: str) -> None:
    replace_weights(folder, change(weights))
    with pytest.raises(ScanproofError, match=rf"{WEIGHTS}: .*{message}"):
        load_reconstructor(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "unett"}, r"MLmodel: .*unknown reconstruction, got 'unett' \(did you mean 'unet'"),
        ({"method": "cg_sense", "options": {}}, "MLmodel: method: must be a method that is trained, got 'cg_sense'"),
        ({"options": {"epoch": 1}}, r"MLmodel: options.epoch: unknown option of reconstruction 'unet'"),
        ({"format": 2}, r"MLmodel: flavors.scanproof.format: must describe a model"),
        ({"seed": "x"}, r"MLmodel: flavors.scanproof.seed: must describe a model"),
    ],
)
def test_wrong_descriptions(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(ScanproofError, match=message):
        load_reconstructor(folder)


def test_missing_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ScanproofError, match="none: model must be an existing folder"):
        load_reconstructor(tmp_path / "none")
    (folder / WEIGHTS).rename(tmp_path / WEIGHTS)
    with pytest.raises(ScanproofError, match=rf"{WEIGHTS}: weights must be readable"):
        load_reconstructor(folder)
    (folder / "MLmodel").unlink()
    with pytest.raises(ScanproofError, match="saved: folder of a model must hold a file MLmodel"):
        load_reconstructor(folder)


def study_with(small: dict, **plan: object) -> dict:
    return {**small, "classification": [], "reconstruction": [{"name": "mine", "model": "saved", **plan}]}


def test_a_study_says_what_its_model_is(folder: Path, small: dict, write_study: Write, weights) -> None:
    study = load_study(write_study(study_with(small)))
    (plan,) = study.reconstruction
    assert (plan.method, plan.options, plan.model_sha256) == ("unet", OPTIONS, hash_weights(weights))
    # where the folder lies is the site's own affair
    assert "model" not in public_definition(study)["reconstruction"][0]
    before, tasks = definition_hash(study), make_plan(study).tasks
    folder.rename(folder.with_name("moved"))
    moved = load_study(write_study(study_with(small, model="moved")))
    assert definition_hash(moved) == before
    assert [task.key for task in make_plan(moved).tasks] == [task.key for task in tasks]
    assert not make_plan(moved).fits


def test_a_written_definition_loads_again(folder: Path, small: dict, write_study: Write) -> None:
    study = load_study(write_study(study_with(small)))
    content = public_definition(study)
    with pytest.raises(ScanproofError, match=r"reconstruction\[0\]: model_sha256 must stand beside the model"):
        load_study(write_study(content))
    content["reconstruction"][0]["model"] = "saved"
    assert definition_hash(load_study(write_study(content))) == definition_hash(study)
    content["reconstruction"][0]["model_sha256"] = "0" * 64
    with pytest.raises(ScanproofError, match="model_sha256: must be left out beside model, or be that of the model"):
        load_study(write_study(content))


def test_a_network_for_slices_is_not_for_volumes(folder: Path, small: dict, write_study: Write) -> None:
    content = study_with(small, name="mine") | {"acquisition": {"accelerations": [2], "dimensions": 3}}
    with pytest.raises(ScanproofError, match=r"reconstruction\[0\].model: must be a network for .*dimensions 3.*got 2"):
        load_study(write_study(content))


def test_networks_for_volumes(tmp_path: Path) -> None:
    from scanproof.reconstruction.unet import ResidualUnet

    state = ResidualUnet(OPTIONS["features"], spatial_dims=3).state_dict()
    weights = {name: tensor.numpy() for name, tensor in state.items()}
    sampling = TrainedSampling(mask="random", acceleration=4, center_fraction=0.08, dimensions=3)
    save_model(tmp_path / "saved", weights, describe(weights, sampling=sampling))
    assert load_reconstructor(tmp_path / "saved").spatial_dims == 3
    signature = yaml.safe_load((tmp_path / "saved" / "MLmodel").read_text())["signature"]
    assert '"shape": [-1, -1, -1, -1]' in signature["inputs"]
    assert '"shape": [1, -1, -1, -1]' in signature["outputs"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"method": "modl"}, r"reconstruction\[0\]: method: must be left out beside model.*'unet', got 'modl'"),
        ({"options": {"epochs": 2}}, r"reconstruction\[0\]: options: must be left out beside model"),
        ({"training_seed": 3}, r"reconstruction\[0\]: training_seed: must not stand beside model"),
        ({"weights_from": "unet"}, r"reconstruction\[0\]: weights_from: must not stand beside model"),
        ({"model": "none"}, r"reconstruction\[0\].model: .*none: model must be an existing folder"),
        ({"model": "models:/unet"}, r"model: must be models:/NAME/VERSION or models:/NAME@ALIAS, got 'models:/unet'"),
        ({"model": "saved/MLmodel"}, "saved/MLmodel: model must be a file of a known format, and whole"),
        ({"model": "net.pth"}, r"net.pth: model must not be an empty file"),
    ],
)
def test_wrong_models_in_a_study(folder: Path, small: dict, write_study: Write, plan: dict, message: str) -> None:
    folder.with_name("net.pth").touch()
    with pytest.raises(ScanproofError, match=message) as caught:
        load_study(write_study(study_with(small, **plan)))
    assert "study.yaml: " in str(caught.value)


def test_test_time_training_goes_on_from_a_loaded_network(folder: Path, small: dict, write_study: Write) -> None:
    content = study_with(small)
    content["reconstruction"].append({"name": "ttt", "method": "unet_ttt", "weights_from": "mine"})
    study = load_study(write_study(content))
    assert study.options_of(study.reconstruction[1]) == OPTIONS
    plan = make_plan(study)
    load = plan.networks["mine", 2]
    assert (load.kind, load.key) == ("load_reconstruction", plan.networks["ttt", 2].key)
    assert all(task.inputs["model"] == (load,) for task in plan.reconstructions)
