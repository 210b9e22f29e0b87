"""A validation as its report shows it."""

from __future__ import annotations

from collections.abc import Iterator

from scanproof.protocol.definition import Protocol
from scanproof.protocol.minimum import Minimum
from scanproof.protocol.record import DataRecord, EndpointRecord, ValidationRecord
from scanproof.protocol.wording import rule_text
from scanproof.reporting.verdict import VerdictPanel, VerdictRow
from scanproof.reporting.vocabulary import Estimate, counted, metric


def make_panel(protocol: Protocol, record: ValidationRecord) -> VerdictPanel:
    """What a report says of a validation before anything else.

    Args:
        protocol: that was followed.
        record: what was found.
    """
    notes = list(record.departures)
    if record.other_code:
        notes.insert(0, "Run with other code than the protocol was frozen with, by --allow-other-code.")
    return VerdictPanel(
        protocol=protocol.title,
        name=f"{protocol.name} {protocol.version}",
        sha256=protocol.protocol_sha256,
        site=record.site,
        verdict=record.verdict,
        reason=record.decided_by,
        rows=[
            _row(one, rule_text(endpoint)) for one, endpoint in zip(record.endpoints, protocol.endpoints, strict=True)
        ],
        counts=list(_counts(record.data, protocol.minimum)),
        notes=notes,
        plan=protocol.statistical_plan,
        confidence=protocol.primary.confidence or 0.95,
    )


def _row(one: EndpointRecord, rule: str) -> VerdictRow:
    return VerdictRow(
        name=one.name,
        role=one.role,
        text=one.text,
        rule=rule,
        estimate=None if one.estimate is None else Estimate(one.estimate, one.lower, one.upper),
        digits=max(3, metric(one.metric).digits),
        subjects=one.subjects,
        verdict=one.verdict,
        decided_by=one.decided_by,
    )


def _counts(data: DataRecord, minimum: Minimum) -> Iterator[str]:
    yield f"{counted(data.subjects, 'subject')}; the protocol asks for at least {minimum.subjects}."
    yield f"{counted(data.cases, 'case')}; at least {minimum.cases}."
    for label, found in data.labels.items():
        for name, words, least in (
            ("positive", "with", minimum.positives),
            ("negative", "without", minimum.negatives),
        ):
            if least is not None:
                yield f"{counted(found[name], 'subject')} {words} {label}; at least {least}."
    yield f"How the minimum was found: {minimum.how}."
    yield f"k-space is {data.kspace}" + (
        ": it was computed from magnitude images, so reconstructions score better than on a scanner."
        if data.kspace == "synthetic"
        else "."
    )
