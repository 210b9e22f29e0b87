"""From the finished training of a reconstruction to a version in MLflow's model registry."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanproof.errors import ScanproofError, unknown_name
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study import record
from scanproof.study.executor import execute
from scanproof.study.fields import plain_name
from scanproof.study.fingerprint import code_version, method_version
from scanproof.study.model_description import ModelDescription, TrainedSampling
from scanproof.study.run import Workspace, definition_hash, plan_study
from scanproof.study.saved_model import hash_weights, load_reconstructor, save_model
from scanproof.tracking.metrics import part
from scanproof.tracking.register import NewVersion, register_version

if TYPE_CHECKING:
    from scanproof.study.definition import Study
    from scanproof.study.plan import Plan, Task
    from scanproof.study.store import Payload, Store
    from scanproof.tracking.registry import Version

_ABOUT = "A reconstruction of MR images from undersampled k-space. Not for clinical use."


@dataclass(frozen=True)
class Registered:
    """What registering gave.

    Args:
        version: in the registry.
        new: whether it was not there before.
    """

    version: Version
    new: bool


def register_reconstruction(
    study: Study,
    workspace: Workspace,
    reconstruction: str,
    *,
    uri: str,
    name: str | None = None,
    acceleration: float | None = None,
    folder: Path | None = None,
    command: Sequence[str] = ("scanproof", "run"),
) -> Registered:
    """Register the trained network of a reconstruction.

    Args:
        study: that has trained it.
        workspace: where it ran.
        reconstruction: its name in the study.
        uri: tracking URI.
        name: of the registered model; default the names of study and reconstruction.
        acceleration: of the network, where the study has several.
        folder: where to write the model, besides; must be empty.
        command: that runs the study, for the error.

    Raises:
        ScanproofError: no such reconstruction, one that is not trained here or not yet, several accelerations of which
            none is chosen, or MLflow refuses.
    """
    try:
        name = plain_name(name or f"{study.name}-{reconstruction}")
    except ValueError as error:
        raise ScanproofError(f"name of a model {error}", key="--as", value=name) from None
    plan = plan_study(study, workspace)
    task = _training(study, plan, reconstruction, acceleration)
    store = workspace.store
    if task.key not in store:
        raise ScanproofError(
            "training must be finished", key=reconstruction, value="not trained yet", hint=f"run: {shlex.join(command)}"
        )
    payload = store.get(task.key)
    description = _describe(study, reconstruction, task, payload, store)
    with tempfile.TemporaryDirectory() as temporary:
        description = save_model(Path(temporary) / "model", payload.arrays, description)
        load_reconstructor(Path(temporary) / "model")  # nothing is registered that could not be loaded again
        if folder is not None:
            save_model(folder, payload.arrays, description)
        version, new = register_version(
            NewVersion(
                name=name,
                folder=Path(temporary) / "model",
                experiment=study.name,
                training=record.training_record(task, payload),
                tags=_tags(description),
                params={key: value for key, value in _tags(description).items() if "sha256" not in key},
                description=_text(description),
                about=_ABOUT,
            ),
            uri=uri,
            artifact_root=workspace.root / "artifacts",
        )
    return Registered(version, new)


def _training(study: Study, plan: Plan, reconstruction: str, acceleration: float | None) -> Task:
    """The task whose weights are asked for."""
    methods = {entry.name: entry.method for entry in study.reconstruction}
    if reconstruction not in methods:
        raise unknown_name(f"reconstruction of study {study.name}", reconstruction, methods)
    found = {factor: task for (name, factor), task in plan.networks.items() if name == reconstruction}
    if not found:
        raise ScanproofError(
            "reconstruction must be one that is trained", key=reconstruction, value=methods[reconstruction]
        )
    if acceleration is None and len(found) == 1:
        acceleration = next(iter(found))
    if acceleration not in found:
        known = ", ".join(f"{factor:g}" for factor in found)
        raise ScanproofError(f"must be an acceleration of the study: {known}", key="--acceleration", value=acceleration)
    if found[acceleration].kind == "load_reconstruction":
        raise ScanproofError("reconstruction must be trained in the study, not loaded from a model", key=reconstruction)
    return found[acceleration]


def _describe(study: Study, reconstruction: str, task: Task, payload: Payload, store: Store) -> ModelDescription:
    plan = next(entry for entry in study.reconstruction if entry.name == reconstruction)
    hashes = {}
    for cohort in task.inputs["cohorts"]:
        execute([cohort], store, workers=1)  # it is there, unless the store was tidied
        hashes[str(cohort.params["site"])] = record.data_hash(store.get(cohort.key))
    params: Mapping[str, Any] = task.params
    facts: Mapping[str, Any] = payload.facts
    history = payload.tables["history"].set_index("epoch")
    return ModelDescription(
        method=plan.method,
        options=study.options_of(plan),
        package=method_version(RECONSTRUCTORS.location(plan.method)),
        sampling=TrainedSampling(**{key: params[key] for key in TrainedSampling.model_fields}),
        data_sha256=hashes,
        model_sha256=hash_weights(payload.arrays),
        seed=params["seed"],
        training_seed=params["training_seed"],
        best_epoch=facts["best_epoch"],
        best_score=float(history["val_loss"][facts["best_epoch"]]) if "val_loss" in history else None,
        study=study.name,
        study_sha256=definition_hash(study),
        code_version=code_version(),
    )


def _tags(description: ModelDescription) -> dict[str, str]:
    """Tags of a version, a plain text each."""
    sampling = description.sampling
    tags = {
        "method": description.method,
        "options": json.dumps(description.options, sort_keys=True),
        "mask": sampling.mask,
        "acceleration": f"{sampling.acceleration:g}",
        "center_fraction": f"{sampling.center_fraction:g}",
        "seed": str(description.seed),
        "training_seed": str(description.training_seed),
        "study": description.study,
        "study_sha256": description.study_sha256,
        "model_sha256": description.model_sha256,
        "code_version": description.code_version,
    }
    return tags | {f"data_sha256.{part(site)}": digest for site, digest in description.data_sha256.items()}


def _text(description: ModelDescription) -> str:
    """What the page of a version says."""
    sampling = description.sampling
    score = "" if description.best_score is None else f", validation loss {description.best_score:.4g}"
    return (
        f"{description.method}, trained in study {description.study} at {', '.join(sorted(description.data_sha256))} "
        f"for R = {sampling.acceleration:g} with {sampling.mask} lines and a share of {sampling.center_fraction:g} "
        f"around the centre{score}.\n\n"
        "Weights alone, as safetensors: a study loads them by the name of this version, and nothing in the folder is "
        "executed. Trained on simulated acquisitions; not for clinical use."
    )
