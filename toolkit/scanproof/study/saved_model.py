"""A trained reconstruction in a folder: weights as safetensors, and an ``MLmodel`` that says what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scanproof.errors import ScanproofError
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.model_description import ModelDescription, read_description
from scanproof.study.model_files import WEIGHTS
from scanproof.tracking.mlmodel import MLMODEL, reconstruction_signature, write_mlmodel

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from scanproof.reconstruction.base import Reconstructor
    from scanproof.study.classifier_description import ClassifierDescription

Weights = Mapping[str, np.ndarray]


def hash_weights(weights: Weights) -> str:
    """SHA-256 over the names and values of weights, in the order of the names.

    Example:
        >>> hash_weights({"a": np.zeros(2, np.float32)})[:8]
        '50edc262'
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].tobytes())
    return digest.hexdigest()


def save_model(folder: Path, weights: Weights, description: ModelDescription) -> ModelDescription:
    """Write a model folder; it needs neither MLflow nor a network to be read.

    Args:
        folder: made where it is missing; must be empty.
        weights: state of the network, by name.
        description: what the weights are.

    Returns:
        The description with the hash of the file of weights.

    Raises:
        ScanproofError: the folder holds something, or cannot be written.
    """
    data = as_safetensors(weights)
    description = description.model_copy(update={"weights_sha256": hashlib.sha256(data).hexdigest()})
    signature = reconstruction_signature(description.sampling.dimensions)
    write_folder(folder, {WEIGHTS: data}, description.model_dump(mode="json"), signature=signature)
    return description


def as_safetensors(arrays: Weights) -> bytes:
    """The content of a safetensors file with these arrays."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def write_folder(
    folder: Path, files: Mapping[str, bytes], description: Mapping[str, object], *, signature: ModelSignature
) -> None:
    """Write files and the ``MLmodel`` of a model folder.

    Args:
        folder: made where it is missing; must be empty.
        files: name to content; :data:`~scanproof.study.model_files.WEIGHTS` is one of them.
        description: content of the flavour, in plain YAML types.
        signature: inputs and outputs.

    Raises:
        ScanproofError: the folder holds something, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ScanproofError("folder of a new model must be empty", file=folder)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        write_mlmodel(folder, description, weights=folder / WEIGHTS, signature=signature)
    except OSError as error:
        raise ScanproofError(f"model must be written: {error.strerror or error}", file=folder) from error


def read_weights(folder: Path, description: ModelDescription | ClassifierDescription) -> dict[str, np.ndarray]:
    """Read the weights of a model folder; nothing but numbers is read.

    Args:
        folder: folder of a saved model.
        description: what it says of itself.

    Raises:
        ScanproofError: the file is missing, truncated, altered or not safetensors, or a weight is not finite.
    """
    weights = read_arrays(folder / WEIGHTS, sha256=description.weights_sha256)
    check_hash(hash_weights(weights), description.model_sha256, file=folder / WEIGHTS)
    return weights


def read_arrays(file: Path, *, sha256: str) -> dict[str, np.ndarray]:
    """Read a safetensors file of finite numbers.

    Args:
        file: of a saved model.
        sha256: that its content must have.

    Raises:
        ScanproofError: it is missing, truncated, altered or not safetensors, or a number is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = file.read_bytes()
    except OSError as error:
        raise ScanproofError(f"weights must be readable: {error.strerror or error}", file=file) from None
    check_hash(hashlib.sha256(data).hexdigest(), sha256, file=file)
    try:
        arrays = load(data)
    except (SafetensorError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise ScanproofError(f"weights must be a safetensors file: {error}", file=file) from None
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ScanproofError("weights must be finite", file=file, key=name, value="NaN or infinite")
    return arrays


def read_model(folder: Path, *, model_sha256: str) -> dict[str, np.ndarray]:
    """Weights of a model folder that must have this hash and fit the network that the folder names.

    Args:
        folder: folder of a saved model.
        model_sha256: what :func:`hash_weights` must give.

    Raises:
        ScanproofError: see :func:`load_reconstructor`; other weights than these.
    """
    description = read_description(folder)
    check_hash(description.model_sha256, model_sha256, file=folder / MLMODEL)
    weights = read_weights(folder, description)
    build_reconstructor(description, weights, file=folder / WEIGHTS)
    return weights


def load_reconstructor(folder: Path) -> Reconstructor:
    """The method in a model folder, ready to reconstruct.

    Args:
        folder: folder of a saved model.

    Raises:
        ScanproofError: see :func:`read_description` and :func:`read_weights`; weights that do not fit the network.
    """
    description = read_description(folder)
    return build_reconstructor(description, read_weights(folder, description), file=folder / WEIGHTS)


def build_reconstructor(description: ModelDescription, weights: Weights, *, file: Path) -> Reconstructor:
    """The method that a description names, with these weights.

    Args:
        description: names method and options.
        weights: of its network.
        file: where they were read, for the error.

    Raises:
        ScanproofError: the network has other weights, or the options are wrong.
    """
    import torch

    dimensions = description.sampling.dimensions
    method = RECONSTRUCTORS.create(description.method, description.options).in_dimensions(dimensions)
    try:
        method.load({name: torch.from_numpy(array) for name, array in weights.items()})
    except ScanproofError:
        raise
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        # PyTorch lists every weight; the first ones tell what is wrong
        said = " ".join(str(error).split())[:300]
        raise ScanproofError(f"weights must fit the network of {description.method}", file=file, hint=said) from None
    return method


def check_hash(found: str, expected: str, *, file: Path) -> None:
    """Refuse what is not as it was saved.

    Raises:
        ScanproofError: the hashes differ.
    """
    if found != expected:
        rule = f"weights must be as they were saved, with sha256 {expected}"
        raise ScanproofError(rule, file=file, value=found, hint="the file is truncated or altered")
