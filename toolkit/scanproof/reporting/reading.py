"""What classifiers read, as tables for a manuscript: chains, curves and comparisons, and their part of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, CHAIN, CLEAN, CONDITION
from scanproof.reporting.curves import extract_curves, records, row_chain, row_estimate, site_rows
from scanproof.reporting.markdown import estimate_cell, markdown_table
from scanproof.reporting.ranking import rank_chains
from scanproof.reporting.sections.comparison import (
    Comparison,
    Measure,
    norms_of,
    of_shifts,
    of_sites,
    pairs,
    read_comparisons,
    standing,
)
from scanproof.reporting.sections.findings import caution, p_text, paragraphs
from scanproof.reporting.sections.parts import telling_chain
from scanproof.reporting.vocabulary import Chain, Estimate, image_label, norm_label, plain, reader_label, shift_name

#: what sums a chain up on the page
_HEADS = {
    "auroc_clean": "AUROC, no shift",
    "auroc_shifted": "AUROC, mean over shifts",
    "auroc_drop": "lost",
    "auroc_worst_shift": "worst shift",
    "auroc_worst_site": "worst site",
    "mce": "corruption error",
    "relative_mce": "relative corruption error",
    "auroc_gap_to_best": "to the first",
}
_MEASURES: dict[Measure, str] = {
    "change": "How much less AUROC was lost than with batch norm",
    "quality": "AUROC minus that of batch norm",
}


def chain_table(results: pd.DataFrame) -> pd.DataFrame:
    """What sums up each chain over all shifts, at every site and over the sites: one row a summary.

    Example:
        >>> row = {"site": "all", "subject": pd.NA, "case": pd.NA, "shift": "all", "severity": pd.NA, "seed": pd.NA,
        ...     "reconstruction": "unet", "acceleration": 4.0, "classifier": "resnet18", "norm": "group",
        ...     "metric": "auroc_drop", "value": 0.05, "lower": 0.02, "upper": 0.08, "n": 90}
        >>> chain_table(pd.DataFrame([row, row | {"shift": "ghosting"}]))[["site", "norm", "metric", "value"]]
          site   norm      metric  value
        0  all  group  auroc_drop   0.05
    """
    rows = site_rows(results)
    rows = rows[rows["classifier"].notna() & (rows["shift"] == ALL_SHIFTS)]
    columns = ["site", *CHAIN, "metric", "value", "lower", "upper", "n"]
    return rows[columns].sort_values(["site", *CHAIN], kind="stable", ignore_index=True)


def curve_table(results: pd.DataFrame) -> pd.DataFrame:
    """AUROC of each chain under each condition, mean over trainings, targets and sites."""
    rows = site_rows(results)
    rows = rows[(rows["metric"] == "auroc") & (rows["site"] == _place(rows)) & rows["severity"].notna()]
    columns = [*CHAIN, *CONDITION, "value", "lower", "upper", "n"]
    return rows[columns].sort_values(columns[:6], ignore_index=True)


def comparison_table(comparisons: pd.DataFrame) -> pd.DataFrame:
    """All comparisons of normalizations, without the name of the study."""
    order = ["site", *CHAIN, "measure", *CONDITION]
    return comparisons.drop(columns="study").sort_values(order, ignore_index=True)


def reading_parts(results: pd.DataFrame, comparisons: pd.DataFrame, *, level: float) -> list[str]:
    """The part of a page of Markdown about classifiers.

    A table of the chains, the sturdiest first, and for each reconstruction and classifier what is known of its
    normalizations: sentences, and the differences to batch normalization with conditions down and norms across.

    Args:
        results: results table.
        comparisons: of normalizations; may be empty.
        level: coverage of the intervals.
    """
    ranking = rank_chains(results, extract_curves(results))
    found = read_comparisons(comparisons)
    parts = [
        "## Chains",
        "Means over sites, the sturdiest first; corruption errors below 1 are better than batch norm.",
    ]
    parts.append(_chains(chain_table(results), [ranked.chain for ranked in ranking.chains]))
    if not found:
        return parts
    parts += ["## Comparisons", caution(found, level=level)]
    parts.append(
        "Differences are paired, means over sites, positive where better than batch norm. p of a shift is corrected "
        "for the number of shifts (Holm); **bold** where both it and the interval exclude 0."
    )
    for pair in pairs(found, first=telling_chain(ranking)):
        parts.append(f"### {image_label(pair)} read by {plain(pair.classifier or '')}")
        parts += paragraphs(found, pair, level=level)
        for measure, title in _MEASURES.items():
            if grid := _comparisons(found, pair, measure, level):
                parts += [f"{title}:", grid]
    return parts


def _place(rows: pd.DataFrame) -> str:
    sites = rows["site"].drop_duplicates().tolist()
    return ALL_SITES if ALL_SITES in sites or not sites else str(sites[0])


def _chains(table: pd.DataFrame, order: Sequence[Chain]) -> str:
    values: dict[Chain, dict[str, Estimate]] = {}
    for row in records(table[table["site"] == _place(table)]):
        values.setdefault(row_chain(row), {})[str(row["metric"])] = row_estimate(row)
    shown = [name for name in _HEADS if any(name in own for own in values.values())]
    rows = [
        [image_label(chain), reader_label(chain), *(estimate_cell(values[chain].get(name), 3) for name in shown)]
        for chain in order
        if chain in values
    ]
    return markdown_table(["images", "read by", *(_HEADS[name] for name in shown)], rows)


def _comparisons(found: Sequence[Comparison], pair: Chain, measure: Measure, level: float) -> str:
    """Shifts down, norms across, with no shift first and the mean over all shifts last; empty of no comparison."""
    clean = [one for one in found if one.shift == CLEAN and (one.pair, one.measure) == (pair, measure)]
    over = of_sites(found, pair, measure)
    shown = [one for one in (*clean, *of_shifts(found, pair, measure), *over) if one.site == ALL_SITES]
    cells = {(one.shift, str(one.chain.norm)): _comparison_cell(one, level) for one in shown}
    norms = norms_of(shown)
    rows = [
        [_condition(shift), *(cells.get((shift, norm), "–") for norm in norms)] for shift in _order(s for s, _ in cells)
    ]
    return markdown_table(["condition", *map(norm_label, norms)], rows) if rows else ""


def _order(shifts: Iterable[str]) -> list[str]:
    return sorted(set(shifts), key=lambda shift: (shift == ALL_SHIFTS, shift != CLEAN, shift))


def _condition(shift: str) -> str:
    return "mean over all shifts" if shift == ALL_SHIFTS else shift_name(shift)


def _comparison_cell(one: Comparison, level: float) -> str:
    cell = estimate_cell(one.difference, 3, bold=standing(one, level=level) in ("better", "worse"))
    p_value = one.p_value if one.p_holm is None else one.p_holm
    return cell if p_value is None else f"{cell}, p {p_text(p_value)}"
