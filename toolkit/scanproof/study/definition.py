"""What a study file may say: the models behind its YAML and its JSON schema."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.bootstrap import Bootstrap, Interval
from scanproof.evaluation.chains import CLASSIFICATION_METRICS
from scanproof.evaluation.claim import Claim, Expectation, Measure
from scanproof.evaluation.image_metrics import DEFAULT_METRICS, IMAGE_METRICS, check_metrics
from scanproof.evaluation.table import ADVERSARIAL, ALL_SHIFTS, CLEAN
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.acquisition_shifts import ACQUIRED, RENDERED, accelerate, check_dimensions
from scanproof.study.classifier_plan import ClassifierPlan
from scanproof.study.data_plans import AnyData, DemoData, ImageData, KspaceData
from scanproof.study.external_model import OTHERS, ExternalModel
from scanproof.study.external_plan import Definition
from scanproof.study.fields import Model, Options, once, plain_name
from scanproof.study.model_description import SavedModel
from scanproof.study.shift_plans import AnyShiftPlan


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
    network_def: Definition | None = Field(
        None, description="network of the weights of others, state_dict or safetensors: {_target_: class, arguments}"
    )
    _external: ExternalModel | None = PrivateAttr(None)
    _saved: SavedModel | None = PrivateAttr(None)

    @property
    def saved(self) -> SavedModel | None:
        """The saved reconstruction that :attr:`model` names, once the study file is loaded."""
        return self._saved

    @property
    def external(self) -> ExternalModel | None:
        """The model of another origin that :attr:`model` names, once the study file is loaded."""
        return self._external

    def with_saved(self, saved: SavedModel | ExternalModel | None) -> Self:
        """The same, and what :attr:`model` was found to be; it belongs to the machine, not to the definition."""
        plan = self.model_copy()
        plan._saved = saved if isinstance(saved, SavedModel) else None
        plan._external = saved if isinstance(saved, ExternalModel) else None
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
        if self.method == OTHERS and self.model is None:
            raise unknown_name("reconstruction", self.method, RECONSTRUCTORS)
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


class EvaluationPlan(Model):
    """Image metrics, intervals and operating point."""

    image_metrics: list[Annotated[str, Field(json_schema_extra={"enum": list(IMAGE_METRICS)})]] = Field(
        list(DEFAULT_METRICS),
        min_length=1,
        description="what is measured on every image; another choice makes the test images anew, but trains nothing",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1)
    interval: Interval = Field(
        "expanded",
        description="percentile: of the bootstrap; expanded: the same, widened as few subjects ask for",
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="bootstrap resamples of subjects and training seeds")
    sensitivity: float = Field(0.9, gt=0, lt=1, description="the threshold reaches it on clean validation data")

    def bootstrap(self, seed: int) -> Bootstrap:
        """How intervals are made, from the seed of the study."""
        return Bootstrap(seed=seed, resamples=self.resamples, confidence=self.confidence, interval=self.interval)

    @field_validator("image_metrics")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in IMAGE_METRICS:
                raise unknown_name("image metric", name, IMAGE_METRICS)
        return once(names, "image metric")


class ClaimPlan(Model):
    """A statement about two reconstructions or two normalizations; the report says whether the results agree.

    It changes no other result.
    """

    text: str = Field(min_length=1, description="the statement, as a reader should meet it")
    compare: str | tuple[str, ...] = Field(
        description="what the statement is about: by an image metric a reconstruction, or a list of them where one "
        "method was trained from several seeds; by a metric of classification a normalization"
    )
    against: str | tuple[str, ...] = Field(description="what it is compared with; as many, in the same order")
    metric: str = Field(description="image metric of this study, or auroc or another metric of classification")
    classifier: str | None = Field(None, description="of normalizations; default: the mean over all classifiers")
    reconstruction: str | None = Field(None, description="of normalizations; default: the mean over all")
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
    data: AnyData
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

    @property
    def trains(self) -> bool:
        """Whether a network is trained; where all come trained from elsewhere, a study needs test images alone."""
        loaded = {plan.name for plan in self.reconstruction if plan.model is not None}
        learned = [
            plan.name
            for plan in self.reconstruction
            if getattr(RECONSTRUCTORS.factory(plan.method), "trainable", False)
            and not loaded & {plan.name, plan.weights_from}
        ]
        return bool(learned) or any(plan.model is None for plan in self.classification)

    @property
    def all_loaded(self) -> bool:
        """Whether there are networks and all of them come trained from elsewhere."""
        models = [*(plan.model for plan in self.reconstruction), *(plan.model for plan in self.classification)]
        return not self.trains and any(model is not None for model in models)

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
    def _classifiers_read_the_same_cases(self) -> Self:
        for number, classifier in enumerate(self.classification):
            key = f"classification[{number}].dimensions"
            if classifier.dimensions != self.classification[0].dimensions:
                raise ScanproofError("must be the same for all classifiers of a study", key=key)
            if classifier.dimensions == 3 and self.acquisition.dimensions == 2:
                rule = "must be 2 where slices are acquired one by one"
                raise ScanproofError(rule, key=key, value=3, hint="see acquisition.dimensions")
        return self

    @model_validator(mode="after")
    def _augment_fits_the_dimensions(self) -> Self:
        for number, classifier in enumerate(self.classification):
            for place, artifact in enumerate(classifier.augment):
                key = f"classification[{number}].augment[{place}].name"
                check_dimensions(artifact.name, classifier.dimensions, of="classification", key=key)
        return self

    @model_validator(mode="after")
    def _images_to_learn_from(self) -> Self:
        methods = [method.name for method in self.reconstruction]
        for classifier in self.classification:
            if classifier.model is None and classifier.train_on not in methods:
                raise unknown_name(
                    f"reconstruction for classifier {classifier.name!r} to train on", classifier.train_on, methods
                )
        return self

    @model_validator(mode="after")
    def _claims_name_what_is_tested(self) -> Self:
        methods = [method.name for method in self.reconstruction]
        norms: list[str] = sorted({norm for plan in self.classification for norm in plan.norms})
        severities = {shift.name: {c.severity for c in shift.conditions()} for shift in self.shifts}
        for number, claim in enumerate(self.claims):
            anything = severities.keys() - {ADVERSARIAL}
            stated = claim.claim()
            what, names = ("norm", norms) if stated.of_norms else ("reconstruction", methods)
            metrics = [*self.evaluation.image_metrics, *(CLASSIFICATION_METRICS if self.classification else [])]
            known: list[tuple[str, str, str | None, list[str]]] = [
                ("metric", "metric", claim.metric, metrics),
                *(("compare", what, name, names) for name in stated.compared),
                *(("against", what, name, names) for name in stated.opponents),
                ("classifier", "classifier", claim.classifier, [plan.name for plan in self.classification]),
                ("reconstruction", "reconstruction", claim.reconstruction, methods),
                ("shift", "shift", claim.shift, [CLEAN, *([ALL_SHIFTS] if anything else []), *severities]),
            ]
            for key, noun, name, there in known:
                if name is not None and name not in there:
                    raise unknown_name(noun, name, there, key=f"claims[{number}].{key}")
            together = [plan for plan in self.classification if {*stated.compared, *stated.opponents} <= {*plan.norms}]
            if stated.of_norms and not any(claim.classifier in (None, plan.name) for plan in together):
                rule = f"must be trained together with {stated.opponents[0]} in {claim.classifier or 'a classifier'}"
                raise ScanproofError(rule, key=f"claims[{number}].compare", value=stated.compared[0])
            if claim.severity is not None and claim.severity not in severities[claim.shift]:
                tested = sorted(severities[claim.shift])
                rule = f"severity of {claim.shift} must be one that is tested: {tested}"
                raise ScanproofError(rule, key=f"claims[{number}].severity", value=claim.severity)
        return self

    @model_validator(mode="after")
    def _images_are_slices(self) -> Self:
        if isinstance(self.data, ImageData) and self.acquisition.dimensions == 3:
            rule = "must be 2 for single images: nothing says which of them lie next to each other"
            raise ScanproofError(rule, key="acquisition.dimensions", value=3)
        return self

    @model_validator(mode="after")
    def _measured_kspace_is_of_slices(self) -> Self:
        if not isinstance(self.data, KspaceData):
            return self
        if self.acquisition.dimensions == 3:
            rule = "must be 2 for measured k-space: its slices were acquired one by one"
            raise ScanproofError(rule, key="acquisition.dimensions", value=3)
        for number, shift in enumerate(self.shifts):
            if self.data.coils is not None and any(condition.coils < 1 for condition in shift.conditions()):
                raise ScanproofError(
                    "needs the coils of the scanner: data.coils replaces them by virtual ones, none of which can fail",
                    key=f"shifts[{number}].name",
                    value="coil_count",
                    hint="leave data.coils out",
                )
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
