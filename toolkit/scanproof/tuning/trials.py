"""Trials as a search reads them: what became of each, and the best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.tuning.objectives import Objectives, pareto_front, recommend
from scanproof.tuning.space import decode

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from scanproof.reconstruction.untrained.space import SearchSpace


class State(StrEnum):
    """What became of a trial."""

    #: gave a value
    COMPLETE = "complete"
    #: was ended because others were better on the same slices
    PRUNED = "pruned"
    #: was ended because a slice took too long
    OVER_TIME = "over time"
    #: its settings were refused, or its fit diverged
    INFEASIBLE = "infeasible"
    #: an error of the program
    FAILED = "failed"
    RUNNING = "running"
    #: waits for a process
    WAITING = "waiting"
    #: its process was ended; its settings wait again as another trial
    INTERRUPTED = "interrupted"
    #: was begun, and not run, when another process had begun the last one
    SURPLUS = "surplus"


#: states of trials that gave all that they will give
FINISHED = (State.COMPLETE, State.PRUNED, State.OVER_TIME, State.INFEASIBLE, State.FAILED)
#: trials of these states use up the number that was asked for
COUNTED = (*FINISHED, State.RUNNING)

#: names of what is stored beside a trial
START, OWNER, SEEN = "start", "owner", "seen"
SLICES, WARNINGS, OUTCOME = "slices", "warnings", "outcome"


@dataclass(frozen=True, kw_only=True)
class Record:
    """A trial.

    Args:
        number: of the trial.
        state: what became of it.
        options: that it tried; empty where it did not come so far.
        values: of the objectives, if it is complete.
        scores: quality of each slice that it reconstructed.
        times: processor seconds of each.
        steps: of the longest fit of each.
        reason: why it is not complete.
        warnings: that its fits gave.
        start: it tried the settings that the search starts from.
    """

    number: int
    state: State
    options: dict[str, object]
    values: tuple[float, ...] | None = None
    scores: tuple[float, ...] = ()
    times: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    reason: str = ""
    warnings: tuple[str, ...] = field(default=(), repr=False)
    start: bool = False

    @property
    def seconds(self) -> float | None:
        """Mean processor seconds of a slice."""
        return sum(self.times) / len(self.times) if self.times else None


def read_record(trial: FrozenTrial, space: SearchSpace) -> Record:
    """A trial as Optuna keeps it, as a record."""
    from optuna.trial import TrialState

    kept = trial.user_attrs
    # a process that is killed says nothing
    told, reason = State.INTERRUPTED, ""
    if OUTCOME in kept:
        told, reason = State(kept[OUTCOME][0]), str(kept[OUTCOME][1])
    state: State
    if trial.state is TrialState.FAIL:
        # it may also be killed before what it said counts
        state = told if told in (State.FAILED, State.SURPLUS) else State.INTERRUPTED
    elif trial.state.is_finished():
        state = told
    else:
        state = State.WAITING if trial.state is TrialState.WAITING else State.RUNNING
    slices = kept.get(SLICES, ())
    if state is State.INTERRUPTED:
        reason = "its process ended; its settings were tried again"
    return Record(
        number=trial.number,
        state=state,
        options=decode(trial.params, space),
        values=tuple(trial.values) if state is State.COMPLETE else None,
        scores=tuple(quality for quality, _, _ in slices),
        times=tuple(seconds for _, seconds, _ in slices),
        steps=tuple(steps for _, _, steps in slices),
        reason=reason,
        warnings=tuple(kept.get(WARNINGS, ())),
        start=bool(kept.get(START, False)),
    )


@dataclass(frozen=True)
class Ranking:
    """Trials that gave a result.

    Args:
        complete: all of them.
        best: the recommended one, see :func:`~scanproof.tuning.objectives.recommend`.
        start: the one with the settings that the search started from, if it gave a result.
        front: those that no other one beats in one objective without losing in another.
    """

    complete: Sequence[Record]
    best: Record
    start: Record | None
    front: Sequence[Record]


def rank(records: Sequence[Record], objectives: Objectives) -> Ranking:
    """Compare the trials of a search.

    Raises:
        ScanproofError: no trial gave a result; the text holds the most frequent reason.
    """
    complete = [record for record in records if record.state is State.COMPLETE]
    if not complete:
        reasons = [f"{record.state}: {record.reason}" for record in records if record.state in FINISHED]
        frequent = max(reasons, key=reasons.count, default="none has finished")
        raise ScanproofError("at least one trial must give a result", value=f"{len(reasons)} without", hint=frequent)
    costs = [objectives.costs(record.values or ()) for record in complete]
    start = next((n for n, record in enumerate(complete) if record.start), None)
    front = pareto_front(costs)
    return Ranking(
        complete=complete,
        best=complete[recommend(costs, start=start)],
        start=None if start is None else complete[start],
        front=[complete[n] for n in front],
    )


def trial_table(records: Sequence[Record], objectives: Objectives, space: SearchSpace) -> pd.DataFrame:
    """All trials, one a row.

    Columns: ``trial``, ``state``, the objectives, ``seconds`` (mean of a slice), ``slices`` (that were reconstructed),
    ``steps`` (mean), every option that was searched, ``start``, ``reason`` and ``warnings``.
    """
    rows: list[dict[str, Any]] = []
    for record in records:
        values = dict(zip(objectives.names, record.values or (), strict=False))
        rows.append(
            {
                "trial": record.number,
                "state": str(record.state),
                **{name: values.get(name) for name in objectives.names},
                "seconds": record.seconds,
                "slices": len(record.scores),
                "steps": sum(record.steps) / len(record.steps) if record.steps else None,
                **{name: exact(record.options[name]) if name in record.options else "" for name in space},
                "start": record.start,
                "reason": record.reason,
                "warnings": "; ".join(record.warnings),
            }
        )
    return pd.DataFrame(rows)


def exact(value: object) -> str:
    """An option's value with all its digits.

    Example:
        >>> exact(0.00123456), exact((8, 4)), exact(None), exact("batch")
        ('0.00123456', '[8, 4]', 'null', 'batch')
    """
    return value if isinstance(value, str) else json.dumps(value)


def text(value: object) -> str:
    """An option's value as a person writes it.

    Example:
        >>> text(0.00123456), text((8, 4)), text(None), text("batch"), text(True)
        ('0.001235', '[8, 4]', 'null', 'batch', 'true')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    return exact(value)
