"""What a trial's settings reach on one slice, within a time."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.errors import ScanproofError
from scanproof.study.tasks.context import cpu_threads
from scanproof.tuning.held_out import held_out_error
from scanproof.tuning.objectives import Quality

if TYPE_CHECKING:
    from torch import Tensor

    from scanproof.reconstruction.untrained.reconstructors import UntrainedReconstructor
    from scanproof.reconstruction.untrained.run import FitStep


class OverTimeError(ScanproofError):
    """A fit took longer than it may.

    Args:
        seconds: that it took until it was stopped.
        limit: that it may take.
    """

    def __init__(self, seconds: float, limit: float) -> None:
        super().__init__(f"a slice must take at most {limit:g} s", value=f"{seconds:.2f} s or more")
        self.seconds, self.limit = seconds, limit


@dataclass(frozen=True, kw_only=True)
class Score:
    """What settings reach on a slice.

    Args:
        quality: value of the objective.
        seconds: processor time over the number of threads.
        steps: of the longest fit.
    """

    quality: float
    seconds: float
    steps: int


def score_slice(
    method: UntrainedReconstructor,
    sample: Mapping[str, Tensor],
    *,
    quality: Quality,
    limit: float | None = None,
    threads: int = 1,
    watch: Callable[[], None] = lambda: None,
) -> Score:
    """Reconstruct a slice and judge it.

    Time is processor time: unlike the time on a clock it hardly depends on what else the machine does, so trials in
    several processes side by side meet the same limit. Divided by the threads, it is what a clock would show on an
    idle machine.

    Args:
        method: with the settings of the trial.
        sample: ``kspace``, ``mask``, ``sensitivities``, and ``reference`` where the quality compares with one.
        quality: how the image is judged.
        limit: most seconds; checked at every look of the fit.
        threads: of the computation.
        watch: called at every look of the fit.

    Raises:
        OverTimeError: the limit is exceeded.
        ScanproofError: the method refuses the slice, or its fit diverges.
    """
    began = time.process_time()

    def elapsed() -> float:
        return (time.process_time() - began) / threads

    def look(step: FitStep) -> None:
        watch()
        if limit is not None and elapsed() > limit:
            raise OverTimeError(elapsed(), limit)

    method.progress = look
    image = method(sample[KSPACE], sample[MASK], sample[SENSITIVITIES])
    seconds = elapsed()
    if limit is not None and seconds > limit:
        raise OverTimeError(seconds, limit)
    if quality == "held_out":
        value = held_out_error(method)
    else:
        from scanproof.evaluation.image_metrics import image_metrics

        value = float(image_metrics(image[None], sample[REFERENCE][None], metrics=(quality,))[quality][0])
    return Score(quality=value, seconds=seconds, steps=max((fit.steps for fit in method.fits), default=0))


def warm_up(method: UntrainedReconstructor, sample: Mapping[str, Tensor]) -> None:
    """Take a few steps that nobody times: the first ones in a process wait for libraries to be set up."""
    method.options = dataclasses.replace(method.options, iterations=2, refit=0)
    method(sample[KSPACE], sample[MASK], sample[SENSITIVITIES])


@contextmanager
def computing(threads: int) -> Iterator[list[str]]:
    """Compute with so many threads, and collect warnings instead of printing them.

    Yields:
        The warnings' texts, once the block is left. A diverged fit that starts again with half the learning rate
        warns; in a search that is a fact about a trial, not news for a terminal.
    """
    texts: list[str] = []
    try:
        with cpu_threads(threads), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
                warnings.simplefilter("ignore", category)  # news for programmers
            yield texts
    finally:
        texts += dict.fromkeys(str(warning.message) for warning in caught)
