"""``validation.json``: what a validation found, for whoever reads it with a program."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from scanproof import __version__
from scanproof.errors import ScanproofError
from scanproof.protocol.check import LIBRARIES, Departure
from scanproof.protocol.decide import NOT_ENOUGH, Decided, EndpointVerdict, Verdict
from scanproof.protocol.definition import Hash, Protocol
from scanproof.protocol.endpoint import Role, Rule
from scanproof.protocol.measure import Measured
from scanproof.protocol.minimum import Counts
from scanproof.study.fields import Model
from scanproof.study.fingerprint import code_version, library_versions
from scanproof.study.store import write_atomically

NAME = "validation.json"
#: tables and pages that a validation leaves beside it, where there are any
FILES = ("results.parquet", "comparisons.parquet", "predictions.parquet", "study.lock.yaml", "report.html")


class DataRecord(Counts):
    """The data that a site was validated on. Labels count subjects with at least one case of each kind."""

    kind: str
    kspace: str
    data_sha256: Hash


class EndpointRecord(Model):
    """An endpoint and its verdict; numbers are missing where nothing was computed."""

    name: str
    role: Role
    text: str
    metric: str
    rule: Rule
    limit: float
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    confidence: float | None = None
    subjects: int | None = None
    cases: int | None = None
    verdict: EndpointVerdict
    decided_by: str


class ValidationRecord(Model):
    """All that a validation found, but the tables."""

    format: int = 1
    protocol: str
    protocol_version: str
    protocol_sha256: Hash
    site: str
    small_cell: int
    scanproof: str
    code_version: str
    other_code: bool
    departures: list[str]
    versions: dict[str, str]
    data: DataRecord
    verdict: Verdict
    decided_by: str
    endpoints: list[EndpointRecord]
    files: dict[str, Hash] = Field(default_factory=dict)


def make_record(
    protocol: Protocol,
    *,
    site: str,
    data: DataRecord,
    found: Sequence[Departure],
    verdict: Verdict,
    decided_by: str,
    measured: Sequence[Measured],
    decided: Sequence[Decided],
) -> ValidationRecord:
    """The record of a validation, without hashes of its files.

    Args:
        protocol: that was followed.
        site: where.
        data: of the site.
        found: what is not as it was frozen.
        verdict: of the protocol.
        decided_by: the rule that decided it.
        measured: of each endpoint; none where nothing was computed.
        decided: of each endpoint; none where nothing was computed.
    """
    nothing = Decided(NOT_ENOUGH, "the site has fewer than the minimum, so nothing was computed")
    endpoints = []
    for number, endpoint in enumerate(protocol.endpoints):
        numbers: dict[str, Any] = {"confidence": endpoint.confidence}
        if measured:
            one = measured[number]
            numbers = {name: _finite(getattr(one, name)) for name in ("estimate", "lower", "upper", "confidence")}
            numbers |= {"subjects": one.subjects, "cases": one.cases}
        said = decided[number] if decided else nothing
        endpoints.append(
            EndpointRecord(
                name=endpoint.name,
                role=endpoint.role,
                text=endpoint.text,
                metric=endpoint.metric,
                rule=endpoint.rule,
                limit=endpoint.bound,
                verdict=said.verdict,
                decided_by=said.decided_by,
                **numbers,
            )
        )
    return ValidationRecord(
        protocol=protocol.name,
        protocol_version=protocol.version,
        protocol_sha256=protocol.protocol_sha256,
        site=site,
        small_cell=protocol.small_cell,
        scanproof=__version__,
        code_version=code_version(),
        other_code=any(one.kind == "code" for one in found),
        departures=[str(one) for one in found],
        versions=library_versions(*LIBRARIES),
        data=data,
        verdict=verdict,
        decided_by=decided_by,
        endpoints=endpoints,
    )


def write_record(folder: Path, record: ValidationRecord) -> ValidationRecord:
    """Write the record beside the files of a validation, with their hashes.

    Args:
        folder: of the validation.
        record: without hashes.

    Raises:
        ScanproofError: the folder cannot be written.
    """
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES if (folder / name).is_file()
    }
    whole = record.model_copy(update={"files": hashes})
    text = json.dumps(whole.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / NAME, f"{text}\n".encode())
    return whole


def check_folder(folder: Path, *, protocol: str, site: str) -> None:
    """Refuse a folder that holds the validation of another site, whose name gives the same folder.

    Args:
        folder: of the validation.
        protocol: its name.
        site: its site.

    Raises:
        ScanproofError: it does.
    """
    file = folder / NAME
    if not file.is_file():
        return
    try:
        there = json.loads(file.read_text(encoding="utf-8")).get("site")
    except (OSError, ValueError, AttributeError):
        return  # it is written anew
    if there != site:
        rule = f"folder of {protocol} holds the validation of another site, {there!r}"
        raise ScanproofError(rule, file=folder, key="--site", value=site, hint="use the same name, or another --root")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
