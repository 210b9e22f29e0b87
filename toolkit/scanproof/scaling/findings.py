"""What a sweep found and what it does not show, in sentences that claim no more than the intervals support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import numpy as np
import pandas as pd

from scanproof.evaluation.bootstrap import Estimate
from scanproof.evaluation.claim import Verdict
from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.reporting.vocabulary import counted, joined, plain, signed
from scanproof.scaling.analysis import Scaling
from scanproof.scaling.axes import ERRORS, Axis
from scanproof.scaling.envelope import Best
from scanproof.scaling.fits.fit import Fit
from scanproof.scaling.flattening import CLAIM
from scanproof.scaling.ladder import FloatArray
from scanproof.scaling.robustness import Effect, Robustness

_CHANGES = {
    "buys": "more examples lower the error",
    "costs": "more examples raise the error",
    "undecided": "whether more examples change the error cannot be told",
}
_RATIOS = {
    "buys": "in proportion to the clean error it falls: more data buy robustness",
    "costs": "in proportion to the clean error it rises: what is gained on clean images is not gained under artifacts",
    "undecided": "in proportion to the clean error no change can be told",
}


def first_axis(found: Iterable[Scaling]) -> Axis | None:
    """The axis that sentences speak of: the first error that was analysed; None where none was."""
    names = {one.axis.name for one in found}
    return next((axis for axis in ERRORS if axis.name in names), None)


def headline(found: Sequence[Scaling], trainings: pd.DataFrame) -> str:
    """The verdicts of all sweeps on one error in a sentence; without one, that nothing can be said.

    Args:
        found: analyses.
        trainings: how networks were trained; may be empty. Where most of those with the most examples were cut off,
            the sentence says so: curves may then flatten for want of steps.
    """
    axis = first_axis(found)
    own = [one for one in found if one.axis == axis and one.shift == CLEAN]
    if axis is None or not own:
        return "Nothing can be said of scaling: an error at three sizes of the training set is needed."
    parts = []
    for verdict in get_args(Verdict):
        names = [task_name(one.task) for one in own if one.finding.verdict == verdict]
        if names:
            parts.append(f"{verdict} for {joined(names)}")
    said = f"“{_capital(CLAIM)}”: by {words_of(axis)}, {', '.join(parts)}"
    cut, count = _cut(trainings)
    if 2 * cut > count:
        said += f"; but {cut} of {count} trainings with the most examples were cut off, so it may be for want of steps"
    return f"{said}."


def task_name(name: str) -> str:
    """A task as a reader writes it.

    Example:
        >>> task_name("super_resolution"), task_name("mri"), task_name("my_task")
        ('super-resolution', 'MRI', 'my task')
    """
    return {"mri": "MRI", "super_resolution": "super-resolution"}.get(name, plain(name))


def words_of(axis: Axis) -> str:
    """An axis within a sentence: "mean squared error", but "NRMSE" and "1 − SSIM"."""
    return axis.label if axis.label[:2].isupper() or axis.complement else axis.label[:1].lower() + axis.label[1:]


def sweep_sentences(found: Sequence[Scaling]) -> list[str]:
    """A paragraph each sweep on the first error: what more examples brought, the law, the verdict, the best widths."""
    axis = first_axis(found)
    return [_sweep(one, found) for one in found if one.axis == axis and one.shift == CLEAN]


def robustness_sentences(found: Sequence[Robustness]) -> list[str]:
    """A sentence each sweep: what more examples bring under artifacts, on their mean where there are several."""
    axis = next((axis for axis in ERRORS if any(one.axis == axis for one in found)), None)
    sentences = []
    for task, data in dict.fromkeys((one.task, one.data) for one in found):
        own = [one for one in found if (one.task, one.data, one.axis) == (task, data, axis)]
        main = next((one for one in own if one.shift == ALL_SHIFTS), own[0])
        single = [one for one in own if one.shift != ALL_SHIFTS]
        under = f"over {counted(len(single), 'artifact')}" if len(single) > 1 else f"under {plain(main.shift)}"
        text = f"{_capital(task_name(task))}, {under}: {_CHANGES[main.lowers]} (exponent {span(main.exponent)}); "
        text += f"{_RATIOS[main.effect]} (exponent of the ratio {span(main.trend)})."
        if len(single) > 1:
            text += _apart(single)
        sentences.append(text)
    return sentences


def limits(
    found: Sequence[Scaling], table: pd.DataFrame, *, trainings: pd.DataFrame, searches: pd.DataFrame, data: str
) -> list[str]:
    """What a sweep does not show, by what it was made of.

    Args:
        found: analyses.
        table: of the sweep.
        trainings: how networks were trained; may be empty.
        searches: for learning rates; may be empty.
        data: what the images are, in a sentence.
    """
    sizes, seeds = sorted(table["examples"].unique()), int(table["seed"].nunique())
    said = [
        data,
        f"It says nothing beyond {sizes[0]} to {sizes[-1]} training examples, of other networks or of other ways to "
        "train them. Examples are slices; a set takes up subject after subject.",
        "Each network was trained once: nothing is known of other trainings."
        if seeds == 1
        else f"Each network was trained from {seeds} seeds, which also draw the examples. The fewer, the wider the "
        "intervals.",
        "Each verdict is judged by itself, without correction for their number. An interval is that of the networks "
        "that validation cases chose; that others might have been chosen is no part of it.",
    ]
    if len(trainings):
        said += _ended(trainings)
    edges = sorted({task_name(one.task) for one in found for best in one.best if best.edge in ("largest", "only")})
    if edges:
        said.append(
            f"For {joined(edges)}, the best network is at some sizes the widest that was tried, or the only one: the "
            "law may be that of networks too small for the data."
        )
    if len(searches) and searches["at_edge"].any():
        names = sorted({task_name(str(task)) for task in searches.loc[searches["at_edge"], "task"]})
        said.append(f"For {joined(names)}, a search for the learning rate ended at the largest rate it may try.")
    return said


def span(estimate: Estimate, digits: int = 3) -> str:
    """A value with its interval, with true minus signs.

    Example:
        >>> span(Estimate(np.array(-0.25), np.array(-0.3), np.array(0.1)), 2)
        '−0.25, −0.30 to 0.10'
    """
    value, lower, upper = (signed(float(part), digits) for part in estimate)
    return f"{value}, {lower} to {upper}"


def width_words(best: Sequence[Best]) -> str:
    """The best width of each number of examples, in words.

    Example:
        >>> rows = [Best(10, 4, 9, "smallest", 2, 0.1), Best(30, 8, 9, "largest", 2, 0.1)]
        >>> width_words(rows)
        '4 at N = 10, 8 at N = 30'
    """
    runs: list[list[Best]] = []
    for one in best:
        if runs and runs[-1][-1].width == one.width:
            runs[-1].append(one)
        else:
            runs.append([one])
    ends = ((run[0].width, run[0].examples, run[-1].examples) for run in runs)
    return ", ".join(f"{width} at N = {low}" + (f" to {high}" if high > low else "") for width, low, high in ends)


def _sweep(one: Scaling, found: Sequence[Scaling]) -> str:
    first, last = (f"{int(size)}" for size in one.ladder.sizes[[0, -1]])
    start, end = (signed(float(one.points.value[place]), one.axis.digits) for place in (0, -1))
    change = one.chosen.estimate(_whole_change)
    fall = Estimate(*(-np.expm1(part) * 100 for part in (change.value, change.upper, change.lower)))
    size = f"({signed(float(fall.value), 0)} %, {signed(float(fall.lower), 0)} to {signed(float(fall.upper), 0)} %)"
    known = f"from {start} at N = {first} to {end} at N = {last}"
    if fall.lower > 0:
        text = f"{_capital(words_of(one.axis))} falls {known} {size}"
    elif fall.upper < 0:
        text = f"{_capital(words_of(one.axis))} rises {known} (fall {size[1:]}"
    else:
        text = f"It cannot be told whether {words_of(one.axis)} falls, {known} {size}"
    others = [
        f"{other.axis.label} {other.finding.verdict}"
        for other in found
        if (other.task, other.data, other.shift) == (one.task, one.data, CLEAN) and other.axis != one.axis
    ]
    also = f" On other axes: {', '.join(others)}." if others else ""
    why = f"{one.finding.verdict}: {one.finding.why.replace('-', '−')}"
    widths = f"Best width: {width_words(one.best)}."
    return f"{_capital(task_name(one.task))}. {text}. {_law(one)} The claim: {why}. {widths}{also}"


def _whole_change(fitted: Fit) -> FloatArray:
    ends = fitted.logs(np.array([fitted.smallest, fitted.largest]))
    return np.asarray(ends[:, 1] - ends[:, 0], np.float64)


def _law(one: Scaling) -> str:
    found: Mapping[str, Estimate] = one.chosen.estimates()
    if one.choice.form == "single":
        return f"A single power law describes it, exponent {span(found['exponent'])}."
    if one.choice.form == "broken":
        before, after = span(found["exponent_before"]), span(found["exponent_after"])
        return (
            f"A power law with a break at N = {span(found['break'], 0)}: exponent {before} before it, {after} after it."
        )
    asymptote = span(found["asymptote"], one.axis.digits)
    return f"A power law towards {asymptote} describes it, exponent {span(found['exponent'])}."


def _apart(single: Sequence[Robustness]) -> str:
    """Artifacts whose ratio to the clean error changes beyond doubt."""
    words: dict[Effect, str] = {"buys": "falls", "costs": "rises"}
    parts = []
    for kind, word in words.items():
        names = [plain(one.shift) for one in single if one.effect == kind]
        if names:
            parts.append(f"{word} under {joined(names)}")
    return f" By itself, the ratio {' and '.join(parts)}." if parts else ""


def _ended(trainings: pd.DataFrame) -> list[str]:
    """How many trainings came to the most steps."""
    cut = trainings["ended"] == "steps"
    if not cut.any():
        return []
    most, (late, count) = int(trainings.loc[cut, "steps"].max()), _cut(trainings)
    return [
        f"{int(cut.sum())} of {len(trainings)} trainings, and {late} of {count} with the most examples, came to the "
        f"most steps that they may take ({most}) before they stopped improving by the protocol. With more steps they "
        "may get better, those with many examples most: a curve that flattens may be one of the steps, not of the data."
    ]


def _cut(trainings: pd.DataFrame) -> tuple[int, int]:
    """Of the trainings with the most examples, how many came to the most steps, and how many there are."""
    if trainings.empty:
        return 0, 0
    last = trainings[trainings["examples"] == trainings["examples"].max()]
    return int((last["ended"] == "steps").sum()), len(last)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
