"""What a saved classifier says of itself, and reading it without touching the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from scanproof.classification import CLASSIFIERS
from scanproof.classification.norms import TEST_TIME, Norm
from scanproof.errors import ScanproofError
from scanproof.study.fields import Model, Options
from scanproof.study.model_description import parse_description, read_flavour
from scanproof.tracking.mlmodel import MLMODEL


class TrainedImages(Model):
    """The images that a classifier has learned from."""

    reconstruction: str
    method: str
    acceleration: float
    matrix: tuple[int, int]


class OperatingPoint(Model):
    """A threshold that the training study fixed on its clean validation cases, for one of its chains."""

    target: str
    reconstruction: str
    acceleration: float
    norm: Norm
    sensitivity: float
    threshold: float


class ClassifierDescription(Model):
    """What a saved classifier says of itself, as the flavour ``scanproof`` of its ``MLmodel``."""

    format: Literal[1] = 1
    network: str
    options: Options
    package: str | None = None
    norm: Norm
    norm_layers: dict[str, int]
    dimensions: Literal[2, 3] = 2
    targets: Annotated[list[str], Field(min_length=1)]
    exclusive: bool
    # how every image is prepared: scanproof.classification.classifier.normalise
    preprocessing: Literal["zero_mean_unit_deviation"] = "zero_mean_unit_deviation"
    images: TrainedImages
    operating_points: list[OperatingPoint] = Field(default_factory=list)
    data_sha256: dict[str, str]
    model_sha256: str
    weights_sha256: str = ""
    layers_sha256: str = ""
    seed: int
    training_seed: int
    best_epoch: int | None = None
    best_score: float | None = None
    study: str
    study_sha256: str
    code_version: str


@dataclass(frozen=True)
class SavedClassifier:
    """A saved classifier that was found and checked.

    Args:
        reference: ``models:/NAME/VERSION``, or the path of its folder.
        folder: where it lies.
        description: what it says of itself.
    """

    reference: str
    folder: Path
    description: ClassifierDescription


def read_classifier_description(folder: Path) -> ClassifierDescription:
    """Read what the folder of a classifier says of itself; its weights are left alone.

    Args:
        folder: folder of a saved model.

    Raises:
        ScanproofError: see :func:`~scanproof.study.model_description.read_flavour`; the model is a reconstruction, an
            unknown network or option, or a normalization that is no training of its own.
    """
    content = read_flavour(folder)
    file = folder / MLMODEL
    if "method" in content:
        raise ScanproofError("must be a classifier, not a reconstruction", file=file, value=content["method"])
    description = parse_description(ClassifierDescription, content, file=file)
    CLASSIFIERS.check_options(description.network, description.options, file=file, key="options")
    if description.norm in TEST_TIME:
        raise ScanproofError("must be a normalization to train with", file=file, key="norm", value=description.norm)
    return description
