"""From a finished training to a version in MLflow's model registry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from scanproof.errors import ScanproofError, unknown_name
from scanproof.study import record
from scanproof.study.classifier_description import ClassifierDescription
from scanproof.study.fields import plain_name
from scanproof.study.run import Workspace, plan_study
from scanproof.study.saved_classifier import load_classifier
from scanproof.study.saved_model import load_reconstructor
from scanproof.study.trained import (
    Trained,
    describe_classifier,
    describe_reconstruction,
    finished,
    trained_classifier,
    trained_networks,
)
from scanproof.study.versions import classifier_version, reconstruction_version
from scanproof.tracking.register import register_versions

if TYPE_CHECKING:
    from scanproof.study.definition import Study
    from scanproof.study.plan import Plan, Task
    from scanproof.tracking.registry import Version


class _Common(TypedDict):
    """Arguments that both kinds of networks have."""

    uri: str
    name: str | None
    folder: Path | None
    command: Sequence[str]


@dataclass(frozen=True)
class Registered:
    """What registering gave.

    Args:
        version: in the registry.
        new: whether it was not there before.
    """

    version: Version
    new: bool


def register_network(
    study: Study,
    workspace: Workspace,
    network: str,
    *,
    uri: str,
    name: str | None = None,
    acceleration: float | None = None,
    norm: str | None = None,
    seed: int | None = None,
    folder: Path | None = None,
    command: Sequence[str] = ("scanproof", "run"),
) -> Registered:
    """Register a trained reconstruction or classifier, whichever has the name.

    Arguments and errors as in :func:`register_reconstruction` and :func:`register_classifier`.

    Raises:
        ScanproofError: a choice that the other kind has, and a name that neither has or both have.
    """
    classifiers = [entry.name for entry in study.classification]
    methods = [entry.name for entry in study.reconstruction]
    if network in classifiers and network in methods:
        raise ScanproofError("must name one network, but is a classifier and a reconstruction", value=network)
    common: _Common = {"uri": uri, "name": name, "folder": folder, "command": command}
    if network in classifiers:
        if acceleration is not None:
            raise ScanproofError("is a choice of reconstructions", key="--acceleration", value=acceleration)
        return register_classifier(study, workspace, network, norm=norm, seed=seed, **common)
    if network not in methods:
        raise unknown_name(f"reconstruction or classifier of study {study.name}", network, [*methods, *classifiers])
    for option, value in (("--norm", norm), ("--seed", seed)):
        if value is not None:
            raise ScanproofError("is a choice of classifiers", key=option, value=value)
    return register_reconstruction(study, workspace, network, acceleration=acceleration, **common)


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
    name = _model_name(name or f"{study.name}-{reconstruction}")
    plan, store = plan_study(study, workspace), workspace.store
    task = _training(study, plan, reconstruction, acceleration)
    payload = finished(task, store, name=reconstruction, command=command)
    description = describe_reconstruction(study, reconstruction, task, payload, store)
    trained = Trained(reconstruction, reconstruction, task, payload, description)
    return _register([(name, trained)], workspace, uri=uri, folder=folder)[0]


def register_classifier(
    study: Study,
    workspace: Workspace,
    classifier: str,
    *,
    uri: str,
    name: str | None = None,
    norm: str | None = None,
    seed: int | None = None,
    folder: Path | None = None,
    command: Sequence[str] = ("scanproof", "run"),
) -> Registered:
    """Register a trained classifier.

    Args:
        study: that has trained it.
        workspace: where it ran.
        classifier: its name in the study.
        uri: tracking URI.
        name: of the registered model; default the names of study and classifier.
        norm: of the training, where the study has several.
        seed: likewise.
        folder: where to write the model, besides; must be empty.
        command: that runs the study, for the error.

    Raises:
        ScanproofError: no such classifier, norm or seed, several of which none is chosen, one that is not trained here
            or not yet, or MLflow refuses.
    """
    name = _model_name(name or f"{study.name}-{classifier}")
    plan, store = plan_study(study, workspace), workspace.store
    task = trained_classifier(study, plan, classifier, norm=norm, seed=seed)
    payload = finished(task, store, name=classifier, command=command)
    description = describe_classifier(study, classifier, plan, task, payload, store)
    trained = Trained(classifier, classifier, task, payload, description)
    return _register([(name, trained)], workspace, uri=uri, folder=folder)[0]


def register_trained(study: Study, workspace: Workspace, plan: Plan, *, uri: str) -> list[Registered]:
    """Register every network that a finished study has trained, each once: a run does so of itself.

    Args:
        study: that has trained them.
        workspace: where it ran.
        plan: of the study.
        uri: tracking URI.

    Raises:
        ScanproofError: MLflow refuses.
    """
    networks = trained_networks(study, plan, workspace.store)
    return _register([(f"{study.name}-{one.entry}", one) for one in networks], workspace, uri=uri)


def _register(
    networks: Iterable[tuple[str, Trained]], workspace: Workspace, *, uri: str, folder: Path | None = None
) -> list[Registered]:
    """Register networks under their names, each after it was saved and loaded again; ``folder`` takes a copy."""
    with tempfile.TemporaryDirectory() as temporary:
        versions = []
        for name, one in networks:
            place = Path(temporary) / one.name
            described, training = one.save(place), record.training_record(one.task, one.payload)
            if isinstance(described, ClassifierDescription):
                load_classifier(place)
                versions.append(classifier_version(name, described, training, place))
            else:
                load_reconstructor(place)
                versions.append(reconstruction_version(name, described, training, place))
            if folder is not None:
                one.save(folder)
        found = register_versions(versions, uri=uri, artifact_root=workspace.root / "artifacts")
    return [Registered(version, added) for version, added in found]


def _model_name(name: str) -> str:
    try:
        return plain_name(name)
    except ValueError as error:
        raise ScanproofError(f"name of a model {error}", key="--as", value=name) from None


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
