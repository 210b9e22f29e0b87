"""How many subjects a study needs, before it is run.

The variance of an AUROC is that of Hanley and McNeil (Radiology 143, 1982) for many cases, times a design effect for
slices of one subject that resemble each other (Obuchowski, Biometrics 53, 1997, with slices of a subject in one
class), plus what training anew changes. Two models that read the same cases share part of their errors (Hanley and
McNeil, Radiology 148, 1983): the correlation of their AUROCs is taken to be that of their scores within a class, which
it is at most.

These are numbers to plan with, not to report: the formulas hold for many cases, and the guesses that enter them
weigh more than they do. :mod:`scanproof.evaluation.statistics.simulation` checks a plan by simulated studies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from scipy import stats

from scanproof.errors import ScanproofError, unknown_name

Aim = Literal["half_width", "difference", "margin"]
#: a plan with more subjects than this is no plan
MOST_SUBJECTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is expected of a study, from a pilot, the literature, or a cautious guess.

    Attributes:
        auroc: of the models, in (0.5, 1).
        prevalence: share of positive cases, in (0, 1).
        slices: cases of each subject, 1 or more.
        intraclass: correlation of the scores of two slices of a subject, in [0, 1].
        correlation: of the scores of two models on the same case within a class, in [0, 1).
        trainings: seeds from which each model is trained, 1 or more.
        spread: standard deviation of the AUROC between trainings; 0 to speak of these trainings alone.
        confidence: of the intervals, in (0, 1).

    Raises:
        ScanproofError: a number outside its range.

    Example:
        >>> round(Expected(auroc=0.8, prevalence=0.5).standard_error(100), 4)
        0.0442
    """

    auroc: float = 0.8
    prevalence: float = 0.3
    slices: int = 1
    intraclass: float = 0.5
    correlation: float = 0.5
    trainings: int = 5
    spread: float = 0.0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        ranges = {
            "auroc must be in (0.5, 1)": (self.auroc, 0.5 < self.auroc < 1),
            "prevalence must be in (0, 1)": (self.prevalence, 0 < self.prevalence < 1),
            "slices must be at least 1": (self.slices, self.slices >= 1),
            "intraclass must be in [0, 1]": (self.intraclass, 0 <= self.intraclass <= 1),
            "correlation must be in [0, 1)": (self.correlation, 0 <= self.correlation < 1),
            "trainings must be at least 1": (self.trainings, self.trainings >= 1),
            "spread must be in [0, 0.5)": (self.spread, 0 <= self.spread < 0.5),
            "confidence must be in (0, 1)": (self.confidence, 0 < self.confidence < 1),
        }
        for rule, (value, holds) in ranges.items():
            if not holds:
                raise ScanproofError(rule, value=value)

    @property
    def design_effect(self) -> float:
        """How many times more cases it takes because slices of a subject resemble each other."""
        return 1 + (self.slices - 1) * self.intraclass

    def standard_error(self, subjects: int, *, paired: bool = False) -> float:
        """Standard error of the AUROC, mean over trainings, or of the paired difference of two models.

        Args:
            subjects: that are tested, at least 1.
            paired: whether of the difference; both models are expected to have about the same AUROC.
        """
        area, share = self.auroc, self.prevalence
        cases = subjects * self.slices / self.design_effect
        # two positives against one negative, and one positive against two negatives
        of_negative, of_positive = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
        of_subjects = of_positive / (share * cases) + of_negative / ((1 - share) * cases)
        if paired:
            of_subjects *= 2 * (1 - self.correlation)
        return math.sqrt(of_subjects + (2 if paired else 1) * self.spread**2 / self.trainings)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a study is to show.

    Attributes:
        aim: ``"half_width"``: an AUROC known to plus or minus the size; ``"difference"``: that two models differ, when
            they do by the size; ``"margin"``: that one is not worse than the other by the size, when both are equal.
        size: in units of the AUROC, in (0, 0.5).
        power: probability with which the study shows it; of no meaning for a half-width.

    Raises:
        ScanproofError: an unknown aim or a number outside its range.
    """

    aim: Aim
    size: float
    power: float = 0.8

    def __post_init__(self) -> None:
        if self.aim not in get_args(Aim):
            raise unknown_name("aim", self.aim, get_args(Aim), key="aim")
        if not 0 < self.size < 0.5:
            raise ScanproofError("size must be in (0, 0.5)", key=self.aim, value=self.size)
        if not 0.5 <= self.power < 1:
            raise ScanproofError("power must be in [0.5, 1)", value=self.power)

    def largest_error(self, confidence: float) -> float:
        """Largest standard error with which a study reaches the goal."""
        bound = float(stats.norm.ppf((1 + confidence) / 2))
        return self.size / (bound if self.aim == "half_width" else bound + float(stats.norm.ppf(self.power)))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large a study must be.

    Attributes:
        goal: what it is to show.
        subjects: that it takes at least.
        cases: slices of them.
        standard_error: that it will have.
    """

    goal: Goal
    subjects: int
    cases: int
    standard_error: float


def plan_size(goal: Goal, expected: Expected) -> Plan:
    """Fewest subjects with which a study reaches a goal.

    At least so many that two positive and two negative subjects are to be expected.

    Args:
        goal: what it is to show.
        expected: what it will find.

    Raises:
        ScanproofError: no number of subjects is enough, because trainings differ too much; the text says how many
            trainings would do.

    Example:
        >>> plan = plan_size(Goal(aim="difference", size=0.05), Expected(auroc=0.85, prevalence=0.4, correlation=0.6))
        >>> plan.subjects, plan.cases
        (438, 438)
    """
    paired, largest = goal.aim != "half_width", goal.largest_error(expected.confidence)
    of_training = (2 if paired else 1) * expected.spread**2
    if of_training / expected.trainings >= largest**2:
        needed = math.floor(of_training / largest**2) + 1
        rule = f"trainings must be at least {needed}, for they differ too much for any number of subjects"
        hint = "train from more seeds, or be content with less"
        raise ScanproofError(rule, key=goal.aim, value=expected.trainings, hint=hint)
    # but for trainings, the variance falls as one over subjects
    of_one = expected.standard_error(1, paired=paired) ** 2 - of_training / expected.trainings
    subjects = math.ceil(of_one / (largest**2 - of_training / expected.trainings) - 1e-9)
    subjects = max(subjects, math.ceil(2 / min(expected.prevalence, 1 - expected.prevalence)))
    if subjects > MOST_SUBJECTS:
        rule = f"a study must not need more than {MOST_SUBJECTS} subjects"
        raise ScanproofError(rule, key=goal.aim, value=subjects, hint="be content with less")
    error = expected.standard_error(subjects, paired=paired)
    return Plan(goal=goal, subjects=subjects, cases=subjects * expected.slices, standard_error=error)
