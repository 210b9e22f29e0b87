"""From a definition to a graph of tasks, each named by the hash of all that its result depends on."""

from __future__ import annotations

import gc
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from scanproof.classification.norms import Norm, training_norm
from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.image_metrics import IMAGE_METRICS
from scanproof.evaluation.table import ALL_SITES
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.acquisition_shifts import SAMPLED, accelerate
from scanproof.study.classifier_plan import ClassifierPlan, model_key
from scanproof.study.conditions import Condition
from scanproof.study.definition import ReconstructionPlan, Study
from scanproof.study.external_plan import EXTERNAL_KEYS
from scanproof.study.fingerprint import code_fingerprint, method_version
from scanproof.study.given_points import check_targets, given_points
from scanproof.study.sources import CohortSource, cohort_sources
from scanproof.transforms import SHIFTS

_encode = json.JSONEncoder(sort_keys=True).encode  # what json.dumps builds anew at every call


class Shared(dict[str, object]):
    """Parameters that many tasks have in common: their JSON is made once."""

    @cached_property
    def text(self) -> str:
        """As JSON."""
        return _encode(self)


#: a study may have millions of tasks, most of them without ``local`` values
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Task:
    """A pure function call: what to do, with which parameters, on the results of which tasks.

    Args:
        kind: of :mod:`scanproof.study.kinds`.
        params: JSON values.
        inputs: role to the tasks whose results it reads, in order.
        local: values without influence on the result, such as where an input file lies: neither hashed nor stored.
    """

    kind: str
    params: Mapping[str, object]
    inputs: Mapping[str, tuple[Task, ...]] = field(default_factory=lambda: _NOTHING)
    local: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    _key: str = field(default="", init=False, repr=False, compare=False)

    @property
    def key(self) -> str:
        """SHA-256 over kind, parameters, the inputs' keys and the code behind the kind."""
        if not self._key:
            before, after = _around_inputs(self.kind)
            inputs = ", ".join(_role(name, tasks) for name, tasks in sorted(self.inputs.items()))
            params = self.params.text if isinstance(self.params, Shared) else _encode(self.params)
            content = f"{before}{inputs}{after}{params}}}"
            object.__setattr__(self, "_key", hashlib.sha256(content.encode()).hexdigest())
        return self._key

    @property
    def input_keys(self) -> dict[str, list[str]]:
        """Role to keys, as :func:`scanproof.study.tasks.run_task` takes them."""
        return {role: [task.key for task in tasks] for role, tasks in self.inputs.items()}

    @property
    def files(self) -> list[str]:
        """Files and folders outside of the store that it reads."""
        paths = self.local.get("paths")
        several = paths.values() if isinstance(paths, Mapping) else ()
        return [str(path) for path in (*several, self.local.get("path"), self.local.get("folder")) if path]


@cache
def _around_inputs(kind: str) -> tuple[str, str]:
    """What stands before and behind the inputs in the JSON of a task: an object with its keys in order."""
    return f'{{"code": {_encode(code_fingerprint(kind))}, "inputs": {{', f'}}, "kind": {_encode(kind)}, "params": '


def _role(name: str, tasks: Sequence[Task]) -> str:
    keys = '", "'.join([task.key for task in tasks])
    return f'{_encode(name)}: ["{keys}"]' if tasks else f"{_encode(name)}: []"


@dataclass(frozen=True)
class Plan:
    """All tasks of a study.

    Args:
        tasks: every task once, inputs before those who read them.
        cohorts: site to its cohort task, that of the clean condition.
        fits: trained reconstructions.
        networks: (reconstruction, acceleration) to the task that gives its weights, trained or loaded.
        classifiers: trained classifiers.
        readers: (classifier, normalization, seed) to the task that gives its weights, trained or loaded.
        exclusive: labels of the data are classes, of which each case has one.
        reconstructions: test-split reconstructions.
        result: the task that gives the tables.
        claims: the task that judges the study's claims, if it makes any.
    """

    tasks: Sequence[Task]
    cohorts: Mapping[str, Task]
    fits: Sequence[Task]
    networks: Mapping[tuple[str, float], Task]
    classifiers: Sequence[Task]
    readers: Mapping[tuple[str, Norm, int], Task]
    exclusive: bool
    reconstructions: Sequence[Task]
    result: Task
    claims: Task | None

    @property
    def wanted(self) -> tuple[Task, ...]:
        """Tasks whose results are written: the tables, and what they say of claims."""
        return (self.result, self.claims) if self.claims else (self.result,)


