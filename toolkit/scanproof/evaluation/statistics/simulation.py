"""Simulated studies that check how large a study must be, analysed as a real one is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap, FloatArray
from scanproof.evaluation.classification_metrics import auroc
from scanproof.evaluation.statistics.clusters import informative_subjects
from scanproof.evaluation.statistics.power import Expected, Plan
from scanproof.seeds import derive_seed

#: of each simulated study
RESAMPLES = 200


class Check(NamedTuple):
    """What simulated studies found.

    Attributes:
        half_width: mean of the intervals.
        reached: share of the studies that showed what they were to show; NaN where a half-width was the goal.
        studies: that were simulated.
    """

    half_width: float
    reached: float
    studies: int


def simulate(plan: Plan, expected: Expected, *, studies: int = 200, seed: int = 0) -> Check:
    """Simulate studies of a planned size and analyse each with crossed, expanded bootstrap intervals.

    Scores are normal within a class. All slices of a subject are of one class, and the noise of two slices, and of
    two models on one slice, correlates as expected.

    Args:
        plan: of :func:`~scanproof.evaluation.statistics.power.plan_size`.
        expected: that it was made with.
        studies: to simulate, at least 1.
        seed: root of all randomness.

    Returns:
        How wide intervals were and how often the goal was reached: at 80 % power, 200 studies tell it to 3 points.

    Raises:
        ScanproofError: fewer than one study.

    Example:
        >>> from scanproof.evaluation.statistics.power import Goal, plan_size
        >>> expected = Expected(auroc=0.9, trainings=1)
        >>> plan = plan_size(Goal(aim="half_width", size=0.1), expected)
        >>> simulate(plan, expected, studies=2).studies
        2
    """
    if studies < 1:
        raise ScanproofError("studies must be at least 1", value=studies)
    aim, size, widths, reached = plan.goal.aim, plan.goal.size, [], 0
    for study in range(studies):
        rng = np.random.default_rng(derive_seed(seed, "power", study))
        labels, scores, subjects = _study(plan.subjects, expected, size if aim == "difference" else 0.0, rng)
        bootstrap = Bootstrap(seed=study, resamples=RESAMPLES, confidence=expected.confidence, interval="expanded")
        weights = bootstrap.weights("site", subjects, dtype=np.uint8)
        areas = auroc(labels, scores[:1] if aim == "half_width" else scores, weights=weights)
        measured = areas[0] if aim == "half_width" else areas[0] - areas[1]
        mean = bootstrap.crossed(measured, axis=0, subjects=informative_subjects(labels, subjects))
        _, lower, upper = bootstrap.estimate(mean.samples, freedom=mean.freedom)
        widths.append(float(upper - lower) / 2)
        reached += bool(lower > 0 or upper < 0) if aim == "difference" else bool(lower > -size)
    share = float("nan") if aim == "half_width" else reached / studies
    return Check(float(np.mean(widths)), share, studies)


def _study(
    subjects: int, expected: Expected, difference: float, rng: np.random.Generator
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], FloatArray, list[str]]:
    """Labels ``(n,)``, scores of two models ``(2, trainings, n)``, the first better by the difference, and subjects."""
    sick = np.zeros(subjects, bool)
    while sick.all() or not sick.any():
        sick = rng.random(subjects) < expected.prevalence
    labels = np.repeat(sick, expected.slices)

    def noise() -> FloatArray:
        common = np.repeat(rng.normal(size=subjects), expected.slices)
        own = rng.normal(size=len(labels))
        return np.asarray(np.sqrt(expected.intraclass) * common + np.sqrt(1 - expected.intraclass) * own, np.float64)

    shared, models = noise(), []
    for sign in (0.5, -0.5):
        areas = expected.auroc + sign * difference + expected.spread * rng.normal(size=(expected.trainings, 1))
        distance = np.sqrt(2) * stats.norm.ppf(np.clip(areas, 1e-3, 1 - 1e-3))
        reading = np.sqrt(expected.correlation) * shared + np.sqrt(1 - expected.correlation) * noise()
        models.append(distance * labels + reading)
    names = [f"s{index:06d}" for index in range(subjects) for _ in range(expected.slices)]
    return labels.astype(np.int64), np.array(models), names
