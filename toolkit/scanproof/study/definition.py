"""What a study file may say: the models behind its YAML and its JSON schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from scanproof.classification import CLASSIFIERS
from scanproof.classification.norms import Norm
from scanproof.data.demo.scanner import SCANNERS
from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.claims import Claim, Expectation, Measure
from scanproof.evaluation.image_metrics import DEFAULT_METRICS, IMAGE_METRICS, check_metrics
from scanproof.evaluation.table import ADVERSARIAL, ALL_SHIFTS, CLEAN
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.acquisition_shifts import ACQUIRED, RENDERED, accelerate, check_dimensions
from scanproof.study.fields import Model, Options, once, plain_name
from scanproof.study.model_description import SavedModel
from scanproof.study.shift_plans import AnyShiftPlan

Matrix = tuple[Annotated[int, Field(ge=16, le=4096)], Annotated[int, Field(ge=16, le=4096)]]
Share = Annotated[float, Field(ge=0, le=1)]


class Subjects(Model):
    """Number of subjects of each split; external sites have the test split alone."""

    train: int = Field(160, ge=2)
    val: int = Field(32, ge=2)
    test: int = Field(24, ge=2)


class DemoData(Model):
    """The demo cohort: simulated subjects with real anatomy at three simulated sites."""

    kind: Literal["demo"]
    sites: list[str] = Field(list(SCANNERS), min_length=1, description="demo sites to test")
    training_sites: list[str] = Field(
        ["north"],
        min_length=1,
        description="sites whose train and val splits are used; the others show what a change of site does",
    )
    subjects: Subjects = Subjects()
    slices: int = Field(5, ge=1, le=24, description="axial slices a subject")
    matrix: Matrix = Field((112, 96), description="rows and columns of the images, 2 mm voxels")

    @field_validator("sites", "training_sites")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in SCANNERS:
                raise unknown_name("demo site", name, SCANNERS)
        return once(names, "site")

    @model_validator(mode="after")
    def _trained_sites_exist(self) -> Self:
        for name in self.training_sites:
            if name not in self.sites:
                raise unknown_name("training site", name, self.sites)
        return self


class Fractions(Model):
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


class NiftiData(Model):
    """A folder of NIfTI volumes with a CSV manifest (subject, site, path, label and optionally split)."""

    kind: Literal["nifti"]
    manifest: Path = Field(description="CSV file; a relative path is relative to the study file")
    root: Path | None = Field(None, description="folder of the manifest's relative paths; default: the manifest's")
    training_sites: list[str] | None = Field(
        None,
        min_length=1,
        description="sites with train and val splits; default: the site with most subjects. The others show what a "
        "change of site does",
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


class AcquisitionPlan(Model):
    """How k-space is sampled before methods that reconstruct undersampled data."""

    mask: Literal["random", "equispaced"] = "equispaced"
    accelerations: list[Annotated[float, Field(gt=1, le=32)]] = Field([4.0], min_length=1)
    center_fraction: float = Field(0.08, gt=0, lt=1, description="share of lines fully sampled around the centre")
    dimensions: Literal[2, 3] = Field(
        2,
        description="2: every slice is acquired by itself. 3: the slices of a subject, next to each other, are one "
        "volume that is phase-encoded in depth, too; a random mask then draws lines in the plane of both",
    )

    @field_validator("accelerations")
    @classmethod
    def _unique(cls, values: list[float]) -> list[float]:
        return once(values, "acceleration")


class ReconstructionPlan(Model):
    """One reconstruction method with its options."""

    name: str = Field(description="what results call it; also the method, where `method` does not say another")
    method: str = Field("", description="registered method; to be given where one stands in a study twice")
    options: Options = Field({}, description="of the method; `preset` may be a file, relative to the study file")
    training_seed: int = Field(
        0, ge=0, description="of a method that learns: another one trains it again from other initial weights"
    )
    weights_from: str | None = Field(
        None,
        description="name of a trained reconstruction of this study whose weights and options are taken over, so "
        "that nothing is trained twice; own options come on top",
    )
    model: str | None = Field(
        None,
        description="saved reconstruction to load instead of training one: models:/NAME/VERSION, models:/NAME@ALIAS or "
        "its folder, relative to the study file; method and options come from it",
    )
    model_sha256: str | None = Field(None, description="hash of the weights that the saved reconstruction must have")
    _saved: SavedModel | None = PrivateAttr(None)

    @property
    def saved(self) -> SavedModel | None:
        """The saved reconstruction that :attr:`model` names, once the study file is loaded."""
        return self._saved

    def with_saved(self, saved: SavedModel | None) -> Self:
        """The same, and where the saved reconstruction was found; it belongs to the machine, not to the definition."""
        plan = self.model_copy()
        plan._saved = saved
        return plan

    @model_validator(mode="before")
    @classmethod
    def _method_is_named(cls, content: object) -> object:
        return {"method": content["name"], **content} if isinstance(content, dict) and "name" in content else content

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.options:
            RECONSTRUCTORS.check_options(self.method, self.options)
        elif self.method not in RECONSTRUCTORS:
            raise unknown_name("reconstruction", self.method, RECONSTRUCTORS)
        return self

    @model_validator(mode="after")
    def _model_is_resolved(self) -> Self:
        if self.model is None and self.model_sha256 is not None:
            raise ScanproofError("model_sha256 must stand beside the model that it is of", value=self.model_sha256)
        if self.model is not None and self.model_sha256 is None:
            raise ScanproofError("model must be read with the study file, to know its weights", value=self.model)
        return self

    @model_validator(mode="after")
    def _seed_is_of_a_training(self) -> Self:
        given = self.weights_from is not None or self.model is not None
        trains = getattr(RECONSTRUCTORS.factory(self.method), "trainable", False) and not given
        if self.training_seed and not trains:
            raise ScanproofError(
                f"{self.name} must be trained to have a seed of its training",
                key="training_seed",
                value=self.training_seed,
            )
        return self


class TrainingPlan(Model):
    """How a classifier is trained; see :class:`scanproof.training.engine.TrainingOptions`."""

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    patience: int = Field(8, ge=1)


class ClassifierPlan(Model):
    """One classifier in several normalizations, each trained with several seeds."""

    name: str
    norms: list[Norm] = Field(["batch", "group", "layer"], min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field([1], min_length=1)
    options: Options = Field({})
    train_on: str = Field(
        "fully_sampled",
        description="reconstruction whose clean images it learns from; it is tested behind all, so another one here "
        "shows the mismatch of classifier and reconstruction",
    )
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
        return once(values, "entry")


class EvaluationPlan(Model):
    """Image metrics, intervals and operating point."""

    image_metrics: list[Annotated[str, Field(json_schema_extra={"enum": list(IMAGE_METRICS)})]] = Field(
        list(DEFAULT_METRICS),
        min_length=1,
        description="what is measured on every image; another choice makes the test images anew, but trains nothing",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1)
    resamples: int = Field(1000, ge=100, le=100_000, description="bootstrap resamples of subjects")
    sensitivity: float = Field(0.9, gt=0, lt=1, description="the threshold reaches it on clean validation data")

    def bootstrap(self, seed: int) -> Bootstrap:
        """How intervals are made, from the seed of the study."""
        return Bootstrap(seed=seed, resamples=self.resamples, confidence=self.confidence)

    @field_validator("image_metrics")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in IMAGE_METRICS:
                raise unknown_name("image metric", name, IMAGE_METRICS)
        return once(names, "image metric")


class ClaimPlan(Model):
    """A statement about two reconstructions; the report says whether the results agree. Changes no other result."""

    text: str = Field(min_length=1, description="the statement, as a reader should meet it")
    compare: str | tuple[str, ...] = Field(
        description="reconstruction that the statement is about; a list of them where one method was trained from "
        "several seeds"
    )
    against: str | tuple[str, ...] = Field(
        description="reconstruction that it is compared with; as many, in the same order"
    )
    metric: str = Field(description="image metric of this study")
    shift: str = Field("none", description="condition: none, a shift of this study, or all (worst cases left out)")
    severity: Annotated[int, Field(ge=1, le=5)] | None = Field(None, description="default: the mean over those tested")
    site: str = Field("all", description="a site, or all: their mean")
    measure: Measure = Field("quality", description="under the condition, or its change from the clean condition to it")
    expect: Expectation = Field("better", description="of compare; not_worse and similar hold up to the margin")
    margin: float = Field(0, ge=0, description="in the unit of the metric")

    def claim(self) -> Claim:
        """The statement, checked by itself."""
        return Claim(**self.model_dump())

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.claim()
        return self


class Compute(Model):
    """What bit-identical results need to be fixed."""

    threads: int = Field(1, ge=1, le=256, description="CPU threads a task; another number may change last digits")


class Study(Model):
    """A study: which chains are tested on which data under which shifts."""

    name: str = Field(description="letters, digits, dot, dash and underscore; names the output and the experiment")
    description: str = ""
    seed: int = Field(2024, ge=0, description="seed of everything random")
    data: Annotated[DemoData | NiftiData, Field(discriminator="kind")]
    acquisition: AcquisitionPlan = AcquisitionPlan()
    shifts: list[AnyShiftPlan] = Field(
        [], description="artifacts, changes of the test acquisition, and compositions of them"
    )
    reconstruction: list[ReconstructionPlan] = Field(min_length=1)
    classification: list[ClassifierPlan] = Field([], description="leave out to study reconstruction alone")
    evaluation: EvaluationPlan = EvaluationPlan()
    claims: list[ClaimPlan] = Field([], description="statements that the results decide")
    compute: Compute = Compute()

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        return plain_name(name)

    @field_validator("shifts", "reconstruction", "classification")
    @classmethod
    def _unique_names(cls, plans: list[AnyShiftPlan | ReconstructionPlan | ClassifierPlan]) -> list[object]:
        once([plan.name for plan in plans], "name")
        return list(plans)

    @model_validator(mode="after")
    def _weights_to_take_over(self) -> Self:
        plans = {plan.name: plan for plan in self.reconstruction}
        for number, plan in enumerate(self.reconstruction):
            if plan.weights_from is None:
                continue
            key = f"reconstruction[{number}].weights_from"
            others = [name for name in plans if name != plan.name and plans[name].weights_from is None]
            if plan.weights_from not in others:
                raise unknown_name("reconstruction to take weights from", plan.weights_from, others, key=key)
            source = plans[plan.weights_from]
            own, trained = (RECONSTRUCTORS.factory(p.method) for p in (plan, source))
            if not (isinstance(own, type) and isinstance(trained, type) and issubclass(own, trained)):
                raise ScanproofError(
                    f"{plan.method} must be a kind of {source.method} to work with its weights",
                    key=key,
                    value=plan.weights_from,
                )
            if not getattr(trained, "trainable", False):
                raise ScanproofError("must name a reconstruction that is trained", key=key, value=plan.weights_from)
        return self

    def options_of(self, plan: ReconstructionPlan) -> Options:
        """A reconstruction's own options and those that it takes over."""
        taken = next((other.options for other in self.reconstruction if other.name == plan.weights_from), {})
        return {**taken, **plan.options}

    @model_validator(mode="after")
    def _methods_fit_the_dimensions(self) -> Self:
        dimensions = self.acquisition.dimensions
        for number, plan in enumerate(self.reconstruction):
            works = getattr(RECONSTRUCTORS.factory(plan.method), "dimensions", (2,))
            if dimensions not in works:
                raise ScanproofError(
                    f"{plan.method} must work in {ACQUIRED[dimensions]}, which is what the study acquires",
                    key=f"reconstruction[{number}].name",
                    value=plan.name,
                    hint="see acquisition.dimensions",
                )
        return self

    @model_validator(mode="after")
    def _images_to_learn_from(self) -> Self:
        methods = [method.name for method in self.reconstruction]
        for classifier in self.classification:
            if classifier.train_on not in methods:
                raise unknown_name(
                    f"reconstruction for classifier {classifier.name!r} to train on", classifier.train_on, methods
                )
        return self

    @model_validator(mode="after")
    def _claims_name_what_is_tested(self) -> Self:
        methods = [method.name for method in self.reconstruction]
        severities = {shift.name: {c.severity for c in shift.conditions()} for shift in self.shifts}
        for number, claim in enumerate(self.claims):
            anything = severities.keys() - {ADVERSARIAL}
            stated = claim.claim()
            known: list[tuple[str, str, list[str]]] = [
                *(("compare", name, methods) for name in stated.compared),
                *(("against", name, methods) for name in stated.opponents),
                ("metric", claim.metric, self.evaluation.image_metrics),
                ("shift", claim.shift, [CLEAN, *([ALL_SHIFTS] if anything else []), *severities]),
            ]
            for what, name, names in known:
                if name not in names:
                    noun = "reconstruction" if names is methods else what
                    raise unknown_name(noun, name, names, key=f"claims[{number}].{what}")
            if claim.severity is not None and claim.severity not in severities[claim.shift]:
                tested = sorted(severities[claim.shift])
                rule = f"severity of {claim.shift} must be one that is tested: {tested}"
                raise ScanproofError(rule, key=f"claims[{number}].severity", value=claim.severity)
        return self

    @model_validator(mode="after")
    def _metrics_fit_the_data(self) -> Self:
        check_metrics(
            self.evaluation.image_metrics,
            matrix=self.data.matrix,
            has_findings=isinstance(self.data, DemoData),
            key="evaluation.image_metrics",
        )
        return self

    @model_validator(mode="after")
    def _shifts_fit_the_data(self) -> Self:
        for number, shift in enumerate(self.shifts):
            key = f"shifts[{number}]"
            for condition in shift.conditions():
                for place, part in enumerate(condition.parts):
                    where = f"{key}.compose[{place}].name" if len(condition.parts) > 1 else f"{key}.name"
                    check_dimensions(part.name, self.acquisition.dimensions, key=where)
                if condition.rendering and not isinstance(self.data, DemoData):
                    raise ScanproofError(
                        "needs the demo cohort: it renders subjects again from their tissue maps, which images of "
                        "patients do not have",
                        key=key,
                        value=", ".join(sorted(RENDERED & condition.rendering.keys())),
                        hint="test another site of your own data, or gamma_up and gamma_down for contrast",
                    )
                for acceleration in self.acquisition.accelerations if condition.acceleration > 1 else []:
                    accelerate(
                        acceleration,
                        self.acquisition.center_fraction,
                        factor=condition.acceleration,
                        lines=self.data.matrix[1],
                        key=key,
                    )
        return self
