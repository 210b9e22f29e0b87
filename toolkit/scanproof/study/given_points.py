"""What saved classifiers bring with them: what they look for, and where they call a case positive."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from scanproof.classification.norms import Norm
from scanproof.errors import ScanproofError, unknown_name
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.classifier_plan import ClassifierPlan, model_key
from scanproof.study.definition import Study


def check_targets(study: Study, targets: Sequence[str]) -> None:
    """Refuse a saved classifier that does not look for all that the data have labels of.

    Args:
        study: the definition.
        targets: of the data.

    Raises:
        ScanproofError: naming the classifier, what it reads and what is missing.
    """
    for number, plan in enumerate(study.classification):
        if plan.model is None:
            continue
        for target in targets:
            if target not in (plan.labels or []):
                reads = ", ".join(plan.labels or [])
                rule = f"{plan.name} must read {target!r}, which the data have labels of; its outputs are {reads}"
                hint = "say by labels what its outputs are called here, in their order"
                raise ScanproofError(rule, key=f"classification[{number}].labels", hint=hint)
        for target in plan.threshold if isinstance(plan.threshold, dict) else ():
            if target not in targets:
                raise unknown_name("target", target, targets, key=f"classification[{number}].threshold")


def given_points(study: Study, targets: Sequence[str]) -> list[dict[str, object]]:
    """The operating points of saved classifiers, one a target, chain and seed; a missing threshold says there is none.

    Args:
        study: the definition.
        targets: of the data.
    """
    rows: list[dict[str, object]] = []
    for plan in study.classification:
        if plan.model is None:
            continue
        for norm, seed, method in itertools.product(plan.norms, plan.trained_with, study.reconstruction):
            undersampled = RECONSTRUCTORS.factory(method.method).undersampled  # type: ignore[attr-defined]
            for acceleration in study.acquisition.accelerations if undersampled else [1.0]:
                for target in targets:
                    chain = {"reconstruction": method.name, "acceleration": acceleration, "classifier": plan.name}
                    threshold = _threshold(study, plan, norm, seed, target, method.name, acceleration)
                    rows.append({"target": target, **chain, "norm": norm, "seed": seed, "threshold": threshold})
    return rows


def _threshold(
    study: Study,
    plan: ClassifierPlan,
    norm: Norm,
    seed: int | None,
    target: str,
    reconstruction: str,
    acceleration: float,
) -> float | None:
    """Of the entry, else of the training study where it had the same chain and asked for the same sensitivity."""
    if isinstance(plan.threshold, dict):
        return plan.threshold.get(target)
    if plan.threshold is not None:
        return plan.threshold
    if seed is None:
        return None
    description = plan.saved[model_key(norm, seed)].description
    own = description.targets[(plan.labels or description.targets).index(target)]
    wanted = (own, reconstruction, acceleration, norm, study.evaluation.sensitivity)
    for point in description.operating_points:
        if (point.target, point.reconstruction, point.acceleration, point.norm, point.sensitivity) == wanted:
            return point.threshold
    return None
