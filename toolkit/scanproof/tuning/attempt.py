"""One trial: its settings on one slice after the other, until they are all done or it makes no sense to go on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scanproof.errors import ScanproofError
from scanproof.owner import PULSE
from scanproof.tuning import trials
from scanproof.tuning.scoring import OverTimeError, Score, computing, score_slice
from scanproof.tuning.search import Search
from scanproof.tuning.space import decode
from scanproof.tuning.trials import State

if TYPE_CHECKING:
    import optuna
    from torch import Tensor

#: by how much refused settings miss what is feasible, in the sampler's eyes; those that take too long, by seconds
REFUSED = 1e6


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Args:
        state: how it ended.
        reason: why it did not end well.
        values: of the objectives, if it did.
        missed: what is not feasible about it, and by how much.
    """

    state: State
    reason: str = ""
    values: tuple[float, ...] | None = None
    missed: Mapping[str, float] = field(default_factory=dict)


def attempt(search: Search, trial: optuna.Trial, samples: Sequence[Mapping[str, Tensor]]) -> Outcome:
    """Try a trial's settings on all slices.

    What each slice gives is kept beside the trial at once. Wrong settings, a fit that diverges or takes too long, and
    a lack of memory are outcomes of a trial; any other error is one of the program.

    Args:
        search: what is tried.
        trial: the settings.
        samples: the slices.
    """
    import torch

    warned: list[str] = []
    try:
        with computing(search.threads) as warned:
            return _all_slices(search, trial, samples)
    except OverTimeError as error:
        return Outcome(State.OVER_TIME, str(error), missed={"seconds": error.seconds - error.limit})
    except (ScanproofError, MemoryError, torch.OutOfMemoryError) as error:
        return Outcome(State.INFEASIBLE, str(error) or type(error).__name__, missed={"refused": REFUSED})
    except RuntimeError as error:
        # PyTorch has no class of its own for a processor without memory
        if "allocate memory" not in str(error):
            raise
        return Outcome(State.INFEASIBLE, "not enough memory", missed={"refused": REFUSED})
    finally:
        if warned:
            trial.set_user_attr(trials.WARNINGS, warned)


def _all_slices(search: Search, trial: optuna.Trial, samples: Sequence[Mapping[str, Tensor]]) -> Outcome:
    method = search.settings.build(decode(trial.params, search.settings.space))
    scores: list[Score] = []
    for sample in samples:
        scores.append(
            score_slice(
                method,
                sample,
                quality=search.objectives.quality,
                limit=search.seconds,
                threads=search.threads,
                watch=_Pulse(trial),
            )
        )
        _keep(trial, scores)
        if search.prunes and len(scores) < len(samples):
            trial.report(_mean(scores).quality, step=len(scores))
            # what the others are measured by must be there
            if not trial.user_attrs.get(trials.START) and trial.should_prune():
                return Outcome(
                    State.PRUNED, f"worse than the median of the others after {len(scores)} of {len(samples)} slices"
                )
    mean = _mean(scores)
    if not math.isfinite(mean.quality):
        raise ScanproofError(f"{search.objectives.quality} must be finite", value=mean.quality)
    values = (mean.quality, mean.seconds) if search.objectives.seconds else (mean.quality,)
    return Outcome(State.COMPLETE, values=values)


def _mean(scores: Sequence[Score]) -> Score:
    count = len(scores)
    return Score(
        quality=sum(score.quality for score in scores) / count,
        seconds=sum(score.seconds for score in scores) / count,
        steps=round(sum(score.steps for score in scores) / count),
    )


def _keep(trial: optuna.Trial, scores: Sequence[Score]) -> None:
    trial.set_user_attr(trials.SLICES, [[score.quality, score.seconds, score.steps] for score in scores])


class _Pulse:
    """Signs of life of a long fit, not too many."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial, self.last = trial, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self.last > PULSE:
            self.last = time.monotonic()
            self.trial.set_user_attr(trials.SEEN, time.time())
