"""A trained classifier in a folder: weights and what its layers saw as safetensors, and an ``MLmodel``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scanproof.errors import ScanproofError
from scanproof.study.classifier_description import ClassifierDescription, read_classifier_description
from scanproof.study.model_files import LAYERS, WEIGHTS
from scanproof.study.saved_model import Weights, as_safetensors, check_hash, read_arrays, read_weights, write_folder
from scanproof.tracking.mlmodel import MLMODEL, classification_signature

if TYPE_CHECKING:
    from torch import nn


class ClassifierArrays(NamedTuple):
    """The numbers of a saved classifier.

    Args:
        weights: state of the network, by name.
        layers: what its layers saw of clean validation images
            (:func:`scanproof.classification.layers.layer_statistics`), against which their drift is told.
    """

    weights: Weights
    layers: Weights


def save_classifier(
    folder: Path, weights: Weights, layers: Weights, description: ClassifierDescription
) -> ClassifierDescription:
    """Write the folder of a classifier; it needs neither MLflow nor a network to be read.

    Args:
        folder: made where it is missing; must be empty.
        weights: state of the network, by name.
        layers: float64 by ``"<number>/<name>/<kind>/<statistic>"``; see :class:`ClassifierArrays`.
        description: what the weights are.

    Returns:
        The description with the hashes of the files.

    Raises:
        ScanproofError: the folder holds something, or cannot be written.
    """
    files = {WEIGHTS: as_safetensors(weights), LAYERS: as_safetensors(layers)}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    described = description.model_copy(update={"weights_sha256": hashes[WEIGHTS], "layers_sha256": hashes[LAYERS]})
    signature = classification_signature(described.dimensions, targets=len(described.targets))
    write_folder(folder, files, described.model_dump(mode="json"), signature=signature)
    return described


def read_classifier(folder: Path, *, model_sha256: str) -> ClassifierArrays:
    """The numbers of a folder that must have this hash and fit the network that it names.

    Args:
        folder: folder of a saved classifier.
        model_sha256: what :func:`~scanproof.study.saved_model.hash_weights` must give of the weights.

    Raises:
        ScanproofError: see :func:`~scanproof.study.classifier_description.read_classifier_description` and
            :func:`~scanproof.study.saved_model.read_weights`; other weights than these, or weights that do not fit the
            network.
    """
    description = read_classifier_description(folder)
    check_hash(description.model_sha256, model_sha256, file=folder / MLMODEL)
    arrays = ClassifierArrays(
        read_weights(folder, description), read_arrays(folder / LAYERS, sha256=description.layers_sha256)
    )
    build_saved_classifier(description, arrays.weights, file=folder / WEIGHTS)
    return arrays


def load_classifier(folder: Path) -> nn.Module:
    """The network in a folder, ready to read: (batch, 1, *spatial), normalised, to logits (batch, targets).

    Args:
        folder: folder of a saved classifier.

    Raises:
        ScanproofError: see :func:`read_classifier`.
    """
    description = read_classifier_description(folder)
    return build_saved_classifier(description, read_weights(folder, description), file=folder / WEIGHTS)


def build_saved_classifier(description: ClassifierDescription, weights: Weights, *, file: Path) -> nn.Module:
    """The network that a description names, with these weights, in evaluation mode.

    Args:
        description: names network, options and normalization.
        weights: state of the network.
        file: where they were read, for the error.

    Raises:
        ScanproofError: the network has other weights or normalization layers, or the options are wrong.
    """
    import torch

    from scanproof.classification.networks import build_classifier

    network, counts = build_classifier(
        description.network,
        norm=description.norm,
        seed=0,
        options=description.options,
        outputs=len(description.targets),
        dimensions=description.dimensions,
    )
    if counts != description.norm_layers:
        rule = f"network {description.network} must have the normalization layers {description.norm_layers}"
        raise ScanproofError(rule, file=file, value=counts)
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    except (RuntimeError, TypeError, ValueError) as error:
        # PyTorch lists every weight; the first ones tell what is wrong
        said = " ".join(str(error).split())[:300]
        raise ScanproofError(f"weights must fit the network {description.network}", file=file, hint=said) from None
    return network.eval()
