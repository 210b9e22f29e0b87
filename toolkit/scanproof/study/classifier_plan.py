"""What a study file may say of its classifiers: those that it trains, and those that come trained from elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from scanproof.classification import CLASSIFIERS
from scanproof.classification.norms import ALL_NORMS, UNKNOWN, Norm, training_norm
from scanproof.errors import ScanproofError, unknown_name
from scanproof.study.classifier_description import SavedClassifier
from scanproof.study.external_model import ExternalModel
from scanproof.study.external_plan import EXTERNAL_KEYS, ExternalKeys
from scanproof.study.fields import Model, Options, once, plain_name
from scanproof.transforms import SHIFTS

Share = Annotated[float, Field(ge=0, le=1)]


class TrainingPlan(Model):
    """How a classifier is trained; see :class:`scanproof.training.engine.TrainingOptions`."""

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    patience: int = Field(8, ge=1)


class AugmentPlan(Model):
    """An artifact that training images are given at random."""

    name: str = Field(description="artifact")
    probability: float = Field(0.2, gt=0, le=1, description="share of the images that get it")
    severities: tuple[Annotated[int, Field(ge=1, le=5)], Annotated[int, Field(ge=1, le=5)]] = Field(
        (1, 5), description="lowest and highest, between which whole severities are drawn"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name not in SHIFTS:
            raise unknown_name("artifact", self.name, SHIFTS)
        if self.severities[0] > self.severities[1]:
            raise ScanproofError("first severity must not be above the second", key=self.name, value=self.severities)
        return self


class ClassifierPlan(ExternalKeys):
    """One classifier in several normalizations, each trained with several seeds."""

    name: str = Field(description="what results call it; also the network, where `network` does not say another")
    network: str = Field("", description="registered network; to be given where one stands in a study twice")
    norms: list[Norm] = Field(
        ["batch", "group", "layer"],
        min_length=1,
        description="normalizations, and rescues of batch normalization: batch_frozen, batch_site, batch_condition and "
        "batch_entropy; all of one seed start from the same weights and see the same batches",
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field([1], min_length=1, description="one training each")
    options: Options = Field({})
    dimensions: Literal[2, 3] = Field(2, description="3: it reads a subject's slices as one volume; all classifiers do")
    train_on: str = Field(
        "fully_sampled",
        description="reconstruction whose clean images it learns from; it is tested behind all, so another one here "
        "shows the mismatch of classifier and reconstruction",
    )
    augment: list[AugmentPlan] = Field([], description="artifacts that training images are given at random")
    training: TrainingPlan = TrainingPlan()
    model: str | None = Field(
        None,
        description="saved classifier to load instead of training one: models:/NAME/VERSION, models:/NAME@ALIAS or its "
        "folder, relative to the study file; {norm} and {seed} in it stand for those of several. Network and options "
        "come from it",
    )
    model_sha256: dict[str, str] | None = Field(
        None, description="hash of the weights that each saved classifier must have, by norm and seed, as in batch-1"
    )
    labels: list[str] | None = Field(
        None,
        min_length=1,
        description="what the outputs of a saved classifier are called in this study, in their order; default: as in "
        "the study that trained it",
    )
    threshold: Share | dict[str, Share] | None = Field(
        None,
        description="of a saved classifier: probability from which a case is read as positive, of all targets or by "
        "target, where no validation cases fix it; default: as in the study that trained it, if it tells",
    )
    _saved: Mapping[str, SavedClassifier] = PrivateAttr(default_factory=dict)
    _external: ExternalModel | None = PrivateAttr(None)

    @property
    def saved(self) -> Mapping[str, SavedClassifier]:
        """The saved classifiers that :attr:`model` names, by :func:`model_key`, once the study file is loaded."""
        return self._saved

    @property
    def external(self) -> ExternalModel | None:
        """The model of another origin that :attr:`model` names, once the study file is loaded."""
        return self._external

    def with_saved(self, saved: Mapping[str, SavedClassifier] | ExternalModel) -> Self:
        """The same, and what :attr:`model` was found to be; it belongs to the machine, not to the definition."""
        plan = self.model_copy()
        if isinstance(saved, ExternalModel):
            plan._external = saved
        else:
            plan._saved = saved
        return plan

    @property
    def trained_with(self) -> list[int | None]:
        """Seeds that results name: none of a model of another origin, whose training is unknown."""
        return [None] if self.format is not None else list(self.seeds)

    @property
    def trainings(self) -> list[tuple[Norm, int]]:
        """The normalization and seed of each training, once for those that several ways of reading share."""
        return list(dict.fromkeys(itertools.product(map(training_norm, self.norms), self.seeds)))

    @model_validator(mode="before")
    @classmethod
    def _network_is_named(cls, content: object) -> object:
        return {"network": content["name"], **content} if isinstance(content, dict) and "name" in content else content

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @field_validator("augment")
    @classmethod
    def _augment_once(cls, plans: list[AugmentPlan]) -> list[AugmentPlan]:
        once([plan.name for plan in plans], "name")
        return plans

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.format is not None:
            return self
        if UNKNOWN in self.norms:
            raise unknown_name("norm", UNKNOWN, ALL_NORMS, key="norms")
        if self.options:
            CLASSIFIERS.check_options(self.network, self.options)
        elif self.network not in CLASSIFIERS:
            raise unknown_name("classifier", self.network, CLASSIFIERS)
        return self

    @field_validator("norms", "seeds")
    @classmethod
    def _unique(cls, values: list[object]) -> list[object]:
        return once(values, "entry")

    @model_validator(mode="after")
    def _model_is_resolved(self) -> Self:
        if self.model is not None:
            if self.model_sha256 is None:
                raise ScanproofError("model must be read with the study file, to know its weights", value=self.model)
            return self
        for key in ("model_sha256", "labels", "threshold", *EXTERNAL_KEYS):
            if getattr(self, key) is not None:
                raise ScanproofError(f"{key} must stand beside the model that it is of", value=getattr(self, key))
        return self


def model_key(norm: Norm, seed: int) -> str:
    """How :attr:`ClassifierPlan.model_sha256` names a training.

    Example:
        >>> model_key("batch_site", 2)  # reads with the weights of batch
        'batch-2'
    """
    return f"{training_norm(norm)}-{seed}"
