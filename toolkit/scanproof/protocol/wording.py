"""Endpoints and the statistical plan in words."""

from __future__ import annotations

from collections.abc import Sequence

from scanproof.evaluation.chains import CLASSIFICATION_METRICS
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.protocol.endpoint import Endpoint
from scanproof.reporting.vocabulary import joined, metric, norm_label, plain
from scanproof.study.definition import EvaluationPlan


def endpoint_text(endpoint: Endpoint) -> str:
    """The statement that an endpoint tests.

    Example:
        >>> endpoint_text(Endpoint(name="a", metric="ssim", reconstruction="unet", rule="at_least", limit=0.9))
        'SSIM of unet, without shift, is at least 0.9'
        >>> endpoint_text(Endpoint(name="b", metric="auroc", compare="group", against="batch", shift="all",
        ...     rule="not_worse", margin=0.05))
        'AUROC with group norm is not worse than with batch norm by 0.05, mean over all shifts'
    """
    if endpoint.text:
        return endpoint.text
    what = metric(endpoint.metric).label
    change = "Change of " if endpoint.measure == "change" else ""
    where = _condition(endpoint)
    chain = [plain(name) for name in (endpoint.reconstruction, endpoint.classifier) if name]
    chain += [norm_label(endpoint.norm)] if endpoint.norm else []
    if not endpoint.compares:
        of = f" of {', '.join(chain)}" if chain else ""
        return f"{change}{what}{of}, {where}, is {plain(endpoint.rule)} {_number(endpoint.bound)}"
    claim = endpoint.claim()
    of_norms = endpoint.metric in CLASSIFICATION_METRICS
    one, other = (
        f"with {norm_label(names[0])}" if of_norms else f"of {joined(map(plain, names))}"
        for names in (claim.compared, claim.opponents)
    )
    other = other.removeprefix("of ") if not of_norms else other
    relation = {
        "better": f"is better than {other}",
        "not_worse": f"is not worse than {other} by {endpoint.bound:g}",
        "similar": f"is within {endpoint.bound:g} of {other}",
    }[endpoint.rule]
    behind = f", {', '.join(chain)}" if chain else ""
    return f"{change}{what} {one} {relation}, {where}{behind}"


def _condition(endpoint: Endpoint) -> str:
    if endpoint.shift in (CLEAN, ALL_SHIFTS):
        return "without shift" if endpoint.shift == CLEAN else "mean over all shifts"
    return f"under {plain(endpoint.shift)}" + ("" if endpoint.severity is None else f" {endpoint.severity}")


def _number(value: float) -> str:
    """A number as short as it is, with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def rule_text(endpoint: Endpoint) -> str:
    """Where the whole interval must lie.

    Example:
        >>> rule_text(Endpoint(name="a", metric="nrmse", reconstruction="unet", rule="at_most", limit=0.1))
        'whole interval at or below 0.1'
    """
    bound = _number(endpoint.bound)
    return {
        "at_least": f"whole interval at or above {bound}",
        "at_most": f"whole interval at or below {bound}",
        "better": "whole interval above 0",
        "not_worse": f"whole interval above −{bound}",
        "similar": f"whole interval between −{bound} and {bound}",
    }[endpoint.rule]


def statistical_plan(
    endpoints: Sequence[Endpoint], evaluation: EvaluationPlan, *, seed: int, small_cell: int, classifies: bool
) -> list[str]:
    """The statistical plan, a sentence or two a point; all of it follows from the settings.

    Args:
        endpoints: of the protocol.
        evaluation: settings of the study.
        seed: of the study.
        small_cell: least count of people that an export shows.
        classifies: whether classifiers are tested.
    """
    secondary = sum(endpoint.role == "secondary" for endpoint in endpoints)
    widened = (
        "as percentiles of the resamples"
        if evaluation.interval == "percentile"
        else "as percentiles of resamples of one subject less, widened as Student's t asks for few subjects"
    )
    plan = [
        f"Unit of analysis: the subject. All images of a subject are drawn together: {evaluation.resamples} bootstrap "
        f"resamples of subjects with replacement, seed {seed}; {100 * evaluation.confidence:g} % intervals are taken "
        f"{widened}.",
        "An endpoint about one chain speaks of the frozen networks and of new subjects: several trainings of a network "
        "are averaged.",
        "Verdict of an endpoint: pass where the whole interval fulfils the rule, fail where no part of it does, "
        "otherwise undecided. An interval that cannot be computed decides nothing.",
        "Verdict of the protocol: that of the primary endpoint; undecided counts as not enough data. With fewer "
        "subjects, cases, or subjects with or without a finding than the minimum, nothing is computed and the verdict "
        "is not enough data.",
    ]
    if classifies:
        plan.insert(
            2,
            "A comparison of normalizations is paired over cases and over trainings from the same seed, which are "
            "drawn anew, too; classifiers and reconstructions that an endpoint leaves open are averaged.",
        )
        plan.append(
            "Every case needs its label; a manifest with a missing label is refused before anything is computed."
        )
    if secondary:
        plan.append(
            f"Secondary endpoints ({secondary}) are decided only where Holm's step-down correction for their number "
            f"agrees with the interval, at a level of {1 - evaluation.confidence:.2g} for all of them together. They "
            "have no part in the verdict of the protocol."
        )
    plan += [
        "Every subject of the site is tested, none is learned from. A file that cannot be read stops the validation "
        "and is named; nothing is left out without being said.",
        f"Counts of fewer than {small_cell} people are not shown in what leaves the site.",
    ]
    return plan
