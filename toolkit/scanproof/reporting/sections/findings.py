"""What comparisons of normalizations say, in sentences that claim no more than their intervals support."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from scanproof.evaluation.table import ADVERSARIAL, ALL_SHIFTS, ALL_SITES, CLEAN
from scanproof.reporting.sections.comparison import Comparison, Standing, of_shifts, of_sites, standing
from scanproof.reporting.vocabulary import (
    Chain,
    counted,
    image_label,
    joined,
    metric,
    norm_label,
    norm_order,
    plain,
    shift_name,
    signed,
    site_name,
)

#: smallest p-value that is written as a number
LEAST_P = 0.001


def finding(comparison: Comparison, *, level: float = 0.95) -> str:
    """One comparison as a sentence.

    A difference is claimed only where the interval excludes zero and the p-value corrected for the number of shifts
    (Holm), where there is one, lies below 1 minus the level.

    Args:
        comparison: to put into words.
        level: coverage of its interval, in (0, 1).

    Example:
        >>> from scanproof.reporting.vocabulary import Estimate
        >>> chain = Chain("unet", 4.0, "resnet18", "group")
        >>> one = Comparison(chain, "batch", "all", "ghosting", None, "change", Estimate(0.04, 0.01, 0.07), p_holm=0.01)
        >>> finding(one)[:54]
        'Group norm lost less AUROC than batch norm under ghost'
        >>> finding(one._replace(difference=Estimate(0.01, -0.02, 0.04)))[:58]
        'Group norm and batch norm cannot be told apart in how much'
    """
    found = standing(comparison, level=level)
    norm, reference = _named(comparison.chain.norm), _named(comparison.reference)
    where = f"{_condition(comparison)}{_place(comparison)}"
    digits = metric("auroc").digits
    numbers = f"difference {comparison.difference.number(digits)}"
    if not comparison.difference.has_interval:
        return f"No interval tells whether {norm} and {reference} differ {where}: {numbers}."
    numbers += f", {100 * level:g}% interval {comparison.difference.interval(digits)}"
    if comparison.p_holm is not None:
        numbers += f", Holm-corrected p {p_text(comparison.p_holm)}"
    if found in ("better", "worse"):
        return f"{_capital(norm)} {_verb(comparison, found)} than {reference} {where} ({numbers})."
    sentence = f"{_capital(norm)} and {reference} cannot be told apart in {_matter(comparison)} {where} ({numbers})"
    if found == "uncorrected":
        sentence += "; the interval by itself excludes zero, but not once the number of shifts is accounted for"
    return f"{sentence}."


def paragraphs(comparisons: Sequence[Comparison], pair: Chain, *, level: float = 0.95) -> list[str]:
    """What is found of each norm behind one reconstruction and classifier, a paragraph a norm.

    Args:
        comparisons: of the study.
        pair: the reconstruction and classifier, without norm.
        level: coverage of the intervals.
    """
    over_all = {one.chain.norm: one for one in of_sites(comparisons, pair, "change") if one.site == ALL_SITES}
    by_norm: defaultdict[str | None, list[Comparison]] = defaultdict(list)
    for one in of_shifts(comparisons, pair, "change"):
        if one.shift != ADVERSARIAL:
            by_norm[one.chain.norm].append(one)
    found = []
    for norm in sorted(over_all.keys() | by_norm.keys(), key=norm_order):
        sentences = [finding(over_all[norm], level=level)] if norm in over_all else []
        sentences += _by_shift(by_norm[norm], level) if by_norm[norm] else []
        found.append(" ".join(sentences))
    return found


def caution(comparisons: Sequence[Comparison], *, level: float = 0.95) -> str:
    """What a reader must keep in mind of all comparisons; empty where there are none.

    Args:
        comparisons: of the study.
        level: coverage of the intervals.
    """
    if not comparisons:
        return ""
    seeds = [one.seeds for one in comparisons if one.seeds is not None]
    trained = f" Each norm was trained {counted(min(seeds), 'time')}." if seeds else ""
    return (
        f"Positive differences favour the norm over batch norm. “Cannot be told apart” is no proof that two norms are "
        f"alike: a larger study may tell them apart. Intervals ({100 * level:g}%) and p-values are of subjects and "
        f"trainings drawn anew.{trained} Holm's correction covers the shifts of one norm, not the number of norms, "
        "reconstructions and sites."
    )


def p_text(value: float) -> str:
    """A p-value with its sign of equality.

    Example:
        >>> p_text(0.0312), p_text(0.00004), p_text(1.0)
        ('= 0.031', '< 0.001', '= 1.000')
    """
    return f"< {LEAST_P:g}" if value < LEAST_P else f"= {signed(value, 3)}"


def _by_shift(rows: Sequence[Comparison], level: float) -> list[str]:
    """How many shifts favour which side, named where the comparison supports it."""
    alike: defaultdict[Standing, list[str]] = defaultdict(list)
    for one in rows:
        alike[standing(one, level=level)].append(plain(one.shift))
    every = [plain(one.shift) for one in rows]
    corrected = any(one.p_holm is not None for one in rows)
    sentences: list[str] = []
    for names, verb in ((alike["better"], "less"), (alike["worse"], "more")):
        if names:
            start = "Corrected for the number of shifts, it" if corrected and not sentences else "It"
            sentences.append(f"{start} lost {verb} under {_among(names, every)}.")
    if open_ := len(alike["unclear"]) + len(alike["uncorrected"]):
        count = counted(open_, "shift")
        which = count if not sentences else "the other shift" if open_ == 1 else f"the other {count}"
        if open_ == len(rows) and open_ > 1:
            which = f"all {count}"
        sentences.append(f"Under {which} the two cannot be told apart.")
    return sentences


def _among(names: Sequence[str], every: Sequence[str]) -> str:
    """Some of all shifts, by the shorter of the two lists: those or the others."""
    if len(names) == len(every) > 1:
        return f"all {len(every)} shifts"
    others = [name for name in every if name not in names]
    count = f"{len(names)} of {counted(len(every), 'shift')}"
    return f"{count}, all but {joined(others)}" if len(names) > 2 * len(others) > 0 else f"{count}: {joined(names)}"


def _verb(comparison: Comparison, found: Standing) -> str:
    name = metric("auroc").label
    if comparison.measure == "change":
        return f"lost {'less' if found == 'better' else 'more'} {name}"
    return f"had a {'higher' if found == 'better' else 'lower'} {name}"


def _matter(comparison: Comparison) -> str:
    return "how much AUROC they lost" if comparison.measure == "change" else "AUROC"


def _condition(comparison: Comparison) -> str:
    if comparison.shift == CLEAN:
        return "without shift"
    if comparison.shift == ALL_SHIFTS:
        return "under shift, on the mean of all shifts and severities,"
    at = "" if comparison.severity is None else f" of severity {comparison.severity}"
    return f"under {shift_name(comparison.shift)}{at}"


def _place(comparison: Comparison) -> str:
    behind = f" behind {image_label(comparison.chain)}"
    return behind if comparison.site == ALL_SITES else f"{behind} at {site_name(comparison.site)}"


def _named(norm: str | None) -> str:
    """A norm as the subject of a sentence, where "no norm" would deny it."""
    return "the network without norm" if norm == "none" else norm_label(norm)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
