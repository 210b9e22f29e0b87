"""From the saved classifiers that a study file names to an entry that says what they are."""

from __future__ import annotations

import itertools
import string
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from scanproof.classification.norms import ALL_NORMS, NORMS, UNKNOWN, Norm, training_norm
from scanproof.errors import ScanproofError
from scanproof.external.norm import norm_of
from scanproof.study.classifier_description import ClassifierDescription, SavedClassifier
from scanproof.study.classifier_plan import TrainingPlan, model_key
from scanproof.study.external_model import ExternalModel
from scanproof.study.external_plan import EXTERNAL_KEYS
from scanproof.study.model_source import ModelSource

#: what a loaded classifier must not be told, with the value that says nothing
_OF_TRAINING: dict[str, object] = {
    "train_on": "fully_sampled",
    "augment": [],
    "training": TrainingPlan().model_dump(mode="json"),
}
_PLACES = ("norm", "seed")


def find_model(
    plan: Mapping[str, object], *, base: Path, models: ModelSource
) -> tuple[dict[str, object], dict[str, SavedClassifier] | ExternalModel]:
    """An entry with what its model says, and the model: of scanproof (:func:`find_classifiers`) or of another origin.

    Arguments and errors as there, and as :func:`find_other`.
    """
    reference = str(plan["model"])
    if not _places(reference):
        external = models.find_external(
            reference, base=base, name=str(plan.get("name")), definition=plan.get("network_def")
        )
        if external is not None:
            return find_other(plan, external), external
    for key in EXTERNAL_KEYS:
        if plan.get(key) is not None:
            rule = "must be left out: a model that scanproof has saved says it itself"
            raise ScanproofError(rule, key=key, value=plan[key])
    return find_classifiers(plan, base=base, models=models)


def find_other(plan: Mapping[str, object], external: ExternalModel) -> dict[str, object]:
    """An entry with what can be seen of a model of another origin.

    Args:
        plan: the entry; it must name the labels of the outputs.
        external: the model.

    Raises:
        ScanproofError: labels are missing, the entry says something about training, seeds or another network, another
            hash than the model has, several normalizations or one that is a rescue; or the model does not open.
    """
    if not plan.get("labels"):
        raise ScanproofError("must name the outputs of the model, in their order", key="labels", value=None)
    digest = {"model": external.sha256}
    for key, value, own in (
        ("model_sha256", plan.get("model_sha256"), digest),
        ("format", plan.get("format"), external.files.format),
    ):
        if value not in (None, own):
            raise ScanproofError(f"must be left out, or be that of the model: {own!r}", key=key, value=value)
    told = {"network": plan.get("name"), "options": {}, "seeds": [1], **_OF_TRAINING}
    for key, value in plan.items():
        if key in told and value != told[key]:
            raise ScanproofError("must not stand beside the model of somebody else", key=key, value=value)
    norms = plan.get("norms") or [norm_of(external.open()) or UNKNOWN]
    if not isinstance(norms, list) or len(norms) != 1 or norms[0] not in (*NORMS, UNKNOWN):
        rule = f"must be the one normalization that the model has: {', '.join((*NORMS, UNKNOWN))}"
        raise ScanproofError(rule, key="norms", value=norms)
    kept = {key: value for key, value in plan.items() if value is not None}
    filled: dict[str, object] = {"norms": norms, "seeds": [1], "model_sha256": digest}
    return {**kept, **filled, "format": external.files.format, "model": external.reference}


