"""The verdict of a protocol: on top of a report, or as a page of its own where nothing was computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scanproof.reporting.embedding import content_policy, page_environment, resource
from scanproof.reporting.notes import NOT_CLINICAL
from scanproof.reporting.vocabulary import Estimate


class VerdictRow(NamedTuple):
    """An endpoint with its verdict.

    Args:
        name: of the endpoint.
        role: primary or secondary.
        text: what it states.
        rule: where the whole interval must lie.
        estimate: with its interval; None where nothing was computed.
        digits: to show.
        subjects: behind it; None where nothing was computed.
        verdict: of the endpoint.
        decided_by: the rule that decided, with the numbers.
    """

    name: str
    role: str
    text: str
    rule: str
    estimate: Estimate | None
    digits: int
    subjects: int | None
    verdict: str
    decided_by: str

    @property
    def badge(self) -> str:
        """How the verdict is coloured, beside its words."""
        return {"pass": "agree", "fail": "disagree"}.get(self.verdict, "undecided")


@dataclass(frozen=True, kw_only=True)
class VerdictPanel:
    """What a page says of a validation before anything else.

    Args:
        protocol: title of the protocol.
        name: its name and version.
        sha256: its hash.
        site: where it was run.
        verdict: pass, fail or not enough data.
        reason: the rule that decided, with the numbers.
        rows: one an endpoint, the primary first.
        counts: what the site has against the minimum, a sentence a rule.
        notes: what departs from the protocol as it was frozen.
        plan: the statistical plan, a point a sentence or two.
        confidence: of the intervals.
    """

    protocol: str
    name: str
    sha256: str
    site: str
    verdict: str
    reason: str
    rows: Sequence[VerdictRow]
    counts: Sequence[str]
    notes: Sequence[str]
    plan: Sequence[str]
    confidence: float

    @property
    def badge(self) -> str:
        """How the verdict is coloured, beside its words."""
        return {"pass": "agree", "fail": "disagree"}.get(self.verdict, "undecided")


def verdict_page(panel: VerdictPanel, *, command: str) -> str:
    """A page with the verdict alone, for a validation that ended before anything was computed.

    Args:
        panel: what it says.
        command: that made it.
    """
    return (
        page_environment(filters={}, last_newline=True)
        .get_template("validation.html.j2")
        .render(
            verdict=panel,
            command=command,
            warning=NOT_CLINICAL,
            style=resource("report.css"),
            policy=content_policy([]),
        )
    )
