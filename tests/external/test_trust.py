"""What opening a model of somebody else can do, tried; and what is therefore refused."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from scanproof.errors import ScanproofError
from scanproof.external.files import FORMATS, read_files
from scanproof.external.network import open_network, read_state
from scanproof.external.norm import norm_of
from scanproof.external.trust import executes


class Harmful:
    """Leaves a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    count = torch.export.Dim("count", min=1)
    program = torch.export.export(network(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: count},))
    torch.export.save(program, tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


def script(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path


def test_an_exported_archive_executes_what_it_declares_as_pickled(exported: Path, tmp_path: Path) -> None:
    marker, harmful = tmp_path / "executed", tmp_path / "harmful.pt2"
    with zipfile.ZipFile(exported) as old, zipfile.ZipFile(harmful, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("weights_config.json"):
                config = json.loads(data)
                first = next(iter(config["config"].values()))
                first["use_pickle"] = True
                data = json.dumps(config).encode()
            new.writestr(name, pickle.dumps(Harmful(marker)) if name.endswith("/weight_0") else data)
    files = read_files(harmful)
    assert files.format == "torch_export"
    assert not marker.exists()  # neither reading nor asking has executed anything
    assert executes(files.format) == "a torch.export archive may hold pickles"
    with pytest.raises(ScanproofError, match="model of format torch_export must open"):
        open_network(files)
    assert marker.exists()


class Writes(nn.Module):
    """Makes a file when it is called."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :1] + torch.from_file(self.path, shared=True, size=4).sum()


def test_a_torchscript_file_is_a_program(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    files = read_files(script(Writes(str(marker)), tmp_path / "net.ts"))
    assert files.format == "torchscript"
    assert executes(files.format) == "a TorchScript file is a program"
    opened = open_network(files)
    assert not marker.exists()
    opened(torch.zeros(1, 1, 2, 2))
    assert marker.exists()


def test_weights_that_are_a_program_are_not_unpickled(tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "net.pt"
    torch.save({"a": Harmful(marker)}, path)
    files = read_files(path)
    assert files.format == "state_dict"
    with pytest.raises(ScanproofError, match="model of format state_dict must open"):
        open_network(files, {"_target_": "torch.nn.Flatten"})
    assert not marker.exists()


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_weights_in_the_frames_of_training_programs(tmp_path: Path, key: str | None) -> None:
    state = network().state_dict()
    torch.save({key: state, "epoch": 3} if key else state, tmp_path / "net.pt")
    read = read_state((tmp_path / "net.pt").read_bytes(), safe=False)
    assert all(torch.equal(read[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (None, "network_def: must name the network of the weights"),
        ({"_target_": "DenseNet"}, "network_def: must name the network"),
        ({"_target_": "torch.nn.Linear", "in_features": "$__import__('os').getpid()"}, "in_features: must be a plain"),
        ({"_target_": "torch.nn.Sequential", "args": [{"_target_": "os.system"}]}, "args: must be a plain value"),
        ({"_target_": "torch.nn.Linear", "pretrained": True}, "pretrained: must be left out"),
        ({"_target_": "torch.nn.NoSuchNetwork"}, "must name a class that can be imported"),
        ({"_target_": "torch.nn.init.zeros_"}, "must name a class of networks"),
    ],
)
def test_definitions_that_are_refused(definition: dict | None, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        executes("safetensors", definition)


@pytest.mark.parametrize("target", ["os.system", "torch.hub.load", "monai.networks_of_others.Net"])
def test_other_packages_are_not_even_imported(target: str) -> None:
    assert (
        executes("state_dict", {"_target_": target}) == f"_target_ {target} is no network of torch.nn or monai.networks"
    )


@pytest.mark.parametrize("target", ["torch.nn.Linear", "monai.networks.nets.DenseNet121", "monai.networks.nets.ResNet"])
def test_networks_of_monai_and_pytorch_need_no_trust(target: str) -> None:
    assert executes("safetensors", {"_target_": target}) is None


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("state_dict", "safetensors")])
def test_all_other_formats_need_trust(format: str) -> None:
    assert executes(format)


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "must not be an empty file"), (b"\x80\x02}q\x00.", "file of a known format, and whole")]
)
def test_files_that_are_no_model(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "net.pt").write_bytes(data)
    with pytest.raises(ScanproofError, match=message):
        read_files(tmp_path / "net.pt")


def test_a_truncated_archive(exported: Path) -> None:
    data = exported.read_bytes()
    for end in (len(data) // 2, len(data) - 20):
        exported.write_bytes(data[:end])
        with pytest.raises(ScanproofError, match="whole"):
            read_files(exported)
    exported.write_bytes(data.replace(b"batch_norm", b"BATCH_norm"))
    with pytest.raises(ScanproofError, match=r"models/model.json: archive of a model must be whole"):
        read_files(exported)


def test_an_archive_stays_in_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        archive.writestr("configs/metadata.json", "{}")
        archive.writestr("models/../../../evil.py", "")
    with pytest.raises(ScanproofError, match=r"evil.py: archive must not reach out of its folder"):
        read_files(tmp_path / "bundle.zip")


@pytest.mark.parametrize(
    ("layer", "norm"),
    [
        (nn.BatchNorm2d(4), "batch"),
        (nn.GroupNorm(2, 4), "group"),
        (nn.GroupNorm(1, 4), "layer"),
        (nn.GroupNorm(4, 4), "instance"),
        (nn.InstanceNorm2d(4), "instance"),
        (nn.Identity(), "none"),
    ],
)
def test_the_normalization_is_seen(layer: nn.Module, norm: str, tmp_path: Path) -> None:
    own = nn.Sequential(nn.Conv2d(1, 4, 3), layer).eval()
    assert norm_of(own) == norm
    if norm in ("batch", "none"):
        assert norm_of(open_network(read_files(script(own, tmp_path / "net.ts")))) == norm
        torch.export.save(torch.export.export(own, (torch.zeros(2, 1, 8, 8),)), tmp_path / "net.pt2")
        assert norm_of(open_network(read_files(tmp_path / "net.pt2"))) == norm


def test_a_normalization_that_cannot_be_named() -> None:
    assert norm_of(nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4))) is None
    assert norm_of(lambda images: images) is None
