"""Models that MLflow stored in a flavour of its own: opening one executes what it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from scanproof.tracking.client import environment, import_mlflow


def open_flavour(folder: Path) -> Callable[..., Any]:
    """The function that a model of MLflow is: its PyTorch network, else what its Python flavour predicts of arrays.

    Args:
        folder: with ``MLmodel``. Only for models that are trusted: MLflow unpickles.
    """
    flavours = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
    import_mlflow()
    with environment(MLFLOW_ALLOW_PICKLE_DESERIALIZATION="true"):
        if "pytorch" in flavours:
            import mlflow.pytorch

            network: Callable[..., Any] = mlflow.pytorch.load_model(str(folder))
            return network
        import mlflow.pyfunc

        function: Any = mlflow.pyfunc.load_model(str(folder))
    predict: Callable[..., Any] = function.predict
    return predict
