"""A saved model becomes a version in MLflow's model registry."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.tracking.client import connect, environment
from scanproof.tracking.experiment import prepare
from scanproof.tracking.model import TrainingRecord
from scanproof.tracking.registry import Version, list_versions, read_version
from scanproof.tracking.training import log_records

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: tags that tell whether a version is the same network
_IDENTITY = ("model_sha256", "method", "options")
_VERSIONS = "mlflow.modelVersions"


@dataclass(frozen=True, kw_only=True)
class NewVersion:
    """What is registered.

    Args:
        name: of the registered model.
        folder: of the saved model.
        experiment: study whose training it is.
        training: the training itself; tracked with the version if it was not before.
        tags: of the version; ``model_sha256``, ``method`` and ``options`` tell it from others.
        description: what its page says.
        about: what the page of the registered model says, where that is new.
        params: what MLflow lists as the model's parameters.
    """

    name: str
    folder: Path
    experiment: str
    training: TrainingRecord
    tags: Mapping[str, str]
    description: str
    about: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


def register_version(new: NewVersion, *, uri: str, artifact_root: Path | None = None) -> tuple[Version, bool]:
    """Register a saved model as the next version, unless one with the same weights, method and options exists.

    Args:
        new: the model.
        uri: tracking URI.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        The version, and whether it is new.

    Raises:
        ScanproofError: the database or server cannot be used, or refuses the model.
    """
    experiment_id = prepare(uri, experiment=new.experiment, artifact_root=artifact_root)
    with connect(uri) as client:
        _create_model(client, new)
        for version in list_versions(client, new.name):
            if all(version.tags.get(key) == new.tags[key] for key in _IDENTITY):
                return read_version(client, version), False
        run_id = log_records(client, experiment_id, [new.training])[new.training.key]
        return _create_version(client, new, experiment_id=experiment_id, run_id=run_id), True


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

    logged = client.create_logged_model(
        experiment_id,
        name=new.name.replace(".", "_"),  # MLflow refuses dots here alone
        source_run_id=run_id,
        tags={**new.tags, "mlflow.note.content": new.description},
        params=dict(new.params),
        model_type="reconstruction",
    )
    try:
        with environment(MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false"):
            client.log_model_artifacts(logged.model_id, str(new.folder))
        client.finalize_logged_model(logged.model_id, "READY")
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
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    number = f'[{{"name": "{new.name}", "version": {int(version.version)}}}]'
    client.set_logged_model_tags(logged.model_id, {_VERSIONS: number})
    return read_version(client, version)
