"""The file ``MLmodel`` of a saved reconstruction: what MLflow shows of it, and nothing that it could run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.tracking.client import import_mlflow

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

#: name of the file, and of the flavour that scanproof reads
MLMODEL, FLAVOUR = "MLmodel", "scanproof"


def reconstruction_signature(dimensions: int) -> ModelSignature:
    """Inputs and output of a reconstruction method; ``-1`` is an axis of any length.

    Args:
        dimensions: 2 for a slice, 3 for a volume.

    Example:
        >>> str(reconstruction_signature(2).outputs)
        "['image': Tensor('float32', (1, -1, -1))]"
    """
    import_mlflow()
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    spatial = (-1,) * dimensions
    coils = (-1, *spatial)
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype("complex64"), coils, "kspace"),
        TensorSpec(np.dtype("bool"), coils, "mask"),
        TensorSpec(np.dtype("complex64"), coils, "sensitivities"),
    ]
    outputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype("float32"), (1, *spatial), "image")]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def write_mlmodel(folder: Path, description: Mapping[str, object], *, weights: Path, dimensions: int) -> None:
    """Write the file that makes a folder an MLflow model of the flavour ``scanproof``.

    It names no loader, so that MLflow itself can show the model but has nothing to execute.

    Args:
        folder: folder of the model.
        description: content of the flavour, in plain YAML types.
        weights: file whose size MLflow shows.
        dimensions: 2 for a method that reconstructs slices, 3 for volumes.
    """
    signature = reconstruction_signature(dimensions)
    from mlflow.models import Model

    model = Model(signature=signature, model_size_bytes=weights.stat().st_size)
    model.add_flavor(FLAVOUR, **description)
    model.save(folder / MLMODEL)
