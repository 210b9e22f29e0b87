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
from scanproof.tracking.mlmodel import MLMODEL, write_mlmodel

if TYPE_CHECKING:
    from scanproof.reconstruction.base import Reconstructor

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
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    description = description.model_copy(update={"weights_sha256": hashlib.sha256(data).hexdigest()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ScanproofError("folder of a new model must be empty", file=folder)
        (folder / WEIGHTS).write_bytes(data)
        write_mlmodel(
            folder,
            description.model_dump(mode="json"),
            weights=folder / WEIGHTS,
            dimensions=description.sampling.dimensions,
        )
    except OSError as error:
        raise ScanproofError(f"model must be written: {error.strerror or error}", file=folder) from error
    return description


def read_weights(folder: Path, description: ModelDescription) -> dict[str, np.ndarray]:
    """Read the weights of a model folder; nothing but numbers is read.

    Args:
        folder: folder of a saved model.
        description: what it says of itself.

    Raises:
        ScanproofError: the file is missing, truncated, altered or not safetensors, or a weight is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    file = folder / WEIGHTS
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ScanproofError(f"weights must be readable: {error.strerror or error}", file=file) from None
    _check_hash(hashlib.sha256(data).hexdigest(), description.weights_sha256, file=file)
    try:
        weights = load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ScanproofError(f"weights must be a safetensors file: {error}", file=file) from None
    _check_hash(hash_weights(weights), description.model_sha256, file=file)
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ScanproofError("weights must be finite", file=file, key=name, value="NaN or infinite")
    return weights


def read_model(folder: Path, *, model_sha256: str) -> dict[str, np.ndarray]:
    """Weights of a model folder that must have this hash and fit the network that the folder names.

    Args:
        folder: folder of a saved model.
        model_sha256: what :func:`hash_weights` must give.

    Raises:
        ScanproofError: see :func:`load_reconstructor`; other weights than these.
    """
    description = read_description(folder)
    _check_hash(description.model_sha256, model_sha256, file=folder / MLMODEL)
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


def _check_hash(found: str, expected: str, *, file: Path) -> None:
    if found != expected:
        rule = f"weights must be as they were saved, with sha256 {expected}"
        raise ScanproofError(rule, file=file, value=found, hint="the file is truncated or altered")
