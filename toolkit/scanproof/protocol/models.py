"""The weights of a finished study in folders beside its protocol, as safetensors alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanproof.classification.norms import training_norm
from scanproof.errors import ScanproofError
from scanproof.protocol.definition import FrozenModel, ModelKind
from scanproof.study.classifier_description import (
    ClassifierDescription,
    SavedClassifier,
    read_classifier_description,
)
from scanproof.study.classifier_plan import ClassifierPlan, model_key
from scanproof.study.definition import ReconstructionPlan, Study
from scanproof.study.model_description import ModelDescription, SavedModel, read_description
from scanproof.study.plan import Plan
from scanproof.study.saved_classifier import ClassifierArrays, read_classifier, save_classifier
from scanproof.study.saved_model import Weights as Arrays, read_model, save_model
from scanproof.study.store import Store
from scanproof.study.trained import classifier_arrays, describe_classifier, describe_reconstruction

#: what a frozen classifier says nothing of, for it is trained already
_OF_TRAINING = {"train_on", "augment", "training", "model", "model_sha256"}


@dataclass(frozen=True)
class Weights:
    """Weights that a protocol keeps.

    Args:
        kind: of the network.
        sha256: of the weights.
        save: writes them into a folder that is not there yet.
    """

    kind: ModelKind
    sha256: str
    save: Callable[[Path], object]


def network_weights(study: Study, plan: Plan, store: Store) -> dict[str, Weights]:
    """The weights of a finished study by the name of their folder.

    Args:
        study: that was run.
        plan: of it.
        store: where its trainings are.

    Raises:
        ScanproofError: a reconstruction that was trained for several accelerations, or two networks of one name.
    """
    found: dict[str, Weights] = {}
    for name, weights in [*_reconstructions(study, plan, store), *_classifiers(study, plan, store)]:
        if name in found:
            raise ScanproofError("names of networks must differ", key=study.name, value=name)
        found[name] = weights
    return found


def _reconstructions(study: Study, plan: Plan, store: Store) -> Iterator[tuple[str, Weights]]:
    for entry in study.reconstruction:
        factors = [factor for name, factor in plan.networks if name == entry.name]
        if not factors or entry.weights_from is not None:
            continue
        if entry.saved is not None:
            yield entry.name, _copy(entry.saved)
            continue
        if len(factors) > 1:
            rule = "must have been trained for one acceleration to be frozen"
            raise ScanproofError(rule, key=f"reconstruction {entry.name}", value=factors)
        task = plan.networks[entry.name, factors[0]]
        payload = store.get(task.key)
        description = describe_reconstruction(study, entry.name, task, payload, store)
        yield entry.name, _of_reconstruction(payload.arrays, description)


def _classifiers(study: Study, plan: Plan, store: Store) -> Iterator[tuple[str, Weights]]:
    for entry in study.classification:
        for norm, seed in entry.trainings:
            key = model_key(norm, seed)
            if entry.model is not None:
                yield f"{entry.name}-{key}", _copy_classifier(entry.saved[key])
                continue
            task = next(
                one
                for (name, read, number), one in plan.readers.items()
                if (name, training_norm(read), number) == (entry.name, norm, seed)
            )
            payload = store.get(task.key)
            description = describe_classifier(study, entry.name, plan, task, payload, store)
            yield f"{entry.name}-{key}", _of_classifier(classifier_arrays(payload), description)


def _of_reconstruction(arrays: Arrays, description: ModelDescription) -> Weights:
    return Weights("reconstruction", description.model_sha256, lambda folder: save_model(folder, arrays, description))


def _of_classifier(arrays: ClassifierArrays, description: ClassifierDescription) -> Weights:
    weights, layers = arrays
    return Weights(
        "classifier",
        description.model_sha256,
        lambda folder: save_classifier(folder, weights, layers, description),
    )


def _copy(saved: SavedModel) -> Weights:
    """Weights that the study itself has loaded."""
    arrays = read_model(saved.folder, model_sha256=saved.description.model_sha256)
    return _of_reconstruction(arrays, saved.description)


def _copy_classifier(saved: SavedClassifier) -> Weights:
    arrays = read_classifier(saved.folder, model_sha256=saved.description.model_sha256)
    return _of_classifier(arrays, saved.description)


def frozen_entries(study: Study, models: Mapping[str, FrozenModel]) -> dict[str, Any]:
    """The entries of a study that name networks, with saved ones in place of trainings.

    Args:
        study: that was run.
        models: its weights, by name.
    """
    return {
        "reconstruction": [_reconstruction(study, entry, models) for entry in study.reconstruction],
        "classification": [_classifier(entry, models) for entry in study.classification],
    }


def _reconstruction(study: Study, entry: ReconstructionPlan, models: Mapping[str, FrozenModel]) -> dict[str, Any]:
    content = entry.model_dump(mode="json", exclude={"model", "model_sha256"})
    if entry.name not in models:
        return content
    saved = models[entry.name]
    frozen = {"options": study.options_of(entry), "model": saved.folder, "model_sha256": saved.sha256}
    return {**content, "training_seed": 0, **frozen}


def _classifier(entry: ClassifierPlan, models: Mapping[str, FrozenModel]) -> dict[str, Any]:
    content = entry.model_dump(mode="json", exclude=_OF_TRAINING)
    keys = [model_key(norm, seed) for norm, seed in entry.trainings]
    saved = {key: models[f"{entry.name}-{key}"] for key in keys}
    place = saved[keys[0]].folder.removesuffix(keys[0]) + "{norm}-{seed}"
    return {**content, "model": place, "model_sha256": {key: one.sha256 for key, one in saved.items()}}


def write_models(weights: Mapping[str, Weights], models: Mapping[str, FrozenModel], *, beside: Path) -> None:
    """Write weights into their folders; what is there already with the same hash stays as it is.

    Args:
        weights: to write.
        models: their folders.
        beside: folder of the protocol.

    Raises:
        ScanproofError: a folder cannot be written.
    """
    for name, one in weights.items():
        folder = beside / models[name].folder
        if found_weights(folder, one.kind) == one.sha256:
            continue
        if folder.exists():
            shutil.rmtree(folder)
        one.save(folder)


def found_weights(folder: Path, kind: ModelKind) -> str:
    """Hash of the weights in a folder, or in words what is wrong with them.

    Args:
        folder: of a saved model.
        kind: that it must be of.
    """
    try:
        if kind == "classifier":
            stated = read_classifier_description(folder).model_sha256
            read_classifier(folder, model_sha256=stated)
        else:
            stated = read_description(folder).model_sha256
            read_model(folder, model_sha256=stated)
    except ScanproofError as error:
        return f"unusable: {error}"
    return stated
