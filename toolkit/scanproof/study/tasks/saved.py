"""Classifiers that come trained from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanproof.study.external_plan import EXTERNAL_KEYS
from scanproof.study.store import Payload
from scanproof.study.tasks.context import Context, Inputs, Params

if TYPE_CHECKING:
    from scanproof.classification.external import ExternalClassifier
    from scanproof.external.network import Network


def load_classifier(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """What training the classifier has left, read from its folder; of another origin, its files."""
    if "format" in params:
        return _external(params, Path(context.local["path"]))
    from scanproof.study.classifier_description import read_classifier_description
    from scanproof.study.saved_classifier import read_classifier

    folder = Path(context.local["folder"])
    weights, layers = read_classifier(folder, model_sha256=params["model_sha256"])
    description = read_classifier_description(folder)
    names = ("classifier", "network", "training_seed", "norm", "options", "dimensions", "targets")
    statistics = np.repeat(list(layers), [len(values) for values in layers.values()])
    values = np.concatenate(list(layers.values()))
    return Payload(
        arrays=weights,
        tables={"layers": pd.DataFrame({"statistic": statistics, "value": values})},
        facts={
            **{name: params[name] for name in names},
            "columns": [params["labels"].index(target) for target in params["targets"]],
            "outputs": len(description.targets),
            "norm_layers": description.norm_layers,
            "exclusive": description.exclusive,
        },
    )


def _external(params: Params, path: Path) -> Payload:
    from scanproof.external.files import read_files
    from scanproof.study.saved_model import check_hash

    files = read_files(path)
    check_hash(files.sha256, params["model_sha256"], file=path)
    names = ("classifier", "norm", "labels", "targets", "dimensions", *EXTERNAL_KEYS)
    return Payload(
        arrays={name: np.frombuffer(data, np.uint8) for name, data in files.contents.items()},
        facts={
            **{name: params[name] for name in names},
            "training_seed": None,
            "columns": [params["labels"].index(target) for target in params["targets"]],
        },
    )


def external_classifier(payload: Payload) -> ExternalClassifier:
    """The classifier in the payload of a ``load_classifier`` task whose model is of another origin."""
    from scanproof.external.files import ModelFiles
    from scanproof.study.open_model import open_model

    facts: Mapping[str, Any] = payload.facts
    files = ModelFiles(facts["format"], {name: array.tobytes() for name, array in payload.arrays.items()})
    return make_external(facts, open_model(files, facts["network_def"]))


def make_external(keys: Mapping[str, Any], network: Network) -> ExternalClassifier:
    """A classifier of another origin from what the study file says of it.

    Args:
        keys: ``classifier``, ``labels`` and :data:`~scanproof.study.external_plan.EXTERNAL_KEYS`.
        network: of the model.

    Raises:
        ScanproofError: preprocessing that is unknown or does more than compute.
    """
    from scanproof.classification.external import ExternalClassifier
    from scanproof.classification.preparation import Preparation

    return ExternalClassifier(
        name=keys["classifier"],
        network=network,
        preparation=Preparation(
            steps=keys["preprocessing"] or ["zero_mean_unit_deviation"],
            spatial_size=tuple(keys["spatial_size"]) if keys["spatial_size"] else None,
            fit=keys["fit"] or "resize",
            channels=keys["channels"] or 1,
        ),
        outputs=len(keys["labels"]),
        output=keys["output"] or "logits",
        exclusive=bool(keys["exclusive"]),
    )
