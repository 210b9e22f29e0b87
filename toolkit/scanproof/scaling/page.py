"""The pages of an analysis and of a plan, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from scanproof.evaluation.bootstrap import Estimate
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.reporting.markdown import markdown_table
from scanproof.reporting.vocabulary import plain
from scanproof.scaling.analysis import Scaling
from scanproof.scaling.axes import PUBLISHED
from scanproof.scaling.choice import MARGIN
from scanproof.scaling.findings import headline, robustness_sentences, sweep_sentences, task_name
from scanproof.scaling.fits.fit import Form
from scanproof.scaling.flattening import CLAIM
from scanproof.scaling.planner import Doubling, Plan
from scanproof.scaling.robustness import Robustness

if TYPE_CHECKING:
    from scanproof.scaling.report import SweepReport

FORM_NAMES: dict[Form, str] = {
    "single": "power law",
    "broken": "broken power law",
    "saturating": "saturating power law",
}
#: pictures by name
PICTURES = {
    "laws": "Errors against training examples, and the laws",
    "published": "PSNR and SSIM against training examples, and the laws",
    "widths": "Every width against training examples",
    "robustness": "Errors under artifacts against training examples",
}
METHOD = (
    "Of each number of examples N the width with the best mean on validation cases is measured on test cases. All "
    "forms are fitted to logarithms by least squares. Intervals are of subjects and trainings drawn anew, crossed. A "
    f"curved form is chosen if its AICc is lower than the power law's by more than {MARGIN:g} and it predicts the "
    "largest N, from no more than half of them, better. Exponents are those of N."
)
CAUTION = (
    "PSNR is the logarithm of an error: where the error follows a pure power law, PSNR gains the same decibels with "
    "each doubling and so flattens on logarithmic axes. Verdicts on errors say whether anything flattens; those on "
    "PSNR and SSIM are there to be compared with published fits."
)


def fit_page(report: SweepReport, *, figures: Mapping[str, str]) -> str:
    """What was found: verdicts, laws, robustness and points, axis by axis.

    Args:
        report: of one or several sweeps.
        figures: name of each picture beside the page to its file.
    """
    found = report.found
    drawn = "whole seeds, with their examples," if report.draw == "seed" else "trainings"
    parts = [
        f"# {plain(report.title)}",
        f"Made by `{report.command}`. Intervals are {100 * report.level:g} %, of subjects and {drawn} drawn anew.",
        f"**{headline(found, report.trainings)}**",
        "\n".join(f"- {text}" for text in [*sweep_sentences(found), *robustness_sentences(report.robust)]),
        f"## The claim: {CLAIM}",
        METHOD,
        verdict_lines(found),
    ]
    if any(one.axis in PUBLISHED for one in found):
        parts.append(CAUTION)
    parts += [f"![{PICTURES[name]}]({file})" for name, file in figures.items()]
    if report.robust:
        parts += ["## Errors under artifacts", _robustness(report.robust)]
    parts += ["## Laws", _laws(found), "## What was measured", _points(found)]
    edges = [one for one in found if any(best.edge in ("largest", "only") for best in one.best)]
    if edges:
        parts.append(
            "Where the best width is the largest that was tried, or the only one, a wider network may be better: the "
            "law is then one of networks that are too small for the data."
        )
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict_lines(found: Iterable[Scaling]) -> str:
    """A row each axis and condition: the chosen form, the verdict and why."""
    rows = [(*_place(one), FORM_NAMES[one.choice.form], f"**{one.finding.verdict}**", one.finding.why) for one in found]
    return markdown_table(("sweep", "condition", "axis", "chosen", "verdict", "why"), rows)


def plan_page(plans: Sequence[Plan], *, title: str, command: str, level: float) -> str:
    """What doublings gain, and the number of examples from which on they are not worth it."""
    parts = [f"# {title}", f"Made by `{command}`. Intervals are {100 * level:g} %."]
    for plan in plans:
        one = plan.scaling
        parts += [f"## {task_name(one.task)}, {plain(one.data)}: {one.axis.label}", enough_line(plan)]
        head = ("double", "from", "to", f"gain ({one.axis.label})", "rests on", "CPU hours", "cost")
        parts.append(markdown_table(head, (_doubling(row, one.axis.digits) for row in plan.doublings)))
        refused = [f"- {row.of} {row.start:g} to {row.end:g}: {row.why}" for row in plan.doublings if row.gain is None]
        parts += ["Not said, because the data do not support it:", "\n".join(refused)] if refused else []
    return "\n\n".join(parts) + "\n"


def enough_line(plan: Plan) -> str:
    """One sentence: from which number of examples on a doubling brings less than the target."""
    value, lower, upper = (float(part) for part in plan.enough)
    form = FORM_NAMES[plan.scaling.choice.form]
    if math.isnan(value):
        return f"The sizes span less than one doubling; no gain can be read. {plan.data.why}."
    last = f"{plan.data.limit / 2:,.0f}"
    bounds = f"{lower:,.0f} to " + ("more than " + last if math.isinf(upper) else f"{upper:,.0f}")
    if math.isinf(value):
        text = f"Up to N = {last} a doubling still brings {plan.target} or more, by the {form}"
        text += "" if math.isinf(lower) else f"; by the lower end of its interval, up to {lower:,.0f}"
    else:
        text = f"From N = {value:,.0f} ({bounds}) on a doubling brings less than {plan.target}, by the {form}"
    return f"{text}. It is read up to N = {plan.data.limit:,.0f}: {plan.data.why}."


def estimate_text(estimate: Estimate, digits: int | None = None) -> str:
    """A value with its interval, to three significant digits or to so many decimals.

    Example:
        >>> import numpy as np
        >>> estimate_text(Estimate(np.array(0.12345), np.array(0.1), np.array(0.2)))
        '0.123 (0.1 to 0.2)'
    """
    value, lower, upper = (f"{float(part):.3g}" if digits is None else f"{float(part):.{digits}f}" for part in estimate)
    return f"{value} ({lower} to {upper})"


def _place(one: Scaling) -> tuple[str, str, str]:
    condition = "clean" if one.shift == CLEAN else plain(one.shift)
    return f"{task_name(one.task)}, {plain(one.data)}", condition, one.axis.label


def _laws(found: Iterable[Scaling]) -> str:
    rows = []
    for one in found:
        for form, law in one.laws.items():
            candidate, chosen = one.choice.candidates[form], form == one.choice.form
            said = ", ".join(f"{plain(name)} {estimate_text(value)}" for name, value in law.estimates().items())
            missed = "–" if math.isnan(candidate.error) else f"{100 * math.expm1(candidate.error):.2g} %"
            name = f"**{FORM_NAMES[form]}**" if chosen else FORM_NAMES[form]
            information = f"{candidate.aicc:.1f}" if math.isfinite(candidate.aicc) else "–"
            rows.append((*_place(one), name, said, information, missed))
    return markdown_table(("sweep", "condition", "axis", "form", "parameters", "AICc", "held-out error"), rows)


def _robustness(found: Iterable[Robustness]) -> str:
    rows = []
    for one in found:
        ratios = [estimate_text(Estimate(*(part[index] for part in one.ratio))) for index in (0, -1)]
        condition = "mean over artifacts" if one.shift == ALL_SHIFTS else plain(one.shift)
        exponents = (estimate_text(one.exponent), estimate_text(one.trend))
        rows.append((f"{task_name(one.task)}, {plain(one.data)}", condition, one.axis.label, *ratios, *exponents))
    head = ("ratio to clean, smallest N", "largest N", "exponent of the error", "exponent of the ratio")
    return markdown_table(("sweep", "condition", "axis", *head), rows)


def _points(found: Iterable[Scaling]) -> str:
    rows = []
    for one in found:
        for index, best in enumerate(one.best):
            value = estimate_text(Estimate(*(part[index] for part in one.points)), one.axis.digits)
            flag = "" if best.edge == "inside" else f" ({best.edge})"
            rows.append((*_place(one), f"{best.examples}", f"{best.width}{flag}", value))
    return markdown_table(("sweep", "condition", "axis", "N", "best width", "measured"), rows)


def _doubling(row: Doubling, digits: int) -> tuple[str, ...]:
    gain = "refused" if row.gain is None else estimate_text(row.gain, digits + 1)
    hours = "–" if math.isnan(row.hours) else f"{row.hours:.3g}"
    cost = "–" if math.isnan(row.cost) or not row.cost else f"{row.cost:.3g}"
    return row.of, f"{row.start:g}", f"{row.end:g}", gain, row.basis, hours, cost
