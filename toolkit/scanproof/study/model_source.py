"""Finding the saved networks that a study file names: in MLflow's model registry or in a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scanproof.errors import ScanproofError
from scanproof.study.classifier_description import SavedClassifier, read_classifier_description
from scanproof.study.external_model import ExternalModel, find_external
from scanproof.study.model_description import SavedModel, read_description
from scanproof.study.model_files import is_executable
from scanproof.study.saved_classifier import read_classifier
from scanproof.study.saved_model import read_model
from scanproof.tracking.mlmodel import FLAVOUR, MLMODEL
from scanproof.yaml_file import read_yaml_file

_REGISTERED = re.compile(r"models:/(?P<name>[^/@:]+)(?:/(?P<number>[^/@]+)|@(?P<alias>[^/@]+))")


def is_registered(reference: str) -> bool:
    """Whether a reference names a version in a model registry rather than a folder.

    Example:
        >>> is_registered("models:/unet/3"), is_registered("weights/unet")
        (True, False)
    """
    return reference.startswith("models:")


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where saved networks are looked up.

    Args:
        root: folder of the default MLflow database, and of copies of what a server stores.
        tracking_uri: MLflow; default the one that :func:`scanproof.tracking.uri.resolve_tracking_uri` gives.
        trusted: names of entries, paths or hashes of models of others that may execute code when they are opened.
    """

    root: Path = Path("mlruns")
    tracking_uri: str | None = None
    trusted: frozenset[str] = frozenset()

    def find(self, reference: str, *, base: Path) -> SavedModel:
        """Find a saved reconstruction and check all of it.

        Args:
            reference: ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or a folder.
            base: folder that a relative path is relative to.

        Returns:
            The model; its reference names a version where the given one was an alias, and an absolute path where it
            was a relative one.

        Raises:
            ScanproofError: nothing is there, or what is there must not or cannot be read: see
                :func:`scanproof.study.saved_model.load_reconstructor`.
        """
        name, folder = self._locate(reference, base)
        description = read_description(folder)
        read_model(folder, model_sha256=description.model_sha256)
        return SavedModel(reference=name, folder=folder, description=description)

    def find_classifier(self, reference: str, *, base: Path) -> SavedClassifier:
        """Find a saved classifier and check all of it; arguments and what it gives as :meth:`find`.

        Raises:
            ScanproofError: nothing is there, or what is there must not or cannot be read: see
                :func:`scanproof.study.saved_classifier.read_classifier`.
        """
        name, folder = self._locate(reference, base)
        description = read_classifier_description(folder)
        read_classifier(folder, model_sha256=description.model_sha256)
        return SavedClassifier(reference=name, folder=folder, description=description)

    def find_external(self, reference: str, *, base: Path, name: str, definition: object) -> ExternalModel | None:
        """Find a model of another origin; None where the reference names one that scanproof has saved.

        Args:
            reference: as in :meth:`find`, or a file.
            base: folder that a relative path is relative to.
            name: of the entry in the study.
            definition: of the network, for weights alone.

        Raises:
            ScanproofError: see :func:`~scanproof.study.external_model.find_external`.
        """
        if is_registered(reference):
            found, path = self._registered(reference)
        else:
            path = (base / reference).resolve()
            found = str(path)
        if not path.exists() or _is_own(path):
            return None
        return find_external(found, path, name=name, definition=definition, trusted=self.trusted | self._beside(base))

    def _beside(self, base: Path) -> frozenset[str]:
        """Trusted paths, made absolute: they are relative to the working folder or to the study file."""
        return frozenset(str((place / one).resolve()) for one in self.trusted for place in (Path(), base))

    def _locate(self, reference: str, base: Path) -> tuple[str, Path]:
        return self._registered(reference) if is_registered(reference) else _folder(reference, base)

    def _registered(self, reference: str) -> tuple[str, Path]:
        match = _REGISTERED.fullmatch(reference)
        if match is None:
            raise ScanproofError("must be models:/NAME/VERSION or models:/NAME@ALIAS", value=reference)
        from scanproof.tracking.registry import fetch, find_version
        from scanproof.tracking.uri import resolve_tracking_uri

        uri = resolve_tracking_uri(self.tracking_uri, self.root)
        version = find_version(uri, match["name"], number=match["number"], alias=match["alias"])
        return version.uri, fetch(uri, version, downloads=self.root / "models").absolute()


def _folder(reference: str, base: Path) -> tuple[str, Path]:
    folder = (base / reference).resolve()
    if folder.is_file():
        wrong = "it would execute code when it is read" if is_executable(folder) else "a file is not enough"
        raise ScanproofError("model must be a folder that scanproof register has written", file=folder, hint=wrong)
    return str(folder), folder


def _is_own(path: Path) -> bool:
    """Whether a folder has an ``MLmodel`` with the flavour of scanproof, or one that must be explained as if it had."""
    file = path / MLMODEL
    if not file.is_file():
        return path.is_dir() and not (path / "configs").is_dir()
    try:
        content = read_yaml_file(file)
    except ScanproofError:
        return True
    flavours = content.get("flavors") if isinstance(content, dict) else None
    return not isinstance(flavours, dict) or FLAVOUR in flavours


def with_model(plan: Mapping[str, object], saved: SavedModel) -> dict[str, object]:
    """An entry of a study file with what its saved model says: the version, hash, method and options.

    Args:
        plan: the entry; method, options and hash may stand in it if they agree, as in a definition that was written
            out.
        saved: the model.

    Raises:
        ScanproofError: the entry says something else, or something about training.
    """
    description = saved.description
    known: dict[str, object] = {
        "method": description.method,
        "options": description.options,
        "model_sha256": description.model_sha256,
    }
    unset: dict[str, object] = {"weights_from": None, "training_seed": 0}
    for key, value in plan.items():
        if key in known and value not in (known[key], {}, None):
            rule = f"must be left out beside model, or be that of the model: {known[key]!r}"
            raise ScanproofError(rule, key=key, value=value)
        if key in unset and value != unset[key]:
            rule = "must not stand beside model, whose weights are trained already"
            raise ScanproofError(rule, key=key, value=value)
    return {**plan, **known, "model": saved.reference}
