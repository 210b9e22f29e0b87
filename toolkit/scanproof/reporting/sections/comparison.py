"""Paired comparisons of normalizations, and what each of them supports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, cast

import pandas as pd

from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, CLEAN
from scanproof.reporting.curves import chain_order, records, row_chain
from scanproof.reporting.vocabulary import Chain, Estimate, norm_order

#: a metric under a condition, or its loss from no shift to that condition
Measure = Literal["quality", "change"]
#: what a comparison supports, in favour of the norm that it is about
Standing = Literal["better", "worse", "unclear", "uncorrected"]


class Comparison(NamedTuple):
    """One norm against another behind the same reconstruction and classifier.

    ``difference`` is positive in favour of the norm of ``chain``. ``severity`` is ``None`` for the mean over the
    severities of ``shift``; ``p_holm`` is ``None`` where no correction was made.
    """

    chain: Chain
    reference: str
    site: str
    shift: str
    severity: int | None
    measure: Measure
    difference: Estimate
    p_holm: float | None = None
    p_value: float | None = None
    p_permutation: float | None = None
    effect_size: float | None = None
    subjects: int | None = None
    cases: int | None = None
    seeds: int | None = None

    @property
    def pair(self) -> Chain:
        """What both norms have in common: the reconstruction, its acceleration and the classifier."""
        return self.chain._replace(norm=None)


def read_comparisons(table: pd.DataFrame | None, *, metric: str = "auroc") -> list[Comparison]:
    """The comparisons of a table by one metric; none of no table.

    Args:
        table: columns ``site``, ``shift``, ``severity``, ``reconstruction``, ``acceleration``, ``classifier``,
            ``norm``, ``reference``, ``metric``, ``measure``, ``difference``, ``lower``, ``upper``, ``p_value``,
            ``p_permutation``, ``p_holm``, ``effect_size``, ``subjects``, ``cases`` and ``seeds``.
        metric: by which.

    Returns:
        In order of chain, shift and site.

    Example:
        >>> row = {"site": "all", "shift": "ghosting", "severity": pd.NA, "reconstruction": "unet", "acceleration": 4.0,
        ...     "classifier": "resnet18", "norm": "group", "reference": "batch", "metric": "auroc",
        ...     "measure": "change", "difference": 0.04, "lower": 0.01, "upper": 0.07, "p_value": 0.002,
        ...     "p_permutation": 0.004, "p_holm": 0.01, "effect_size": 0.5, "subjects": 60, "cases": 90, "seeds": 5}
        >>> [found] = read_comparisons(pd.DataFrame([row]))
        >>> found.chain.norm, found.difference.value, standing(found, level=0.95)
        ('group', 0.04, 'better')
    """
    if table is None or table.empty:
        return []
    found = [_comparison(row) for row in records(table[table["metric"] == metric])]
    return sorted(found, key=lambda one: (chain_order(one.chain), one.shift, one.site, one.severity or 0, one.measure))


def standing(comparison: Comparison, *, level: float) -> Standing:
    """What a comparison supports.

    Args:
        comparison: to judge.
        level: coverage of its interval; 1 minus it is what p-values must stay below.

    Returns:
        ``"better"`` or ``"worse"`` where the interval excludes zero and no correction for the number of comparisons
        speaks against it; ``"uncorrected"`` where only the correction does; else ``"unclear"``.

    Example:
        >>> chain = Chain("unet", 4.0, "resnet18", "group")
        >>> one = Comparison(chain, "batch", "all", "noise", None, "change", Estimate(0.04, 0.01, 0.07), p_holm=0.2)
        >>> standing(one, level=0.95), standing(one._replace(p_holm=None), level=0.95)
        ('uncorrected', 'better')
    """
    _, lower, upper = comparison.difference
    if lower is None or upper is None or lower <= 0 <= upper:
        return "unclear"
    # 1 - 0.95 is a little more than 0.05
    if comparison.p_holm is not None and not comparison.p_holm < round(1 - level, 9):
        return "uncorrected"
    return "better" if lower > 0 else "worse"


def pairs(comparisons: Iterable[Comparison], *, first: Chain | None = None) -> list[Chain]:
    """The chains without their norm, the one of ``first`` before the others."""
    found = sorted({one.pair for one in comparisons}, key=chain_order)
    start = None if first is None else first._replace(norm=None)
    return sorted(found, key=lambda pair: pair != start)


def of_shifts(comparisons: Iterable[Comparison], pair: Chain, measure: Measure) -> list[Comparison]:
    """Comparisons under one shift each, means over its severities and over the sites."""
    return [
        one
        for one in comparisons
        if one.pair == pair
        and one.measure == measure
        and one.site == ALL_SITES
        and one.shift not in (ALL_SHIFTS, CLEAN)
        and one.severity is None
    ]


def of_sites(comparisons: Iterable[Comparison], pair: Chain, measure: Measure) -> list[Comparison]:
    """Comparisons over all shifts at each site and over the sites."""
    return [one for one in comparisons if one.pair == pair and one.measure == measure and one.shift == ALL_SHIFTS]


def norms_of(comparisons: Iterable[Comparison]) -> list[str]:
    """The norms that are compared, without the reference."""
    return sorted({str(one.chain.norm) for one in comparisons}, key=norm_order)


def _comparison(row: dict[str, object]) -> Comparison:
    value, lower, upper = (_number(row[name]) for name in ("difference", "lower", "upper"))
    severity = row["severity"]
    return Comparison(
        chain=row_chain(row),
        reference=str(row["reference"]),
        site=str(row["site"]),
        shift=str(row["shift"]),
        severity=None if severity is None else int(str(severity)),
        measure=cast("Measure", str(row["measure"])),
        difference=Estimate(float("nan") if value is None else value, lower, upper),
        p_holm=_number(row["p_holm"]),
        p_value=_number(row["p_value"]),
        p_permutation=_number(row["p_permutation"]),
        effect_size=_number(row["effect_size"]),
        **{name: None if row[name] is None else int(str(row[name])) for name in ("subjects", "cases", "seeds")},
    )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