def make_plan(study: Study, *, site_key: bytes = b"") -> Plan:
    """Lay out a study's tasks.

    Args:
        study: the definition.
        site_key: key of the subjects' pseudonyms (local data only).

    Raises:
        ScanproofError: a manifest that breaks a rule, a claim about a site that is not there, a saved classifier that
            does not read what the data have labels of.
    """
    sources = cohort_sources(study, site_key=site_key)
    sites = [source.site for source in sources]
    for number, claim in enumerate(study.claims):
        if claim.site not in (ALL_SITES, *sites):
            raise unknown_name("site", claim.site, [ALL_SITES, *sites], key=f"claims[{number}].site")
    check_targets(study, sources[0].targets)
    with nothing_to_collect():
        return _Planner(study, sources).plan()


@contextmanager
def nothing_to_collect() -> Iterator[None]:
    """Without the garbage collector, which looks at all tasks again and again as their number grows."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


class _Planner:
    def __init__(self, study: Study, sources: Sequence[CohortSource]) -> None:
        self.study = study
        self.common: dict[str, object] = {"seed": study.seed, "threads": study.compute.threads}
        self.training_sites = [source.site for source in sources if source.training]
        self.cohorts = {
            source.site: Task(
                "cohort",
                {**self.common, **source.params},
                local={"paths": dict(source.paths)},
            )
            for source in sources
        }
        self._fits: dict[tuple[str, float], Task] = {}
        self._networks: dict[tuple[str, float], Task] = {}
        self._rendered: dict[tuple[str, str], Task] = {}
        self._undisturbed: dict[tuple[object, ...], Task] = {}
        self._readers: dict[tuple[str, Norm, int], Task] = {}
        self.targets, self.exclusive = list(sources[0].targets), sources[0].exclusive

    def plan(self) -> Plan:
        tests = [self._tests(site) for site in self.cohorts]
        reconstructions = list(itertools.chain.from_iterable(tests))
        classifiers, predictions = self._classification(reconstructions)
        settings = {**self.common, "study": self.study.name, **self.study.evaluation.model_dump(mode="json")}
        points = given_points(self.study, self.targets)
        if points:
            settings["operating_points"] = points
        result = Task(
            "evaluate", settings, {"reconstructions": tuple(reconstructions), "predictions": tuple(predictions)}
        )
        stated = [claim.model_dump(mode="json") for claim in self.study.claims]
        claims = Task("judge", {**settings, "claims": stated}, {"tables": (result,)}) if stated else None
        return Plan(
            tasks=_in_order(claims or result),
            cohorts=self.cohorts,
            fits=list(self._fits.values()),
            networks=self._networks,
            classifiers=classifiers,
            readers=self._readers,
            exclusive=self.exclusive,
            reconstructions=reconstructions,
            result=result,
            claims=claims,
        )

    def _tests(self, site: str) -> list[Task]:
        conditions = [Condition(), *(c for shift in self.study.shifts for c in shift.conditions())]
        if all(self._accelerations(method) == [1.0] for method in self.study.reconstruction):
            for condition in conditions:
                if condition.parts and SAMPLED.issuperset(part.name for part in condition.parts):
                    raise ScanproofError(
                        "a shift of the sampling needs a reconstruction of undersampled k-space",
                        key="shifts",
                        value=condition.shift,
                    )
        return [
            self._reconstruct(method, acceleration, site=site, split="test", condition=condition)
            for condition in conditions  # outermost: methods share what they are given
            for method in self.study.reconstruction
            for acceleration in self._accelerations(method)
        ]

    def _cohort(self, site: str, condition: Condition) -> Task:
        """The site's cohort, or its test subjects rendered again."""
        nominal, rendering = self.cohorts[site], condition.rendering
        if not rendering:
            return nominal
        key = (site, json.dumps(rendering, sort_keys=True))
        if key not in self._rendered:
            subjects: Mapping[str, int] = nominal.params["subjects"]  # type: ignore[assignment]
            test = {"test": subjects["test"]}
            self._rendered[key] = Task("cohort", {**nominal.params, "subjects": test, "rendering": rendering})
        return self._rendered[key]

    def _accelerations(self, method: ReconstructionPlan) -> list[float]:
        undersampled = RECONSTRUCTORS.factory(method.method).undersampled  # type: ignore[attr-defined]
        return list(self.study.acquisition.accelerations) if undersampled else [1.0]

    def _sampling(self, acceleration: float, condition: Condition) -> dict[str, object]:
        """How k-space is sampled; ``acceleration`` is the nominal factor."""
        acquisition = self.study.acquisition
        dimensions = acquisition.dimensions
        if acceleration == 1:
            return {"mask": "full", "acceleration": acceleration, "center_fraction": 0.0, "dimensions": dimensions}
        other = {"random": "equispaced", "equispaced": "random"}[acquisition.mask]
        center = acquisition.center_fraction
        if condition.acceleration > 1:
            lines = self.study.data.matrix[1]
            acceleration, center = accelerate(acceleration, center, factor=condition.acceleration, lines=lines)
        mask = other if condition.other_mask else acquisition.mask
        return {"mask": mask, "acceleration": acceleration, "center_fraction": center, "dimensions": dimensions}

    def _method(self, method: ReconstructionPlan) -> dict[str, object]:
        params: dict[str, object] = {"method": method.method, "options": self.study.options_of(method)}
        other = method_version(RECONSTRUCTORS.location(method.method))
        return {**params, "package": other} if other else params

    def _network(self, method: ReconstructionPlan, acceleration: float) -> tuple[Task, ...]:
        """The task that gives a method its weights, if it has any."""
        if not RECONSTRUCTORS.factory(method.method).trainable:  # type: ignore[attr-defined]
            return ()
        source = method
        if method.weights_from is not None:
            source = next(other for other in self.study.reconstruction if other.name == method.weights_from)
        task = self._fit(source, acceleration) if source.model is None else self._load(source)
        self._networks[method.name, acceleration] = task
        return (task,)

    def _load(self, method: ReconstructionPlan) -> Task:
        external = method.external
        if external is not None:
            params = {"threads": self.study.compute.threads, **self._method(method), "model_sha256": external.sha256}
            return Task("load_reconstruction", params, local={"path": str(external.path)})
        if method.saved is None:
            raise ScanproofError("model must be found when the study file is read", key=method.name, value=method.model)
        return Task(
            "load_reconstruction",
            {"threads": self.study.compute.threads, **self._method(method), "model_sha256": method.model_sha256},
            local={"folder": str(method.saved.folder)},
        )

    def _fit(self, method: ReconstructionPlan, acceleration: float) -> Task:
        if (method.name, acceleration) not in self._fits:
            self._fits[method.name, acceleration] = Task(
                "fit_reconstruction",
                {
                    **self.common,
                    "training_seed": method.training_seed,
                    **self._method(method),
                    **self._sampling(acceleration, Condition()),
                },
                {"cohorts": tuple(self.cohorts[site] for site in self.training_sites)},
            )
        return self._fits[method.name, acceleration]

    def _reconstruct(
        self, method: ReconstructionPlan, acceleration: float, *, site: str, split: str, condition: Condition
    ) -> Task:
        params = {
            **self.common,
            "reconstruction": method.name,
            **self._method(method),
            "acceleration": acceleration,  # the nominal one, which names the chain
            "sampling": self._sampling(acceleration, condition),
            "split": split,
            "image_metrics": self._image_metrics(split),
            "shift": condition.shift,
            "severity": condition.severity,
            "changes": {
                "artifacts": [[part.name, part.severity] for part in condition.artifacts],
                "coils": condition.coils,
                "snr": condition.snr,
                "adversarial": condition.adversarial,
            },
        }
        versions = {part.name: method_version(SHIFTS.location(part.name)) for part in condition.artifacts}
        if any(versions.values()):
            params["shift_packages"] = versions
        inputs = {"cohort": (self._cohort(site, condition),), "model": self._network(method, acceleration)}
        task = Task("reconstruct", params, inputs)
        if condition == Condition():
            self._undisturbed[_images_of(task)] = task
        return task

    def _image_metrics(self, split: str) -> list[str]:
        """In one order, so that listing them in another computes nothing anew.

        Only test images are reported: what is measured has no influence on what networks learn from.
        """
        asked = self.study.evaluation.image_metrics if split == "test" else []
        return [name for name in IMAGE_METRICS if name in asked]

    def _clean(self, method: ReconstructionPlan, acceleration: float, split: str) -> tuple[Task, ...]:
        """Clean reconstructions of the training sites."""
        return tuple(
            self._reconstruct(method, acceleration, site=site, split=split, condition=Condition())
            for site in self.training_sites
        )

    def _classification(self, reconstructions: Iterable[Task]) -> tuple[list[Task], list[Task]]:
        methods = {method.name: method for method in self.study.reconstruction}
        if not self.study.classification:
            return [], []
        validations = [
            task
            for method in self.study.reconstruction
            for acceleration in self._accelerations(method)
            for task in self._clean(method, acceleration, "val")
        ]
        classifiers: dict[str, Task] = {}  # by key: rescues of batch normalization share its training
        predictions: list[Task] = []
        for plan in self.study.classification:
            for norm, seed in itertools.product(plan.norms, plan.seeds):
                if plan.model is None:
                    model = self._train(plan, norm, seed, methods[plan.train_on])
                    classifiers[model.key] = model
                else:
                    model = self._load_classifier(plan, norm, seed)
                self._readers[plan.name, norm, seed] = model
                predictions += self._predict(model, norm, [*validations, *reconstructions])
        return list(classifiers.values()), predictions

    def _train(self, plan: ClassifierPlan, norm: Norm, seed: int, source: ReconstructionPlan) -> Task:
        acceleration = self._accelerations(source)[0]
        params = {
            **self._reader(plan, norm, seed),
            "augment": [augment.model_dump(mode="json") for augment in plan.augment],
            **plan.training.model_dump(mode="json"),
        }
        images = {
            "training": self._clean(source, acceleration, "train"),
            "validation": self._clean(source, acceleration, "val"),
        }
        return Task("train_classifier", params, images)

    def _load_classifier(self, plan: ClassifierPlan, norm: Norm, seed: int) -> Task:
        own, external = plan.saved.get(model_key(norm, seed)), plan.external
        common = {"labels": plan.labels, "targets": self.targets}
        if own is not None:
            digest = own.description.model_sha256
            params = {**self._reader(plan, norm, seed), **common, "model_sha256": digest}
            return Task("load_classifier", params, local={"folder": str(own.folder)})
        if external is None:
            raise ScanproofError("model must be found when the study file is read", key=plan.name, value=plan.model)
        keys = plan.model_dump(mode="json", include={*EXTERNAL_KEYS})
        params = {
            **self.common,
            **common,
            **keys,
            "classifier": plan.name,
            "norm": norm,
            "dimensions": plan.dimensions,
            "exclusive": self.exclusive if plan.exclusive is None else plan.exclusive,
            "model_sha256": external.sha256,
        }
        return Task("load_classifier", params, local={"path": str(external.path)})

    def _reader(self, plan: ClassifierPlan, norm: Norm, seed: int) -> dict[str, object]:
        """What a network is built from, and called by."""
        return {
            **self.common,
            "classifier": plan.name,
            "network": plan.network,
            "options": plan.options,
            "dimensions": plan.dimensions,
            "norm": training_norm(norm),
            "training_seed": seed,
        }

    def _predict(self, model: Task, norm: Norm, images: Iterable[Task]) -> Iterator[Task]:
        params = Shared({**self.common, "norm": norm})
        if "format" in model.params:  # of another origin, read in a way of its own
            params["format"] = model.params["format"]
        models = (model,)
        for one in images:
            inputs = {"model": models, "images": (one,)}
            if norm == "batch_site":
                inputs["reference"] = (self._undisturbed[_images_of(one)],)
            yield Task("predict", params, inputs)


def _images_of(task: Task) -> tuple[object, ...]:
    """Which images a ``reconstruct`` task makes, whatever the condition."""
    site = task.inputs["cohort"][0].params["site"]
    return (site, *(task.params[name] for name in ("reconstruction", "acceleration", "split")))


def _in_order(result: Task) -> list[Task]:
    """Every task behind the result once, inputs first."""
    ordered: dict[str, Task] = {}
    stack = [(result, False)]
    while stack:
        task, visited = stack.pop()
        if task.key in ordered:
            continue
        if visited:
            ordered[task.key] = task
            continue
        stack.append((task, True))
        stack.extend((child, False) for children in task.inputs.values() for child in reversed(children))
    return list(ordered.values())
