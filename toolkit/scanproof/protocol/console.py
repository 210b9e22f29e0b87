"""Protocols and validations on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanproof.protocol.definition import Protocol
from scanproof.protocol.record import EndpointRecord, ValidationRecord
from scanproof.protocol.wording import rule_text
from scanproof.reporting.vocabulary import metric, signed

if TYPE_CHECKING:
    from rich.console import Console


def show_protocol(protocol: Protocol, console: Console) -> None:
    """Print what a protocol asks, what a site must bring and what was frozen.

    Args:
        protocol: to show.
        console: to print on.
    """
    from rich.table import Table

    def line(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    line(f"{protocol.title} ({protocol.name} {protocol.version})")
    line(protocol.description)
    table = Table(title="Endpoints")
    for name in ("endpoint", "role", "passes with", "confidence"):
        table.add_column(name)
    for endpoint in protocol.endpoints:
        table.add_row(endpoint.text, endpoint.role, rule_text(endpoint), f"{100 * (endpoint.confidence or 0):g} %")
    console.print(table)
    minimum = protocol.minimum
    line(f"Minimum: {minimum.subjects} subjects, {minimum.cases} cases; {minimum.how}.")
    if minimum.positives is not None:
        for label in protocol.labels:
            line(f"         {minimum.positives} subjects with {label} and {minimum.negatives} without")
    line(f"Data:    {', '.join(f'{key} {value}' for key, value in protocol.study['data'].items())}")
    for point in protocol.statistical_plan:
        line(f"- {point}")
    for name, model in protocol.models.items():
        line(f"weights {name}: {model.sha256}")
    line(f"code {protocol.code.version}")
    line(f"protocol sha256 {protocol.protocol_sha256}")


def show_validation(record: ValidationRecord, console: Console) -> None:
    """Print the verdict, the rule that decided, and every endpoint.

    Args:
        record: of the validation.
        console: to print on.
    """
    from rich.table import Table

    table = Table(title=f"{record.protocol} {record.protocol_version} at {record.site}")
    for name in ("endpoint", "estimate", "subjects", "verdict"):
        table.add_column(name, justify="right" if name == "subjects" else "left")
    for one in record.endpoints:
        subjects = "–" if one.subjects is None else str(one.subjects)
        table.add_row(f"{one.text} ({one.role})", _estimate(one), subjects, one.verdict)
    console.print(table)
    for departure in record.departures:
        console.print(f"Not as it was frozen: {departure}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Verdict  {record.verdict}", style="bold", highlight=False)
    console.print(f"         {record.decided_by}", soft_wrap=True, highlight=False, markup=False)


def _estimate(one: EndpointRecord) -> str:
    if one.estimate is None:
        return "–"
    digits = max(3, metric(one.metric).digits)
    value = signed(one.estimate, digits)
    if one.lower is None or one.upper is None:
        return value
    return f"{value} ({signed(one.lower, digits)} to {signed(one.upper, digits)})"
