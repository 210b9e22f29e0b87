"""What a saved reconstruction says of itself, and reading it without touching the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from scanproof.errors import ScanproofError
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.fields import Model, Options
from scanproof.study.model_files import refuse_code, refuse_flavours
from scanproof.tracking.mlmodel import FLAVOUR, MLMODEL
from scanproof.yaml_file import read_yaml_file

Description = TypeVar("Description", bound=Model)


class TrainedSampling(Model):
    """The sampling that a network has learned from."""

    mask: str
    acceleration: float
    center_fraction: float
    dimensions: Literal[2, 3] = 2


class ModelDescription(Model):
    """What a saved model says of itself, as the flavour ``scanproof`` of its ``MLmodel``."""

    format: Literal[1] = 1
    method: str
    options: Options
    package: str | None = None
    sampling: TrainedSampling
    data_sha256: dict[str, str]
    model_sha256: str
    weights_sha256: str = ""
    seed: int
    training_seed: int = 0
    best_epoch: int | None = None
    best_score: float | None = None
    study: str
    study_sha256: str
    code_version: str


@dataclass(frozen=True)
class SavedModel:
    """A saved model that was found and checked.

    Args:
        reference: ``models:/NAME/VERSION``, or the path of its folder.
        folder: where it lies.
        description: what it says of itself.
    """

    reference: str
    folder: Path
    description: ModelDescription


def read_description(folder: Path) -> ModelDescription:
    """Read what the folder of a reconstruction says of itself; its weights are left alone.

    Args:
        folder: folder of a saved model.

    Raises:
        ScanproofError: see :func:`read_flavour`; the model is a classifier, an unknown method or option, or a method
            that has no weights.
    """
    content = read_flavour(folder)
    file = folder / MLMODEL
    if "network" in content:
        raise ScanproofError("must be a reconstruction, not a classifier", file=file, value=content["network"])
    description = parse_description(ModelDescription, content, file=file)
    RECONSTRUCTORS.check_options(description.method, description.options, file=file, key="options")
    if not getattr(RECONSTRUCTORS.factory(description.method), "trainable", False):
        raise ScanproofError("must be a method that is trained", file=file, key="method", value=description.method)
    return description


def read_flavour(folder: Path) -> dict[str, object]:
    """The flavour ``scanproof`` in the ``MLmodel`` of a folder.

    Args:
        folder: folder of a saved model.

    Raises:
        ScanproofError: no such folder, no ``MLmodel`` or a wrong one, or a file or flavour that would execute code when
            it is read.
    """
    if not folder.is_dir():
        raise ScanproofError("model must be an existing folder", file=folder)
    refuse_code(folder)
    file = folder / MLMODEL
    if not file.exists():
        hint = "a folder that scanproof register has written has one"
        raise ScanproofError(f"folder of a model must hold a file {MLMODEL}", file=folder, hint=hint)
    content = read_yaml_file(file)
    flavours = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavours, dict):
        raise ScanproofError("must hold flavours of a model", file=file, key="flavors")
    refuse_flavours(map(str, flavours), own=FLAVOUR, file=file)
    flavour = flavours[FLAVOUR]
    if not isinstance(flavour, dict):
        raise ScanproofError("must describe a model", file=file, key=f"flavors.{FLAVOUR}")
    return {str(key): value for key, value in flavour.items()}


def parse_description(kind: type[Description], content: Mapping[str, object], *, file: Path) -> Description:
    """A description from the content of a flavour.

    Args:
        kind: class of the description.
        content: of the flavour.
        file: where it was read, for the error.

    Raises:
        ScanproofError: a key is missing, unknown or has a wrong value.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in ("flavors", FLAVOUR, *first["loc"]))
        raise ScanproofError(f"must describe a model: {first['msg']}", file=file, key=key) from None
