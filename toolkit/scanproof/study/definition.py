"""What a study file may say: the models behind its YAML and its JSON schema."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scanproof.classification import CLASSIFIERS
from scanproof.classification.norms import Norm
from scanproof.data.demo.scanner import SCANNERS
from scanproof.errors import unknown_name
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.transforms import SHIFTS

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Options = dict[str, bool | int | float | str | list[bool | int | float | str]]
Matrix = tuple[Annotated[int, Field(ge=16, le=4096)], Annotated[int, Field(ge=16, le=4096)]]
Share = Annotated[float, Field(ge=0, le=1)]


def _once(values: list[T], what: str) -> list[T]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what} must be listed once, got {value!r} twice")
    return values


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Subjects(_Model):
    """Number of subjects of each split; external sites have the test split alone."""

    train: int = Field(160, ge=2)
    val: int = Field(32, ge=2)
    test: int = Field(24, ge=2)


class DemoData(_Model):
    """The demo cohort: simulated subjects with real anatomy at three simulated sites."""

    kind: Literal["demo"]
    sites: list[str] = Field(list(SCANNERS), min_length=1, description="demo sites to test")
    training_sites: list[str] = Field(["north"], min_length=1, description="sites whose train and val splits are used")
    subjects: Subjects = Subjects()
    slices: int = Field(5, ge=1, le=24, description="axial slices a subject")
    matrix: Matrix = Field((112, 96), description="rows and columns of the images, 2 mm voxels")

    @field_validator("sites", "training_sites")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in SCANNERS:
                raise unknown_name("demo site", name, SCANNERS)
        return _once(names, "site")

    @model_validator(mode="after")
    def _trained_sites_exist(self) -> Self:
        for name in self.training_sites:
            if name not in self.sites:
                raise unknown_name("training site", name, self.sites)
        return self


class Fractions(_Model):
    """Shares of a training site's subjects in each split, where the manifest has no ``split`` column."""

    train: Share = 0.6
    val: Share = 0.15
    test: Share = 0.25

    @model_validator(mode="after")
    def _sum(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, val and test must sum to 1, got {total:g}")
        return self


class NiftiData(_Model):
    """A folder of NIfTI volumes with a CSV manifest (subject, site, path, label and optionally split)."""

    kind: Literal["nifti"]
    manifest: Path = Field(description="CSV file; a relative path is relative to the study file")
    root: Path | None = Field(None, description="folder of the manifest's relative paths; default: the manifest's")
    training_sites: list[str] | None = Field(
        None, min_length=1, description="sites with train and val splits; default: the site with most subjects"
    )
    fractions: Fractions = Fractions()
    slices: int = Field(5, ge=1, le=512, description="axial slices a volume")
    extent: tuple[Share, Share] = Field((0.4, 0.7), description="lowest and highest slice, as shares of the height")
    matrix: Matrix = (112, 96)
    spacing: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        (2.0, 2.0), description="in-plane voxel size in mm, (row, column)"
    )
    coils: int = Field(8, ge=1, le=128, description="receive coils of the simulated acquisition")
    snr: float = Field(30.0, gt=0, description="signal-to-noise ratio of the simulated acquisition")
    show_images: bool = Field(False, description="allow images of subjects in the report")

    @field_validator("extent")
    @classmethod
    def _rises(cls, extent: tuple[float, float]) -> tuple[float, float]:
        if extent[0] >= extent[1]:
            raise ValueError("first value must be below the second")
        return extent


class AcquisitionPlan(_Model):
    """How k-space is sampled before methods that reconstruct undersampled data."""

    mask: Literal["random", "equispaced"] = "equispaced"
    accelerations: list[Annotated[float, Field(gt=1, le=32)]] = Field([4.0], min_length=1)
    center_fraction: float = Field(0.08, gt=0, lt=1, description="share of lines fully sampled around the centre")

    @field_validator("accelerations")
    @classmethod
    def _unique(cls, values: list[float]) -> list[float]:
        return _once(values, "acceleration")


class ShiftPlan(_Model):
    """One artifact and the severities at which it is applied (0, the clean condition, is always tested)."""

    name: str
    severities: list[Annotated[int, Field(ge=1, le=5)]] = Field([1, 2, 3, 4, 5], min_length=1)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in SHIFTS:
            raise unknown_name("shift", name, SHIFTS)
        return name

    @field_validator("severities")
    @classmethod
    def _unique(cls, values: list[int]) -> list[int]:
        return _once(values, "severity")


class ReconstructionPlan(_Model):
    """One reconstruction method."""

    name: str
    options: Options = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.options:
            RECONSTRUCTORS.check_options(self.name, self.options)
        elif self.name not in RECONSTRUCTORS:
            raise unknown_name("reconstruction", self.name, RECONSTRUCTORS)
        return self


class TrainingPlan(_Model):
    """How a classifier is trained; see :class:`scanproof.training.engine.TrainingOptions`."""

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    patience: int = Field(8, ge=1)


class ClassifierPlan(_Model):
    """One classifier in several normalizations, each trained with several seeds."""

    name: str
    norms: list[Norm] = Field(["batch", "group", "layer"], min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field([1], min_length=1)
    options: Options = {}
    train_on: str = Field("fully_sampled", description="reconstruction whose clean images it learns from")
    training: TrainingPlan = TrainingPlan()

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.options:
            CLASSIFIERS.check_options(self.name, self.options)
        elif self.name not in CLASSIFIERS:
            raise unknown_name("classifier", self.name, CLASSIFIERS)
        return self

    @field_validator("norms", "seeds")
    @classmethod
    def _unique(cls, values: list[object]) -> list[object]:
        return _once(values, "entry")


class EvaluationPlan(_Model):
    """Intervals and operating point."""

    confidence: float = Field(0.95, gt=0.5, lt=1)
    resamples: int = Field(1000, ge=100, le=100_000, description="bootstrap resamples of subjects")
    sensitivity: float = Field(0.9, gt=0, lt=1, description="the threshold reaches it on clean validation data")


class Compute(_Model):
    """What bit-identical results need to be fixed."""

    threads: int = Field(1, ge=1, le=256, description="CPU threads a task; another number may change last digits")


class Study(_Model):
    """A study: which chains are tested on which data under which shifts."""

    name: str = Field(description="letters, digits, dot, dash and underscore; names the output and the experiment")
    description: str = ""
    seed: int = Field(2024, ge=0, description="seed of everything random")
    data: Annotated[DemoData | NiftiData, Field(discriminator="kind")]
    acquisition: AcquisitionPlan = AcquisitionPlan()
    shifts: list[ShiftPlan] = []
    reconstruction: list[ReconstructionPlan] = Field(min_length=1)
    classification: list[ClassifierPlan] = Field([], description="leave out to study reconstruction alone")
    evaluation: EvaluationPlan = EvaluationPlan()
    compute: Compute = Compute()

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("must start with a letter or digit and hold only letters, digits, '.', '-' and '_'")
        return name

    @field_validator("shifts", "reconstruction", "classification")
    @classmethod
    def _unique_names(cls, plans: list[ShiftPlan | ReconstructionPlan | ClassifierPlan]) -> list[object]:
        _once([plan.name for plan in plans], "name")
        return list(plans)

    @model_validator(mode="after")
    def _images_to_learn_from(self) -> Self:
        methods = [method.name for method in self.reconstruction]
        for classifier in self.classification:
            if classifier.train_on not in methods:
                raise unknown_name(
                    f"reconstruction for classifier {classifier.name!r} to train on", classifier.train_on, methods
                )
        return self
