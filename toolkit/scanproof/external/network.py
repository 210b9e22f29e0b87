"""Opening somebody else's network."""

from __future__ import annotations

import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.external.files import ModelFiles
from scanproof.external.trust import find_class

Network = Callable[..., Tensor]

_CONFIGS = tuple(f"configs/{name}.{ending}" for name in ("inference", "train") for ending in ("json", "yaml", "yml"))
_WEIGHTS = ("models/model.pt", "models/model.safetensors", "models/model.ts")


def open_network(files: ModelFiles, definition: Mapping[str, object] | None = None) -> Network:
    """The network of a model, in evaluation mode: a function of tensors.

    This executes what came with the model, where :func:`scanproof.external.trust.executes` says so: ask it first.

    Args:
        files: of the model.
        definition: ``_target_`` and arguments of the network, for weights alone.

    Raises:
        ScanproofError: the files are damaged, or weights do not fit the network.
    """
    with explained(files):
        return _open(files, definition)


@contextmanager
def explained(files: ModelFiles) -> Iterator[None]:
    """Whatever foreign code raises in the ``with`` block becomes one clear error; it warns of nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats that PyTorch would like to see replaced
            yield
    except ScanproofError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ScanproofError(f"model of format {files.format} must open", hint=said) from None


def _open(files: ModelFiles, definition: Mapping[str, object] | None) -> Network:
    if files.format == "torch_export":
        return cast(Network, torch.export.load(io.BytesIO(files.single)).module())
    if files.format == "torchscript":
        return cast(Network, torch.jit.load(io.BytesIO(files.single), map_location="cpu").eval())  # type: ignore[no-untyped-call]
    if files.format in ("state_dict", "safetensors"):
        arguments = dict(definition or {})
        network = find_class(str(arguments.pop("_target_")))(**arguments)
        return _with_weights(network, read_state(files.single, safe=files.format == "safetensors"))
    if files.format == "monai_bundle":
        with unpacked(files) as root:
            return _bundle(root)
    raise ScanproofError(f"model of format {files.format} must be opened by the library that wrote it")


@contextmanager
def unpacked(files: ModelFiles) -> Iterator[Path]:
    """The files of a model in a folder, for the length of a ``with`` block."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name, data in files.contents.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        yield root


def read_state(data: bytes, *, safe: bool) -> dict[str, Tensor]:
    """Weights by name, from safetensors or from a ``state_dict`` that holds nothing but tensors.

    Args:
        data: content of the file.
        safe: safetensors.

    Raises:
        ScanproofError: it holds something else.
    """
    if safe:
        from safetensors.torch import load

        return load(data)
    found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    for key in ("state_dict", "model", "network"):  # as training programs frame it
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(one, Tensor) for one in found.values()):
        raise ScanproofError("weights must be a state_dict, tensors by name", value=type(found).__name__)
    return dict(found)


def _with_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> Network:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise ScanproofError(f"weights must fit the network {type(network).__name__}", hint=said) from None
    return cast(Network, network.eval())


def _bundle(root: Path) -> Network:
    from monai.bundle import ConfigParser

    config = next((root / name for name in _CONFIGS if (root / name).is_file()), None)
    weights = next((root / name for name in _WEIGHTS if (root / name).is_file()), None)
    if weights is None:
        raise ScanproofError(f"MONAI Bundle must hold one of {', '.join(_WEIGHTS)}")
    if weights.suffix == ".ts":
        return _open(ModelFiles("torchscript", {"model": weights.read_bytes()}), None)
    if config is None:
        raise ScanproofError(f"MONAI Bundle must hold one of {', '.join(_CONFIGS)}")
    parser = ConfigParser()
    parser.read_config(str(config))
    parser.read_meta(str(root / "configs" / "metadata.json"))
    parser["bundle_root"] = str(root)
    sys.path.insert(0, str(root))  # a bundle may name its own scripts
    try:
        parser["device"] = "cpu"
        network = parser.get_parsed_content("network_def" if "network_def" in parser else "network")
    finally:
        sys.path.remove(str(root))
    return _with_weights(network, read_state(weights.read_bytes(), safe=weights.suffix == ".safetensors"))
