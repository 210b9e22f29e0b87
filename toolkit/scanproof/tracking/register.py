"""A saved model becomes a version in MLflow's model registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scanproof.tracking.client import connect, environment
from scanproof.tracking.experiment import prepare
from scanproof.tracking.model import TrainingRecord
from scanproof.tracking.registry import Version, list_versions, read_version
from scanproof.tracking.training import log_records

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: tags that tell whether a version is the same network
_IDENTITY = ("model_sha256", "method", "network", "norm", "options")
Identity = tuple[str | None, ...]
_VERSIONS = "mlflow.modelVersions"


@dataclass(frozen=True, kw_only=True)
class NewVersion:
    """What is registered.

    Args:
        name: of the registered model.
        folder: of the saved model.
        experiment: study whose training it is.
        training: the training itself; tracked with the version if it was not before.
        tags: of the version; ``model_sha256``, ``method`` or ``network`` and ``norm``, and ``options`` tell it from
            others.
        description: what its page says.
        about: what the page of the registered model says, where that is new.
        params: what MLflow lists as the model's parameters.
        kind: what the model does.
        alias: moved to the version where that is new.
    """

    name: str
    folder: Path
    experiment: str
    training: TrainingRecord
    tags: Mapping[str, str]
    description: str
    about: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["reconstruction", "classifier"] = "reconstruction"
    alias: str | None = None


def register_versions(
    versions: Sequence[NewVersion], *, uri: str, artifact_root: Path | None = None
) -> list[tuple[Version, bool]]:
    """Register saved models as the next versions, but those of which one with the same weights and method exists.

    Args:
        versions: the models, all of one experiment.
        uri: tracking URI.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        The version of each, and whether it is new.

    Raises:
        ScanproofError: the database or server cannot be used, or refuses a model.
    """
    if not versions:
        return []
    experiment_id = prepare(uri, experiment=versions[0].experiment, artifact_root=artifact_root)
    found: list[tuple[Version, bool]] = []
    with connect(uri) as client:
        there = {name: _versions(client, name, versions) for name in dict.fromkeys(new.name for new in versions)}
        fresh = [new for new in versions if _identity(new.tags) not in there[new.name]]
        runs = log_records(client, experiment_id, [new.training for new in fresh])
        for new in versions:
            version, known = there[new.name].get(_identity(new.tags)), True
            if version is None:
                version, known = (
                    _create_version(client, new, experiment_id=experiment_id, run_id=runs[new.training.key]),
                    False,
                )
                there[new.name][_identity(new.tags)] = version
            if new.alias is not None and not known:
                client.set_registered_model_alias(new.name, new.alias, str(version.number))
            found.append((version, not known))
    return found


def _versions(client: MlflowClient, name: str, versions: Sequence[NewVersion]) -> dict[Identity, Version]:
    """The versions of a registered model, which is made where it is new, by what tells them apart."""
    _create_model(client, next(new for new in versions if new.name == name))
    return {_identity(one.tags): read_version(client, one) for one in reversed(list_versions(client, name))}


def _identity(tags: Mapping[str, str]) -> Identity:
    return tuple(tags.get(key) for key in _IDENTITY)


def _create_model(client: MlflowClient, new: NewVersion) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(new.name, description=new.about)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise


def _create_version(client: MlflowClient, new: NewVersion, *, experiment_id: str, run_id: str) -> Version:
    """Store the files as a model of the training's run, and register that."""
    from mlflow.entities import LoggedModelOutput

    name = new.name.replace(".", "_")  # MLflow refuses dots here alone
    _discard_unregistered(client, experiment_id, name=name, run_id=run_id)
    logged = client.create_logged_model(
        experiment_id,
        name=name,
        source_run_id=run_id,
        tags={**new.tags, "mlflow.note.content": new.description},
        params=dict(new.params),
        model_type=new.kind,
    )
    try:
        with environment(MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false"):
            client.log_model_artifacts(logged.model_id, str(new.folder))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
        version = client.create_model_version(
            new.name,
            source=logged.artifact_location,
            run_id=run_id,
            tags=dict(new.tags),
            description=new.description,
            model_id=logged.model_id,
        )
    except BaseException:
        with suppress(Exception):  # the first error tells more than that what it left could not be removed either
            client.delete_logged_model(logged.model_id)
        raise
    number = f'[{{"name": "{new.name}", "version": {int(version.version)}}}]'
    client.set_logged_model_tags(logged.model_id, {_VERSIONS: number})
    return read_version(client, version)


def _discard_unregistered(client: MlflowClient, experiment_id: str, *, name: str, run_id: str) -> None:
    """Delete what a killed process has stored of a run's model and not registered."""
    found = client.search_logged_models([experiment_id], filter_string=f"name = '{name}'")
    for model in found:
        if model.source_run_id == run_id and _VERSIONS not in model.tags:
            client.delete_logged_model(model.model_id)
