"""From intervals to verdicts: of each endpoint, and of the protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scanproof.errors import ScanproofError
from scanproof.evaluation.statistics.decisions import holm
from scanproof.protocol.endpoint import Endpoint
from scanproof.protocol.measure import Measured
from scanproof.protocol.wording import rule_text
from scanproof.reporting.vocabulary import counted, metric, signed

NOT_ENOUGH: Literal["not enough data"] = "not enough data"
Verdict = Literal["pass", "fail", "not enough data"]
EndpointVerdict = Literal["pass", "fail", "undecided", "not enough data"]
Side = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True)
class Decided:
    """A verdict and the rule that led to it, in a sentence."""

    verdict: EndpointVerdict
    decided_by: str


def side_of(endpoint: Endpoint, lower: float, upper: float) -> Side:
    """On which side of an endpoint's rule a whole interval lies; bounds that are missing decide nothing.

    Limits are met by an interval that touches them, as "at least" says. Comparisons are strict, so that two equal
    chains are not better than each other.

    Args:
        endpoint: with its rule.
        lower: bound of the interval.
        upper: likewise.

    Example:
        >>> endpoint = Endpoint(name="a", metric="ssim", reconstruction="unet", rule="at_least", limit=0.9)
        >>> [side_of(endpoint, *interval) for interval in ((0.9, 0.95), (0.85, 0.95), (0.8, 0.89))]
        ['pass', 'undecided', 'fail']
    """
    bound, rule = endpoint.bound, endpoint.rule
    if math.isnan(lower) or math.isnan(upper):
        return "undecided"
    if rule == "at_least":
        passed, failed = lower >= bound, upper < bound
    elif rule == "at_most":
        passed, failed = upper <= bound, lower > bound
    elif rule == "similar":
        passed, failed = lower > -bound and upper < bound, upper < -bound or lower > bound
    else:
        passed, failed = lower > -bound, upper < -bound
    return "pass" if passed else "fail" if failed else "undecided"


def decide(endpoints: Sequence[Endpoint], measured: Sequence[Measured]) -> list[Decided]:
    """The verdict of each endpoint.

    The primary endpoint is decided by its interval alone. Secondary ones form one family: they are decided where the
    interval decides and the p-value at the bound, corrected by Holm's procedure for their number, agrees.

    Args:
        endpoints: of the protocol.
        measured: what the results say of each.

    Raises:
        ScanproofError: not one measurement an endpoint.
    """
    if len(endpoints) != len(measured):
        raise ScanproofError(f"measured must be of {len(endpoints)} endpoints", value=len(measured))
    family = [number for number, endpoint in enumerate(endpoints) if endpoint.role == "secondary"]
    # what has no p-value cannot be decided, yet counts: the family was named before the data were seen
    p_values = [measured[number].p_value for number in family]
    corrected = holm([1.0 if math.isnan(p) else p for p in p_values]).tolist() if family else []
    of_family: Mapping[int, float] = dict(zip(family, corrected, strict=True))
    return [
        _decide(endpoint, found, corrected=of_family.get(number), family=len(family))
        for number, (endpoint, found) in enumerate(zip(endpoints, measured, strict=True))
    ]


def _decide(endpoint: Endpoint, found: Measured, *, corrected: float | None, family: int) -> Decided:
    if math.isnan(found.lower) or math.isnan(found.upper):
        said = "no interval can be computed: too many resamples of so few subjects have no value"
        return Decided(NOT_ENOUGH, f"{said} ({counted(found.subjects, 'subject')})")
    digits = max(3, metric(endpoint.metric).digits)
    interval = f"the {100 * found.confidence:g} % interval {signed(found.lower, digits)} to "
    interval += signed(found.upper, digits)
    asked = rule_text(endpoint)
    side = side_of(endpoint, found.lower, found.upper)
    if side == "undecided":
        return Decided("undecided", f"{interval} lies on both sides of the rule ({asked})")
    word = "fulfils the rule" if side == "pass" else "lies wholly on the wrong side of the rule"
    said = f"{interval} {word} ({asked})"
    if corrected is None:
        return Decided(side, said)
    after = f"after Holm's correction for {counted(family, 'secondary endpoint')}, p = {corrected:.2g}"
    if corrected > 1 - found.confidence + 1e-12:
        return Decided("undecided", f"{said}, but not {after}")
    return Decided(side, f"{said}; {after}")


def overall(endpoints: Sequence[Endpoint], decided: Sequence[Decided]) -> tuple[Verdict, str]:
    """The verdict of the protocol, which is that of its primary endpoint, and why.

    Args:
        endpoints: of the protocol.
        decided: verdict of each.
    """
    primary = next(number for number, endpoint in enumerate(endpoints) if endpoint.role == "primary")
    found = decided[primary]
    reason = f"Primary endpoint {endpoints[primary].name}: {found.decided_by}."
    if found.verdict in ("pass", "fail"):
        return ("pass" if found.verdict == "pass" else "fail"), reason
    return NOT_ENOUGH, reason
