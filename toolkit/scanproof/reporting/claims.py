"""The claims of a study as a report words them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from scanproof.evaluation.chains import CLASSIFICATION_METRICS
from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, CLEAN
from scanproof.reporting.curves import records
from scanproof.reporting.vocabulary import Estimate, metric, norm_label, plain, signed


class ClaimRow(NamedTuple):
    """A claim in words, with what the results say of it."""

    text: str
    comparison: str
    condition: str
    expected: str
    difference: Estimate
    digits: int
    subjects: int
    verdict: str


def claim_rows(claims: pd.DataFrame) -> Sequence[ClaimRow]:
    """The rows of :func:`~scanproof.evaluation.claims.judge_claims` in words.

    Example:
        >>> row = {"text": "It is as good.", "compare": "conv_decoder", "against": "unet", "metric": "ssim",
        ...     "shift": "all", "severity": pd.NA, "site": "all", "measure": "change", "expect": "not_worse",
        ...     "margin": 0.01, "difference": 0.02, "lower": -0.02, "upper": 0.03, "subjects": 9, "cases": 18,
        ...     "verdict": "undecided"}
        >>> [found] = claim_rows(pd.DataFrame([row]))
        >>> found.comparison, found.expected
        ('conv decoder − unet, change of SSIM', 'above −0.01')
        >>> found.condition
        'mean over all shifts, all sites'
    """
    return [_row(row) for row in records(claims)]


def _row(row: Mapping[str, object]) -> ClaimRow:
    measured = metric(str(row["metric"]))
    title = measured.title if measured.title[1:2].isupper() else measured.title[:1].lower() + measured.title[1:]
    name = f"{title}{'' if measured.higher_is_better else ', turned round'}"
    change = "change of " if row["measure"] == "change" else ""
    of_norms = str(row["metric"]) in CLASSIFICATION_METRICS
    one, other = (norm_label(str(row[c])) if of_norms else _named(row[c]) for c in ("compare", "against"))
    places = [_condition(row), "all sites" if row["site"] == ALL_SITES else str(row["site"])]
    places += [plain(str(row[column])) for column in ("reconstruction", "classifier") if row.get(column) is not None]
    return ClaimRow(
        text=str(row["text"]),
        comparison=f"{one} − {other}, {change}{name}",
        condition=", ".join(places),
        expected=_expected(str(row["expect"]), float(str(row["margin"]))),
        difference=Estimate(*(float(str(row[name])) for name in ("difference", "lower", "upper"))),
        digits=max(2, measured.digits),
        subjects=int(str(row["subjects"])),
        verdict=str(row["verdict"]),
    )


def _named(names: object) -> str:
    """A reconstruction, or the first of several trainings of one."""
    first, *more = str(names).split(", ")
    return plain(first) + (f" (mean of {len(more) + 1} trainings)" if more else "")


def _condition(row: Mapping[str, object]) -> str:
    shift, severity = str(row["shift"]), row["severity"]
    if shift in (CLEAN, ALL_SHIFTS):
        return "no shift" if shift == CLEAN else "mean over all shifts"
    return plain(shift) + ("" if severity is None else f" {severity}")


def _expected(expect: str, margin: float) -> str:
    """The place of the whole interval that fulfils a claim."""
    edge = signed(margin, 3).rstrip("0")
    return {"better": "above 0", "not_worse": f"above −{edge}", "similar": f"−{edge} to {edge}"}[expect]
