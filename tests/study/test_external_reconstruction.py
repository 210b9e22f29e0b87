"""Reconstructions that others trained, in a study."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.definition import Study
from scanproof.study.dry_run import try_models
from scanproof.study.load import load_study
from scanproof.study.model_source import ModelSource
from scanproof.study.run import Finished, Workspace, definition_hash, public_definition, run_study

TINY = {
    "name": "tiny",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "subjects": {"train": 2, "val": 2, "test": 2},
        "slices": 2,
        "matrix": [32, 32],
    },
    "acquisition": {"accelerations": [2]},
    "shifts": [{"name": "complex_noise", "severities": [3]}],
    "evaluation": {"resamples": 100, "image_metrics": ["nrmse"]},
}


class Adjoint(nn.Module):
    """Zero filling, written by somebody else."""

    def forward(self, kspace: Tensor, mask: Tensor, sensitivities: Tensor) -> Tensor:
        sampled = torch.fft.ifftshift(kspace * mask, dim=(-2, -1))
        images = torch.fft.fftshift(torch.fft.ifft2(sampled, norm="ortho"), dim=(-2, -1))
        return (images * sensitivities.conj()).sum(1, keepdim=True)


class Magnitude(nn.Module):
    """Of two channels."""

    def forward(self, images: Tensor) -> Tensor:
        return images.square().sum(1, keepdim=True).sqrt()


def script(module: nn.Module, path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path.name


def export(module: nn.Module, path: Path) -> str:
    count = torch.export.Dim("count", min=1)
    program = torch.export.export(module, (torch.zeros(2, 1, 32, 32),), dynamic_shapes=({0: count},))
    torch.export.save(program, path)
    return path.name


def convolution() -> nn.Conv2d:
    """The identity, as a network of MONAI's or PyTorch's may be."""
    network = nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        network.weight.zero_()[0, 0, 1, 1] = 1
        network.bias.zero_()
    return network


NETWORK = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 3, "padding": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    script(Adjoint(), folder / "adjoint.ts")
    script(Magnitude(), folder / "magnitude.ts")
    export(convolution(), folder / "identity.pt2")
    save_file(convolution().state_dict(), folder / "identity.safetensors")
    return folder


def load(folder: Path, *entries: dict, trusted: tuple[str, ...] = ()) -> Study:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**TINY, "reconstruction": [*entries]}))
    return load_study(path, models=ModelSource(root=folder, trusted=frozenset(trusted)))


def run(study: Study, root: Path) -> Finished:
    return run_study(study, Workspace(root=root), workers=1, tracking_uri=None, command="test")


ENTRIES = [
    {"name": "adjoint", "model": "adjoint.ts", "options": {"takes": "kspace"}},
    {"name": "magnitude", "model": "magnitude.ts", "options": {"takes": "complex_image", "scale": False}},
    {"name": "exported", "model": "identity.pt2"},
    {"name": "weights", "model": "identity.safetensors", "network_def": NETWORK},
]
NAMES = tuple(entry["name"] for entry in ENTRIES)


def test_networks_that_do_nothing_are_zero_filling(place: Path, tmp_path: Path) -> None:
    study = load(place, {"name": "zero_filled"}, *ENTRIES, trusted=NAMES)
    assert study.all_loaded
    finished = run(study, tmp_path)
    cases = finished.results[finished.results["case"].notna()]
    table = cases.pivot_table(index=["case", "shift"], columns="reconstruction", values="value")
    assert len(table) == 8
    for name in NAMES:
        assert np.allclose(table[name], table["zero_filled"], rtol=1e-3), name
    lock = yaml.safe_load((finished.folder / "study.lock.yaml").read_text())
    assert sorted(lock["trusted_sha256"]) == ["adjoint", "exported", "magnitude"]
    for entry, plan in zip(ENTRIES, lock["definition"]["reconstruction"][1:], strict=True):
        assert (plan["method"], plan["model_sha256"]) == ("external", lock["model_sha256"][f"load {entry['name']}"])
    again = load(place, *lock_entries(study), trusted=NAMES)
    assert definition_hash(again) == definition_hash(study)
    assert "adjoint was trained by others: a model of format torchscript" in finished.report.read_text()


def lock_entries(study: Study) -> list[dict]:
    """A definition that was written out, with the places of its models."""
    plans = public_definition(study)["reconstruction"]
    models = [None, *(entry["model"] for entry in ENTRIES)]
    return [{**plan, "model": model} if model else plan for plan, model in zip(plans, models, strict=True)]


@pytest.mark.parametrize("entry", ENTRIES[:3], ids=NAMES[:3])
def test_programs_are_refused_unless_they_are_named(place: Path, entry: dict) -> None:
    with pytest.raises(ScanproofError, match=rf"must be trusted to be opened.*--trust {entry['name']}"):
        load(place, entry)


class Wrong(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, image: Tensor) -> Tensor:
        if self.how == "small":
            return image[..., ::2, ::2]
        if self.how == "infinite":
            return image / 0
        if self.how == "random":
            return image + torch.rand_like(image)
        return image + image.mean()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("small", r"must give images \(4, 1, 32, 32\), got \(4, 1, 16, 16\)"),
        ("infinite", "must give a finite image"),
        ("random", "must give the same images twice"),
        ("batch", "must give of a slice alone what it gives of it among others"),
    ],
)
def test_dry_run(tmp_path: Path, how: str, message: str) -> None:
    script(Wrong(how), tmp_path / "net.ts")
    study = load(tmp_path, {"name": "theirs", "model": "net.ts"}, trusted=("theirs",))
    with pytest.raises(ScanproofError, match=rf"reconstruction\[0\] \(theirs\): .*{message}"):
        run(study, tmp_path)
    assert not list((tmp_path / "store").rglob("entry.json"))


def test_dry_run_says_what_it_tried(place: Path) -> None:
    (line,) = try_models(load(place, ENTRIES[0], trusted=NAMES))
    assert line.startswith("adjoint: torchscript, sha256 ")
    assert line.endswith("makes images of 32 x 32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"takes": "images"}}, "unknown input of a reconstruction, got 'images'"),
        ({"options": {"take": "image"}}, r"unknown option of reconstruction 'external', got 'take'"),
        ({"training_seed": 2}, "training_seed: must be left out beside the model of somebody else"),
        ({"method": "unet"}, "method: must be left out beside the model of somebody else, or be 'external'"),
        ({"model_sha256": "0"}, "model_sha256: must be left out"),
        ({"network_def": None}, "network_def: must name the network of the weights"),
        ({"model": None}, "unknown reconstruction, got 'weights'"),
        ({"model": None, "method": "external"}, "unknown reconstruction, got 'external'"),
    ],
)
def test_wrong_entries(place: Path, change: dict, message: str) -> None:
    entry = {key: value for key, value in {**ENTRIES[3], **change}.items() if value is not None}
    with pytest.raises(ScanproofError, match=message):
        try_models(load(place, entry))


def test_nobody_asks_for_it_by_name() -> None:
    assert "external" not in list(RECONSTRUCTORS)
    assert RECONSTRUCTORS.factory("external").__name__ == "ExternalReconstructor"


def test_weights_altered_after_planning_stop_the_run(place: Path, tmp_path: Path) -> None:
    data = (place / "identity.safetensors").read_bytes()
    (tmp_path / "identity.safetensors").write_bytes(data)
    study = load(tmp_path, ENTRIES[3])
    (tmp_path / "identity.safetensors").write_bytes(data[:-1] + b"?")
    with pytest.raises(ScanproofError, match="weights must be as they were saved"):
        run(study, tmp_path)
