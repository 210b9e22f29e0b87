"""The file ``MLmodel`` of a saved network: what MLflow shows of it, and nothing that it could run."""

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


def classification_signature(dimensions: int, *, targets: int) -> ModelSignature:
    """Input and output of a classifier; ``-1`` is an axis of any length.

    Args:
        dimensions: 2 for slices, 3 for volumes.
        targets: number of probabilities of a case.

    Example:
        >>> str(classification_signature(2, targets=3).outputs)
        "['probability': Tensor('float64', (-1, 3))]"
    """
    import_mlflow()
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    images = TensorSpec(np.dtype("float32"), (-1, 1, *(-1,) * dimensions), "image")
    read = TensorSpec(np.dtype("float64"), (-1, targets), "probability")
    return ModelSignature(inputs=Schema([images]), outputs=Schema([read]))


def write_mlmodel(folder: Path, description: Mapping[str, object], *, weights: Path, signature: ModelSignature) -> None:
    """Write the file that makes a folder an MLflow model of the flavour ``scanproof``.

    It names no loader, so that MLflow itself can show the model but has nothing to execute.

    Args:
        folder: folder of the model.
        description: content of the flavour, in plain YAML types.
        weights: file whose size MLflow shows.
        signature: inputs and outputs.
    """
    from mlflow.models import Model

    model = Model(signature=signature, model_size_bytes=weights.stat().st_size)
    model.add_flavor(FLAVOUR, **description)
    model.save(folder / MLMODEL)
