"""A check as JSON, for programs of the site."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scanproof.data.labels import label_columns
from scanproof.data.problems import Problem
from scanproof.intake.checkup import LOCAL, Checkup


def as_json(found: Checkup) -> str:
    """All that a check found, without pictures; the same files give the same text.

    Args:
        found: by the check.
    """
    content = {
        "notice": LOCAL,
        "clean": found.clean,
        "origin": found.origin,
        "remarks": found.remarks,
        "problems": [_problem(problem) for problem in found.problems],
        "notes": [_problem(problem) for problem in found.notes],
        "sites": [share._asdict() for share in found.shares],
        "labels": [balance._asdict() for balance in found.balances],
        "geometries": [group._asdict() for group in found.geometries],
        "readiness": {**dataclasses.asdict(found.ready), "words": found.ready.words},
        "files": _files(found),
    }
    return json.dumps(_plain(content), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _problem(problem: Problem) -> dict[str, object]:
    return {
        "where": problem.key,
        problem.unit: problem.line,
        "column": problem.column,
        "path": problem.path,
        "rule": problem.rule,
        "value": problem.value,
        "hint": problem.hint,
    }


def _files(found: Checkup) -> list[dict[str, object]]:
    labels = label_columns(found.files)
    rows = []
    for (_, row), fact in zip(found.files.iterrows(), found.facts, strict=True):
        intensity = None if fact.intensity is None else fact.intensity._asdict()
        named = {name: row[name] for name in ("subject", "site", "split", *labels)}
        known = {"gives": fact.gives, "format": fact.format, "shape": fact.shape, "spacing": fact.spacing}
        hashes = {"size": fact.size, "content_sha256": fact.content, "values_sha256": fact.pixels}
        place = {found.unit: row["line"], "path": row["listed"]}
        rows.append({**place, **named, "usable": fact.error is None, **known, **hashes, "intensity": intensity})
    return rows


def _plain(value: object) -> object:
    """What JSON knows: text, numbers, lists and objects."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return None if value is pd.NA else str(value)
