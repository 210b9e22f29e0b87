"""MLflow's model registry: versions of a model found by number or alias, and their files."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from scanproof.errors import ScanproofError, unknown_name
from scanproof.tracking.client import connect, environment
from scanproof.tracking.uri import check_uri, redact, sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_HINT = "scanproof register puts a trained reconstruction there"


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Args:
        name: of the registered model.
        number: of the version, from 1.
        location: URI of the folder with its files.
        tags: what it says of itself.
    """

    name: str
    number: int
    location: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """How it is named everywhere, ``models:/NAME/VERSION``."""
        return f"models:/{self.name}/{self.number}"


def find_version(uri: str, name: str, *, number: str | None = None, alias: str | None = None) -> Version:
    """Find a version by its number or by an alias.

    Args:
        uri: tracking URI.
        name: of the registered model.
        number: of the version.
        alias: in place of a number.

    Raises:
        ScanproofError: no such model, version or alias, and which there are; see
            :func:`scanproof.tracking.client.connect`.
    """
    path = sqlite_path(check_uri(uri))
    if path is not None and not path.is_file():
        raise ScanproofError("tracking database with the model must exist", file=path, value=name, hint=_HINT)
    with connect(uri) as client:
        model = _find_model(client, name)
        versions = list_versions(client, name)
        if alias is not None:
            if alias not in model.aliases:
                raise _unknown(f"alias of registered model {name!r}", alias, list(model.aliases))
            number = str(model.aliases[alias])
        by_number = {str(version.version): version for version in versions}
        if number not in by_number:
            raise _unknown(f"version of registered model {name!r}", str(number), list(by_number))
        return read_version(client, by_number[number])


def list_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """All versions of a registered model, the oldest first."""
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version))


def read_version(client: MlflowClient, version: ModelVersion) -> Version:
    """A version as MLflow tells of it, and where its files lie."""
    location = client.get_model_version_download_uri(version.name, str(version.version))
    return Version(version.name, int(version.version), location, dict(version.tags))


def fetch(uri: str, version: Version, *, downloads: Path) -> Path:
    """The folder with a version's files: where they lie, if this machine can read them, else a copy.

    Args:
        uri: tracking URI.
        version: the version.
        downloads: where copies of what a server stores are kept.

    Raises:
        ScanproofError: the files are gone, or cannot be copied.
    """
    parts = urlsplit(version.location)
    if parts.scheme in ("", "file"):
        folder = Path(url2pathname(parts.path))
        if not folder.is_dir():
            raise ScanproofError("files of the registered model must exist", file=folder, value=version.uri)
        return folder
    folder = downloads / hashlib.sha256(f"{uri} {version.location}".encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    partial = downloads / f".{folder.name}-{uuid.uuid4().hex}"
    try:
        with environment(MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false"):
            found = download_artifacts(artifact_uri=version.location, dst_path=str(partial), tracking_uri=uri)
        Path(found).rename(folder)
    except (MlflowException, OSError) as error:
        if not folder.is_dir():  # not a race that another process won
            rule = "files of the registered model must be there to copy"
            raise ScanproofError(rule, value=version.uri, hint=redact(str(error))[:300]) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _find_model(client: MlflowClient, name: str) -> RegisteredModel:
    models: dict[str, RegisteredModel] = {}
    token: str | None = None
    while name not in models:
        page = client.search_registered_models(page_token=token)
        models |= {model.name: model for model in page}
        token = page.token
        if not token:
            break
    if name not in models:
        raise _unknown("registered model", name, list(models))
    return models[name]


def _unknown(what: str, name: str, known: list[str]) -> ScanproofError:
    if known:
        return unknown_name(what, name, known)
    return ScanproofError(f"unknown {what}", value=name, hint=f"there is none; {_HINT}")
