"""The experiment of a study: found, created or brought back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError
from scanproof.tracking import sqlite
from scanproof.tracking.client import close, connect, import_mlflow, quiet
from scanproof.tracking.uri import check_uri, is_database, redact, sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's pages open an experiment of this kind on its runs, any other on traces of language models
_TAGS = {"mlflow.experimentKind": "custom_model_development"}
# what MLflow says when another process created, restored or deleted the experiment between two calls
_RACES = ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_ATTEMPTS = 5


def prepare(uri: str, *, experiment: str, artifact_root: Path | None = None) -> str:
    """Make a tracking database or server ready for the runs of a study.

    A local SQLite database is created with its folder if it is missing. The experiment is created if it is missing
    and restored if it was deleted. Any number of processes may call this at the same time.

    Args:
        uri: tracking URI.
        experiment: name of the experiment, which is the name of the study.
        artifact_root: folder under which the experiment's artifacts are stored, in a folder named after it; for
            an SQLite database ``None`` means the folder ``artifacts`` beside it. A server decides itself where it
            stores artifacts, so for one this is not used.

    Returns:
        Id of the experiment.

    Raises:
        ScanproofError: see :func:`scanproof.tracking.client.connect`; an empty name.

    Example:
        >>> import tempfile
        >>> from scanproof.tracking.uri import default_tracking_uri
        >>> folder = tempfile.TemporaryDirectory()
        >>> uri = default_tracking_uri(Path(folder.name))
        >>> prepare(uri, experiment="knees") == prepare(uri, experiment="knees")
        True
        >>> folder.cleanup()
    """
    if not experiment.strip():
        raise ScanproofError("name of an experiment must not be empty", key="experiment", value=experiment)
    uri = check_uri(uri)
    path = sqlite_path(uri)
    if path is not None:
        sqlite.create(path, make_tables)
    with connect(uri) as client:
        return find_or_create(client, experiment, location=artifact_location(uri, experiment, artifact_root))


def artifact_location(uri: str, experiment: str, artifact_root: Path | None = None) -> str | None:
    """URI of the folder for an experiment's artifacts; ``None`` where the server decides.

    Example:
        >>> artifact_location("sqlite:////data/mlflow.db", "knees, left")
        'file:///data/artifacts/knees-left'
    """
    path = sqlite_path(uri)
    if not is_database(uri) or (path is None and artifact_root is None):
        return None
    root = artifact_root if artifact_root is not None or path is None else path.parent / "artifacts"
    name = re.sub(r"[^\w.-]+", "-", experiment).strip("-.") or "experiment"
    return None if root is None else (root.absolute() / name).as_uri()


def find_or_create(client: MlflowClient, name: str, *, location: str | None) -> str:
    """Id of the active experiment of that name, whoever creates or restores it.

    Raises:
        ScanproofError: other programs delete the experiment again and again.
    """
    from mlflow.exceptions import MlflowException

    for _ in range(_ATTEMPTS):
        try:
            found = client.get_experiment_by_name(name)
            if found is None:
                return str(client.create_experiment(name, artifact_location=location, tags=_TAGS))
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        except MlflowException as error:
            # another process created, restored or deleted it between the two calls
            if error.error_code not in (
                "RESOURCE_ALREADY_EXISTS",
                "RESOURCE_DOES_NOT_EXIST",
                "INVALID_PARAMETER_VALUE",
            ):
                raise
            last = error
    raise ScanproofError("experiment must be created or found", key=name, hint=redact(str(last))) from last


def make_tables(path: Path) -> None:
    """Make MLflow's tables in a new SQLite file."""
    import_mlflow()
    from mlflow import MlflowClient

    with quiet():
        close(MlflowClient(tracking_uri=f"sqlite:///{path.as_posix()}"))
