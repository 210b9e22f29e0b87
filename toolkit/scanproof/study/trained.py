"""What a study has trained, found in the store and described so that others can load it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanproof.classification import CLASSIFIERS
from scanproof.classification.norms import Norm, training_norm
from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.table import CLEAN
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study import record
from scanproof.study.classifier_description import ClassifierDescription, OperatingPoint, TrainedImages
from scanproof.study.classifier_plan import model_key
from scanproof.study.executor import execute
from scanproof.study.fingerprint import code_version, method_version
from scanproof.study.model_description import ModelDescription, TrainedSampling
from scanproof.study.run import Workspace, definition_hash, plan_study
from scanproof.study.saved_classifier import ClassifierArrays, save_classifier
from scanproof.study.saved_model import hash_weights, save_model

if TYPE_CHECKING:
    from scanproof.study.definition import Study
    from scanproof.study.plan import Plan, Task
    from scanproof.study.store import Payload, Store


@dataclass(frozen=True)
class Trained:
    """A network that a study has trained.

    Args:
        name: ``NAME`` of a reconstruction (``NAME-R4`` where a study has several accelerations), ``NAME-NORM-SEED`` of
            a classifier.
        entry: its name in the study.
        task: its training.
        payload: what that has left.
        description: what it says of itself.
    """

    name: str
    entry: str
    task: Task
    payload: Payload
    description: ModelDescription | ClassifierDescription

    def save(self, folder: Path) -> ModelDescription | ClassifierDescription:
        """Write it into an empty folder; see :func:`~scanproof.study.saved_model.save_model`."""
        if isinstance(self.description, ClassifierDescription):
            return save_classifier(folder, *classifier_arrays(self.payload), self.description)
        return save_model(folder, self.payload.arrays, self.description)


def save_trained(study: Study, workspace: Workspace, folder: Path) -> dict[str, Path]:
    """Write every network that a finished study has trained into a folder of its own.

    Args:
        study: that has trained them.
        workspace: where it ran.
        folder: below which they are written, under their names (:class:`Trained`).

    Returns:
        Name of each to its folder.

    Raises:
        ScanproofError: a training is not finished, or a folder holds something.
    """
    written: dict[str, Path] = {}
    for one in trained_networks(study, plan_study(study, workspace), workspace.store):
        written[one.name] = folder / one.name
        one.save(folder / one.name)
    return written


def trained_networks(study: Study, plan: Plan, store: Store) -> Iterator[Trained]:
    """Every network that a study has trained, once.

    Args:
        study: that has trained them.
        plan: of the study.
        store: where it ran.

    Raises:
        ScanproofError: a training is not finished.
    """
    command = ["scanproof", "run", f"{study.name}.yaml"]
    several = len(study.acquisition.accelerations) > 1
    for (name, acceleration), task in plan.networks.items():
        if task.kind == "fit_reconstruction" and _weights_of(study, name) == name:
            place = f"{name}-R{acceleration:g}" if several else name
            payload = finished(task, store, name=place, command=command)
            yield Trained(place, name, task, payload, describe_reconstruction(study, name, task, payload, store))
    seen: set[str] = set()
    for (name, norm, seed), task in plan.readers.items():
        place = f"{name}-{model_key(norm, seed)}"
        if task.kind == "train_classifier" and place not in seen:
            seen.add(place)
            payload = finished(task, store, name=place, command=command)
            yield Trained(place, name, task, payload, describe_classifier(study, name, plan, task, payload, store))


def finished(task: Task, store: Store, *, name: str, command: Sequence[str]) -> Payload:
    """What a training has left.

    Args:
        task: the training.
        store: where it was kept.
        name: of the network, for the error.
        command: that runs the study, for the error.

    Raises:
        ScanproofError: it is not finished.
    """
    if task.key not in store:
        hint = f"run: {shlex.join(command)}"
        raise ScanproofError("training must be finished", key=name, value="not trained yet", hint=hint)
    return store.get(task.key)


def trained_classifier(
    study: Study, plan: Plan, classifier: str, *, norm: str | None = None, seed: int | None = None
) -> Task:
    """The training of a classifier.

    Args:
        study: that trains it.
        plan: of the study.
        classifier: its name in the study.
        norm: of the training, where the study has several.
        seed: likewise.

    Raises:
        ScanproofError: no such classifier, norm or seed, several of which none is chosen, or one that is loaded.
    """
    plans = {entry.name: entry for entry in study.classification}
    if classifier not in plans:
        raise unknown_name(f"classifier of study {study.name}", classifier, plans)
    entry = plans[classifier]
    if entry.model is not None:
        raise ScanproofError("classifier must be trained in the study, not loaded from a model", key=classifier)
    norms = list(dict.fromkeys(map(training_norm, entry.norms)))
    chosen = _chosen(norm, norms, "--norm"), _chosen(seed, entry.seeds, "--seed")
    return next(
        task
        for (name, read, number), task in plan.readers.items()
        if (name, training_norm(read), number) == (classifier, *chosen)
    )


def describe_reconstruction(
    study: Study, reconstruction: str, task: Task, payload: Payload, store: Store
) -> ModelDescription:
    """What a trained reconstruction says of itself.

    Args:
        study: that trained it.
        reconstruction: its name in the study.
        task: its training.
        payload: what that has left.
        store: where it ran.
    """
    plan = next(entry for entry in study.reconstruction if entry.name == reconstruction)
    params: Mapping[str, Any] = task.params
    facts: Mapping[str, Any] = payload.facts
    history = payload.tables["history"].set_index("epoch")
    return ModelDescription(
        method=plan.method,
        options=study.options_of(plan),
        package=method_version(RECONSTRUCTORS.location(plan.method)),
        sampling=TrainedSampling(**{key: params[key] for key in TrainedSampling.model_fields}),
        data_sha256=_data_hashes(task.inputs["cohorts"], store),
        model_sha256=hash_weights(payload.arrays),
        seed=params["seed"],
        training_seed=params["training_seed"],
        best_epoch=facts["best_epoch"],
        best_score=float(history["val_loss"][facts["best_epoch"]]) if "val_loss" in history else None,
        study=study.name,
        study_sha256=definition_hash(study),
        code_version=code_version(),
    )


def describe_classifier(
    study: Study, classifier: str, plan: Plan, task: Task, payload: Payload, store: Store
) -> ClassifierDescription:
    """What a trained classifier says of itself; its operating points too, once the study is finished.

    Args:
        study: that trained it.
        classifier: its name in the study.
        plan: of the study.
        task: its training.
        payload: what that has left.
        store: where it ran.
    """
    entry = next(one for one in study.classification if one.name == classifier)
    source = next(one for one in study.reconstruction if one.name == entry.train_on)
    params: Mapping[str, Any] = task.params
    facts: Mapping[str, Any] = payload.facts
    history = payload.tables["history"].set_index("epoch")
    images = task.inputs["training"]
    acceleration: Any = images[0].params["acceleration"]
    return ClassifierDescription(
        network=entry.network,
        options=entry.options,
        package=method_version(CLASSIFIERS.location(entry.network)),
        norm=params["norm"],
        norm_layers=facts["norm_layers"],
        dimensions=entry.dimensions,
        targets=facts["targets"],
        exclusive=facts["exclusive"],
        images=TrainedImages(
            reconstruction=source.name, method=source.method, acceleration=acceleration, matrix=study.data.matrix
        ),
        operating_points=_operating_points(study, classifier, plan, params["norm"], params["training_seed"], store),
        data_sha256=_data_hashes([one.inputs["cohort"][0] for one in images], store),
        model_sha256=hash_weights(payload.arrays),
        seed=params["seed"],
        training_seed=params["training_seed"],
        best_epoch=facts["best_epoch"],
        best_score=float(history["val_auroc"][facts["best_epoch"]]),
        study=study.name,
        study_sha256=definition_hash(study),
        code_version=code_version(),
    )


def classifier_arrays(payload: Payload) -> ClassifierArrays:
    """Weights of a trained classifier, and what its layers saw of validation images."""
    groups = payload.tables["layers"].groupby("statistic", sort=False)["value"]
    return ClassifierArrays(payload.arrays, {str(name): values.to_numpy(np.float64) for name, values in groups})


def _operating_points(
    study: Study, classifier: str, plan: Plan, norm: Norm, seed: int, store: Store
) -> list[OperatingPoint]:
    """Of every chain that reads with the weights of a training; none before the study is finished."""
    from scanproof.evaluation.chains import operating_points

    if plan.result.key not in store:
        return []
    rows = _validation(store, plan.result.key)
    norms = [one for one in rows["norm"].unique() if training_norm(one) == norm]
    rows = rows[(rows["classifier"] == classifier) & (rows["seed"] == seed) & rows["norm"].isin(norms)]
    if rows.empty:
        return []
    sensitivity = study.evaluation.sensitivity
    return [
        OperatingPoint.model_validate(
            {
                "target": target,
                "reconstruction": reader[0],
                "acceleration": reader[1],
                "norm": reader[3],
                "sensitivity": sensitivity,
                "threshold": threshold,
            }
        )
        for target, readers in operating_points(rows, sensitivity=sensitivity).items()
        for reader, threshold in readers.items()
    ]


@lru_cache(maxsize=1)
def _validation(store: Store, key: str) -> pd.DataFrame:
    """Clean validation rows of a finished study, read once for all its networks; of norms that are known."""
    rows = store.get(key).tables["predictions"]
    own = (rows["split"] == "val") & (rows["shift"] == CLEAN) & rows["seed"].notna()
    return rows[own]


@lru_cache(maxsize=8)
def _data_hash(store: Store, key: str) -> str:
    return record.data_hash(store.get(key))


def _data_hashes(cohorts: Sequence[Task], store: Store) -> dict[str, str]:
    hashes = {}
    for cohort in cohorts:
        execute([cohort], store, workers=1)  # it is there, unless the store was tidied
        hashes[str(cohort.params["site"])] = _data_hash(store, cohort.key)
    return hashes


def _weights_of(study: Study, reconstruction: str) -> str:
    """The reconstruction whose weights one works with."""
    plan = next(entry for entry in study.reconstruction if entry.name == reconstruction)
    return plan.weights_from or plan.name


def _chosen(asked: object, known: Sequence[object], option: str) -> object:
    if asked is None and len(known) == 1:
        return known[0]
    if asked not in known:
        names = ", ".join(map(str, known))
        raise ScanproofError(f"must be one that the study trains: {names}", key=option, value=asked)
    return asked
