"""The files of somebody else's model: which format they have, their content and its hash. Nothing is executed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from scanproof.errors import ScanproofError

Format = Literal["monai_bundle", "torch_export", "torchscript", "state_dict", "safetensors", "mlflow"]
FORMATS: tuple[Format, ...] = get_args(Format)

_METADATA = "configs/metadata.json"
#: parts of a bundle that its network is made from; a bundle's data, logs and pictures stay where they are
_BUNDLE = ("configs", "models", "scripts")


@dataclass(frozen=True)
class ModelFiles:
    """A model as it was read.

    Args:
        format: what it is.
        contents: path in the model, with ``/``, to content; a model of one file has one, whatever its name.
    """

    format: Format
    contents: Mapping[str, bytes]

    @property
    def sha256(self) -> str:
        """SHA-256 of the file; of several, over their names and hashes in the order of the names."""
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in self.contents.items()}
        if len(hashes) == 1:
            return next(iter(hashes.values()))
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()

    @property
    def single(self) -> bytes:
        """The content of a model of one file."""
        (data,) = self.contents.values()
        return data


def read_files(path: Path) -> ModelFiles:
    """Read all files of a model, without interpreting them any further than to know the format.

    Args:
        path: a file (``torch.export``, TorchScript, ``state_dict``, safetensors, or a MONAI Bundle as zip) or a folder
            (MONAI Bundle, or what MLflow writes).

    Raises:
        ScanproofError: nothing is there, it cannot be read, or is none of these.
    """
    try:
        if path.is_dir():
            return _folder(path)
        data = path.read_bytes()
    except OSError as error:
        raise ScanproofError(f"model must be readable: {error.strerror or error}", file=path) from None
    if not data:
        raise ScanproofError("model must not be an empty file", file=path)
    if not zipfile.is_zipfile(io.BytesIO(data)):
        if data[8:9] == b"{":
            return ModelFiles("safetensors", {"model": data})
        hint = "save the state_dict anew with torch.save of PyTorch 1.6 or later, or as safetensors"
        raise ScanproofError("model must be a file of a known format, and whole", file=path, hint=hint)
    try:
        return _archive(data, path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ScanproofError(f"archive of a model must be whole: {error}", file=path) from None


def _archive(data: bytes, path: Path) -> ModelFiles:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if min((info.header_offset for info in archive.infolist()), default=0):
            # what is left of a truncated archive ends with one that it held
            raise ScanproofError("archive of a model must be whole", file=path)
        bundled = next((name for name in names if name.endswith(_METADATA)), None)
        if bundled is not None:
            prefix = bundled.removesuffix(_METADATA)
            wanted = [name for name in names if name.startswith(prefix) and not name.endswith("/")]
            contents = {name.removeprefix(prefix): archive.read(name) for name in wanted}
            return ModelFiles("monai_bundle", _checked(_of_bundle(contents), path))
        damaged = archive.testzip()
        if damaged is not None:
            raise ScanproofError("archive of a model must be whole", file=path, key=damaged)
    parts = {name.partition("/")[2] for name in names}
    if any(part.startswith("models/") and part.endswith(".json") for part in parts):
        return ModelFiles("torch_export", {"model": data})
    if "constants.pkl" in parts:
        return ModelFiles("torchscript", {"model": data})
    if "data.pkl" in parts:
        return ModelFiles("state_dict", {"model": data})
    raise ScanproofError("archive must hold a model of a known format", file=path, hint=", ".join(FORMATS))


def _folder(path: Path) -> ModelFiles:
    if (path / "MLmodel").is_file():
        return ModelFiles("mlflow", _contents(path, path))
    if not (path / _METADATA).is_file():
        rule = f"folder of a model must hold MLmodel (MLflow) or {_METADATA} (MONAI Bundle)"
        raise ScanproofError(rule, file=path)
    contents: dict[str, bytes] = {}
    for part in _BUNDLE:
        contents |= _contents(path / part, path)
    return ModelFiles("monai_bundle", _of_bundle(contents))


def _contents(folder: Path, root: Path) -> dict[str, bytes]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def _of_bundle(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """A bundle without what its network does not need."""
    return {name: data for name, data in contents.items() if PurePosixPath(name).parts[0] in _BUNDLE}


def _checked(contents: dict[str, bytes], path: Path) -> dict[str, bytes]:
    """Members of an archive that stay below the folder into which they will be unpacked."""
    for name in contents:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name:
            raise ScanproofError("archive must not reach out of its folder", file=path, key=name)
    return contents
