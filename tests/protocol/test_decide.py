"""From intervals to verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from statsmodels.stats.multitest import multipletests

from scanproof.errors import ScanproofError
from scanproof.evaluation.claim import verdict
from scanproof.protocol.decide import decide, overall, side_of
from scanproof.protocol.endpoint import Endpoint
from scanproof.protocol.measure import Measured

numbers = st.floats(-2, 2, allow_nan=False)


def single(rule: str, limit: float, **more: object) -> Endpoint:
    content = {"name": "a", "metric": "ssim", "reconstruction": "unet", "rule": rule, "limit": limit, **more}
    return Endpoint.model_validate(content)


def comparison(rule: str, margin: float | None = None, **more: object) -> Endpoint:
    content = {"name": "a", "metric": "ssim", "compare": "unet", "against": "cs_tv", "rule": rule, "margin": margin}
    return Endpoint.model_validate({**content, **more})


def measured(lower: float, upper: float, p_value: float = 0.001) -> Measured:
    middle = (lower + upper) / 2
    return Measured(estimate=middle, lower=lower, upper=upper, confidence=0.95, p_value=p_value, subjects=20, cases=40)


@pytest.mark.parametrize(
    ("endpoint", "interval", "expected"),
    [
        (single("at_least", 0.9), (0.9, 0.95), "pass"),  # an interval that touches the limit is at least the limit
        (single("at_least", 0.9), (0.89, 0.95), "undecided"),
        (single("at_least", 0.9), (0.8, 0.9), "undecided"),
        (single("at_least", 0.9), (0.8, 0.89), "fail"),
        (single("at_most", 0.1), (0.05, 0.1), "pass"),
        (single("at_most", 0.1), (0.05, 0.2), "undecided"),
        (single("at_most", 0.1), (0.11, 0.2), "fail"),
        (single("at_least", -0.05, shift="all", measure="change"), (-0.04, 0.01), "pass"),
        (comparison("better"), (0.001, 0.1), "pass"),
        (comparison("better"), (0.0, 0.0), "undecided"),  # two equal chains
        (comparison("better"), (-0.1, -0.01), "fail"),
        (comparison("not_worse", 0.05), (-0.04, 0.1), "pass"),
        (comparison("not_worse", 0.05), (-0.05, 0.1), "undecided"),
        (comparison("not_worse", 0.05), (-0.2, -0.06), "fail"),
        (comparison("similar", 0.05), (-0.04, 0.04), "pass"),
        (comparison("similar", 0.05), (-0.04, 0.06), "undecided"),
        (comparison("similar", 0.05), (0.06, 0.1), "fail"),
        (single("at_least", 0.9), (math.nan, 0.95), "undecided"),
    ],
)
def test_the_whole_interval_decides(endpoint: Endpoint, interval: tuple[float, float], expected: str) -> None:
    assert side_of(endpoint, *interval) == expected


@given(st.sampled_from(["at_least", "at_most"]), numbers, numbers, numbers)
def test_an_interval_that_holds_the_limit_inside_decides_nothing(rule: str, limit: float, a: float, b: float) -> None:
    lower, upper = min(a, b), max(a, b)
    found = side_of(single(rule, limit), lower, upper)
    if lower < limit < upper:
        assert found == "undecided"
    if found == "pass":  # what passes a limit passes every milder one
        milder = limit - 1 if rule == "at_least" else limit + 1
        assert side_of(single(rule, milder), lower, upper) == "pass"
        assert side_of(single("at_most" if rule == "at_least" else "at_least", limit), lower, upper) != "pass" or (
            lower == limit == upper
        )


@given(st.sampled_from([("better", None), ("not_worse", 0.1), ("similar", 0.1)]), numbers, numbers)
def test_comparisons_are_decided_as_claims_are(kind: tuple[str, float | None], a: float, b: float) -> None:
    endpoint = comparison(*kind)
    as_claim = {"agree": "pass", "disagree": "fail", "undecided": "undecided"}
    assert side_of(endpoint, min(a, b), max(a, b)) == as_claim[verdict(min(a, b), max(a, b), endpoint.claim())]


def test_the_primary_endpoint_decides_alone() -> None:
    endpoints = [single("at_least", 0.9, role="primary"), single("at_least", 0.9, name="b")]
    found = decide(endpoints, [measured(0.91, 0.95, p_value=0.04), measured(0.5, 0.6)])
    assert [one.verdict for one in found] == ["pass", "fail"]
    assert overall(endpoints, found) == (
        "pass",
        "Primary endpoint a: the 95 % interval 0.910 to 0.950 fulfils the rule (whole interval at or above 0.9).",
    )
    found = decide(endpoints, [measured(0.85, 0.95), measured(0.91, 0.95)])
    assert overall(endpoints, found)[0] == "not enough data"
    assert "lies on both sides of the rule" in overall(endpoints, found)[1]
    found = decide(endpoints, [measured(0.7, 0.8), measured(0.91, 0.95)])
    assert overall(endpoints, found)[0] == "fail"


def test_an_interval_that_is_missing_is_not_enough_data() -> None:
    endpoints = [single("at_least", 0.9, role="primary")]
    [found] = decide(endpoints, [measured(math.nan, math.nan, p_value=math.nan)])
    assert found.verdict == "not enough data"
    assert overall(endpoints, [found])[0] == "not enough data"


@settings(deadline=None)
@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=8))
def test_secondary_endpoints_are_one_family(p_values: list[float]) -> None:
    endpoints = [single("at_least", 0.9, role="primary")]
    endpoints += [single("at_least", 0.9, name=f"s{number}") for number in range(len(p_values))]
    found = decide(endpoints, [measured(0.91, 0.95), *(measured(0.91, 0.95, p) for p in p_values)])
    reject, corrected, *_ = multipletests(p_values, alpha=0.05, method="holm")
    for one, rejected, p in zip(found[1:], reject, corrected, strict=True):
        if not np.isclose(p, 0.05):
            assert (one.verdict == "pass") == rejected
        assert "Holm" in one.decided_by


def test_one_measurement_an_endpoint() -> None:
    with pytest.raises(ScanproofError, match="measured must be of 1 endpoints, got 0"):
        decide([single("at_least", 0.9)], [])
