"""Classifiers: how they are trained, and what they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanproof.data.labels import labels_of, targets_of
from scanproof.errors import ScanproofError
from scanproof.study.store import Payload, Store
from scanproof.study.tasks.context import Context, Inputs, Params, trained
from scanproof.study.tasks.images import read_images
from scanproof.study.tasks.units import volume_cases, volume_images

if TYPE_CHECKING:
    from torch import nn

    from scanproof.classification.external import ExternalClassifier

#: what a classifier is built from
_BUILD = ("norm", "options", "dimensions")
#: what is told of the drift of a layer
DRIFT = ("input_mean_drift", "input_log_variance", "output_mean_drift", "output_log_variance")
#: share of the epochs after which a training with batch_frozen keeps its statistics
_FREEZE = 0.5


def train(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Train a classifier on clean images, and keep what its layers saw of validation images."""
    from scanproof.classification.augmentation import Augmentation
    from scanproof.classification.classifier import train_classifier
    from scanproof.classification.layers import layer_statistics
    from scanproof.classification.networks import build_classifier
    from scanproof.seeds import derive_seed
    from scanproof.training.options import TrainingOptions

    payloads = {role: [context.store.get(one) for one in inputs[role]] for role in ("training", "validation")}
    data = {role: _data(found, dimensions=params["dimensions"]) for role, found in payloads.items()}
    first = payloads["training"][0]
    targets, exclusive = targets_of(first.tables["cases"]), bool(first.facts["exclusive"])
    # the same seed for every norm: they start from the same weights and see the same batches
    seed = derive_seed(params["seed"], "classifier", params["classifier"], params["training_seed"])
    build = {name: params[name] for name in _BUILD}
    network, counts = build_classifier(params["network"], seed=seed, outputs=len(targets), **build)
    names = ("epochs", "batch_size", "learning_rate", "weight_decay", "patience")
    result = train_classifier(
        network,
        training=data["training"],
        validation=data["validation"],
        options=TrainingOptions(**{name: params[name] for name in names}),
        seed=seed,
        exclusive=exclusive,
        augment=[Augmentation(**{**one, "severities": tuple(one["severities"])}) for one in params["augment"]],
        freeze_statistics=_FREEZE if params["norm"] == "batch_frozen" else None,
        handlers=context.handlers(key, params) if context.handlers else (),
    )
    learned = trained(result)
    model = {name: params[name] for name in ("classifier", "network", "training_seed", *_BUILD)}
    return Payload(
        arrays=learned.arrays,
        tables={**learned.tables, "layers": _as_table(layer_statistics(network, data["validation"][0]))},
        facts={
            **learned.facts,
            **model,
            "norm_layers": counts,
            "targets": list(targets),
            "exclusive": exclusive,
        },
    )


def predict(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """Read images; a network as it was trained also tells how far its layers drifted."""
    from scanproof.classification.adaptation import predict_adapted
    from scanproof.classification.layers import drift, watched
    from scanproof.classification.norms import training_norm
    from scanproof.seeds import derive_seed

    if "format" in params:
        return _predict_external(params, inputs, context)
    network, facts, reference = _load(context.store, inputs["model"][0])
    images = _images(context.store.get(inputs["images"][0]), dimensions=facts["dimensions"])
    others = inputs.get("reference")
    reading: dict[str, Any] = {
        "reference_images": _images(context.store.get(others[0]), dimensions=facts["dimensions"]) if others else None,
        "exclusive": facts["exclusive"],
        "seed": derive_seed(params["seed"], "adaptation", params["norm"]),
    }
    told: dict[str, object] = {}
    if training_norm(params["norm"]) == params["norm"]:
        with watched(network) as watch:
            read = predict_adapted(network, params["norm"], images, **reading)
        layers = drift(reference, watch.statistics())
        arrays = {"probability": read, "drift": layers[[*DRIFT]].to_numpy(np.float64)}
        told["layers"] = layers["name"].tolist()
    else:
        arrays = {"probability": predict_adapted(network, params["norm"], images, **reading)}
    if "columns" in facts:  # a network that was loaded may look for more, and in another order
        arrays["probability"] = arrays["probability"][:, facts["columns"]]
    return Payload(
        arrays=arrays,
        facts={
            **{name: facts[name] for name in ("classifier", "targets", "dimensions")},
            **told,
            "norm": params["norm"],
            "seed": facts["training_seed"],
            "images": inputs["images"][0],
        },
    )


def _predict_external(params: Params, inputs: Inputs, context: Context) -> Payload:
    """What a model of another origin reads; of its layers nothing is told."""
    reader, facts = _load_external(context.store, inputs["model"][0])
    images = _images(context.store.get(inputs["images"][0]), dimensions=facts["dimensions"])
    return Payload(
        arrays={"probability": reader.probabilities(images)[:, facts["columns"]]},
        facts={
            **{name: facts[name] for name in ("classifier", "targets", "dimensions", "norm")},
            "seed": None,
            "images": inputs["images"][0],
        },
    )


@lru_cache(maxsize=2)
def _load_external(store: Store, key: str) -> tuple[ExternalClassifier, Mapping[str, Any]]:
    from scanproof.study.tasks.saved import external_classifier

    payload = store.get(key)
    return external_classifier(payload), payload.facts


def _data(payloads: Sequence[Payload], *, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels (N, targets) of several sites."""
    tables = [_cases(payload, dimensions=dimensions) for payload in payloads]
    images = [_images(payload, dimensions=dimensions) for payload in payloads]
    return np.concatenate(images), np.concatenate([labels_of(table) for table in tables])


def _images(payload: Payload, *, dimensions: int) -> np.ndarray:
    images = read_images(payload)
    return images if dimensions == 2 else volume_images(images, payload.tables["cases"])


def _cases(payload: Payload, *, dimensions: int) -> pd.DataFrame:
    cases = payload.tables["cases"]
    return cases if dimensions == 2 else volume_cases(cases)


def _as_table(statistics: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Statistics of layers, one row a number."""
    names = np.repeat(list(statistics), [len(values) for values in statistics.values()])
    return pd.DataFrame({"statistic": names, "value": np.concatenate(list(statistics.values()))})


@lru_cache(maxsize=8)
def _load(store: Store, key: str) -> tuple[nn.Module, Mapping[str, Any], Mapping[str, np.ndarray]]:
    """A trained classifier, its facts and what its layers saw of validation images."""
    import torch

    from scanproof.classification.networks import build_classifier

    payload = store.get(key)
    facts: Mapping[str, Any] = payload.facts
    build = {name: facts[name] for name in _BUILD}
    outputs = int(facts.get("outputs", len(facts["targets"])))
    network, counts = build_classifier(facts["network"], seed=0, outputs=outputs, **build)
    if counts != facts["norm_layers"]:
        raise ScanproofError(f"classifier must have the norm layers {facts['norm_layers']}", key=key, value=counts)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in payload.arrays.items()})
    layers = payload.tables["layers"].groupby("statistic", sort=False)["value"]
    return network.eval(), facts, {str(name): values.to_numpy(np.float64) for name, values in layers}