def find_classifiers(
    plan: Mapping[str, object], *, base: Path, models: ModelSource
) -> tuple[dict[str, object], dict[str, SavedClassifier]]:
    """An entry of a study file with what its saved classifiers say, and these.

    Normalizations and seeds that the entry leaves out are those of the classifier; where there are several, the entry
    lists them and ``{norm}`` and ``{seed}`` in the reference stand for them.

    Args:
        plan: the entry; network, options, dimensions and hashes may stand in it if they agree, as in a definition that
            was written out.
        base: folder that a relative path is relative to.
        models: where they are looked up.

    Returns:
        The entry, and the classifiers by :func:`~scanproof.study.classifier_plan.model_key`.

    Raises:
        ScanproofError: see :meth:`~scanproof.study.model_source.ModelSource.find_classifier`; a placeholder that is
            missing or unknown, a classifier of another normalization or seed than the entry says, several that are not
            the same network, or an entry that says something else or something about training.
    """
    reference = str(plan["model"])
    places = _places(reference)
    norms, seeds = (_listed(plan, key, needed=place in places) for key, place in (("norms", "norm"), ("seeds", "seed")))
    for key, values, place in (("norms", norms, "norm"), ("seeds", seeds, "seed")):
        distinct = {training_norm(cast(Norm, one)) for one in values} if place == "norm" else set(values)
        if len(distinct) > 1 and place not in places:
            rule = f"must be one where model has no {{{place}}} to stand for several"
            raise ScanproofError(rule, key=key, value=values)
    saved: dict[str, SavedClassifier] = {}
    for norm, seed in itertools.product(norms or [None], seeds or [None]):
        trained = None if norm is None else training_norm(cast(Norm, norm))
        found = models.find_classifier(_filled(reference, trained, seed), base=base)
        description = found.description
        for key, asked, told in (("norms", trained, description.norm), ("seeds", seed, description.training_seed)):
            if asked is not None and asked != told:
                rule = f"must be what {found.reference} says of itself: {told}"
                raise ScanproofError(rule, key=key, value=asked)
        saved[model_key(description.norm, description.training_seed)] = found
    first = next(iter(saved.values())).description
    _check_alike(saved)
    known: dict[str, object] = {
        "network": first.network,
        "options": first.options,
        "dimensions": first.dimensions,
        "model_sha256": {key: one.description.model_sha256 for key, one in saved.items()},
    }
    for key, value in plan.items():
        if key in known and value not in (known[key], {}, None):
            rule = f"must be left out beside model, or be that of the model: {known[key]!r}"
            raise ScanproofError(rule, key=key, value=value)
        if key in _OF_TRAINING and value != _OF_TRAINING[key]:
            rule = "must not stand beside model, whose weights are trained already"
            raise ScanproofError(rule, key=key, value=value)
    filled = {
        "norms": norms or [first.norm],
        "seeds": seeds or [first.training_seed],
        "labels": first.targets,
        **{key: value for key, value in plan.items() if value is not None},
        **known,
        "model": next(iter(saved.values())).reference if not places else reference,
    }
    _check_labels(filled["labels"], first)
    return filled, saved


def _places(reference: str) -> set[str]:
    try:
        found = {name for _, name, _, _ in string.Formatter().parse(reference) if name is not None}
    except ValueError as error:
        raise ScanproofError(f"must have whole placeholders: {error}", key="model", value=reference) from None
    for name in found:
        if name not in _PLACES:
            raise ScanproofError("must have no placeholders but {norm} and {seed}", key="model", value=reference)
    return found


def _listed(plan: Mapping[str, object], key: str, *, needed: bool) -> list[object]:
    """Values of a list of the entry; none where it is left out."""
    values = plan.get(key)
    if not isinstance(values, list) or not values:
        if needed:
            raise ScanproofError(f"must be listed, for model has a place for each of the {key}", key=key, value=values)
        return []
    if key == "norms":
        for value in values:
            if value not in ALL_NORMS:
                raise ScanproofError(f"must be normalizations: {', '.join(ALL_NORMS)}", key=key, value=value)
    return values


def _filled(reference: str, norm: str | None, seed: object) -> str:
    return reference.format(norm=norm, seed=seed) if _places(reference) else reference


def _check_alike(saved: Mapping[str, SavedClassifier]) -> None:
    """Several trainings of one entry are one network."""
    (first, start), *others = [(key, _network(one.description)) for key, one in saved.items()]
    for key, network in others:
        for name, value in network.items():
            if value != start[name]:
                rule = f"{name} must be that of {first}, {start[name]!r}, for one entry is one network"
                raise ScanproofError(rule, key=f"model ({key})", value=value)


def _network(description: ClassifierDescription) -> dict[str, object]:
    names = ("network", "options", "dimensions", "targets", "exclusive")
    return {name: getattr(description, name) for name in names}


def _check_labels(labels: object, description: ClassifierDescription) -> None:
    count = len(description.targets)
    if not isinstance(labels, list) or len(labels) != count or len(set(map(str, labels))) != count:
        rule = f"must name each of the {count} outputs once, which are {', '.join(description.targets)}"
        raise ScanproofError(rule, key="labels", value=labels)
