"""Statements that the results of a study decide: about two reconstructions, or about two normalizations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.chains import CLASSIFICATION_METRICS, is_shifted
from scanproof.evaluation.image_metrics import IMAGE_METRICS
from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, CLEAN

Measure = Literal["quality", "change"]
Expectation = Literal["better", "not_worse", "similar"]
Verdict = Literal["agree", "disagree", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement about two reconstructions or two normalizations that an interval can decide.

    Args:
        text: the statement, as a reader should meet it.
        compare: what the statement is about. By an image metric, a reconstruction; or several, trainings of one method
            from different seeds. By a metric of classification, a normalization; its training seeds are all meant.
        against: what it is compared with; as many, in the same order of seeds.
        metric: image metric or metric of classification by which.
        classifier: of normalizations: the classifier; without it, the mean over all.
        reconstruction: of normalizations: what makes the images; without it, the mean over all.
        shift: condition under which: ``"none"``, a shift of the study, or ``"all"``: the mean over every condition of
            severity 1 or more, worst cases (``adversarial``) left out.
        severity: of the shift; without it, the mean over those that were tested.
        site: where; ``"all"`` is the mean of the sites.
        measure: ``"quality"`` under that condition, or its ``"change"`` from the clean condition to it.
        expect: ``"better"`` than the other, ``"not_worse"`` or ``"similar"`` up to the margin.
        margin: in the unit of the metric; 0 for ``"better"``.

    Raises:
        ScanproofError: an unknown metric, a change from clean to clean, or a margin that does not fit.

    Example:
        >>> Claim(text="a", compare="unet", against="unet", metric="ssim")
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: against must be another one, got 'unet'
    """

    text: str
    compare: str | tuple[str, ...]
    against: str | tuple[str, ...]
    metric: str
    classifier: str | None = None
    reconstruction: str | None = None
    shift: str = CLEAN
    severity: int | None = None
    site: str = ALL_SITES
    measure: Measure = "quality"
    expect: Expectation = "better"
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.metric not in (*IMAGE_METRICS, *CLASSIFICATION_METRICS):
            raise unknown_name("metric", self.metric, [*IMAGE_METRICS, *CLASSIFICATION_METRICS], key="metric")
        for name, kind in (("measure", Measure), ("expect", Expectation)):
            if getattr(self, name) not in get_args(kind):
                raise unknown_name(name, getattr(self, name), get_args(kind), key=name)
        if same := set(self.compared) & set(self.opponents):
            raise ScanproofError("against must be another one", value=", ".join(sorted(same)))
        for key, names in (("compare", self.compared), ("against", self.opponents)):
            if not names or len(set(names)) < len(names):
                raise ScanproofError("must name each once", key=key, value=", ".join(names))
        if len(self.compared) != len(self.opponents):
            rule = f"must name as many as compare ({len(self.compared)})"
            raise ScanproofError(rule, key="against", value=", ".join(self.opponents))
        if self.of_norms and len(self.compared) > 1:
            raise ScanproofError("must name one normalization", key="compare", value=", ".join(self.compared))
        for key, reader in (("classifier", self.classifier), ("reconstruction", self.reconstruction)):
            if reader is not None and not self.of_norms:
                rule = f"{key} must be left out where the metric is one of images"
                raise ScanproofError(rule, key=key, value=reader)
        if self.measure == "change" and self.shift == CLEAN:
            raise ScanproofError("shift must not be none where measure is 'change'", value=self.shift)
        if self.severity is not None and self.shift in (CLEAN, ALL_SHIFTS):
            raise ScanproofError(f"severity must be left out where shift is {self.shift!r}", value=self.severity)
        if not 0 <= self.margin < float("inf"):
            raise ScanproofError("margin must be finite and not negative", value=self.margin)
        if (self.expect == "better") != (self.margin == 0):
            rule = "margin must be 0 where 'better' is expected, and positive for 'not_worse' and 'similar'"
            raise ScanproofError(rule, value=self.margin)

    @property
    def of_norms(self) -> bool:
        """Whether it is about normalizations."""
        return self.metric in CLASSIFICATION_METRICS

    @property
    def compared(self) -> tuple[str, ...]:
        """The names of ``compare``."""
        return (self.compare,) if isinstance(self.compare, str) else tuple(self.compare)

    @property
    def opponents(self) -> tuple[str, ...]:
        """The names of ``against``."""
        return (self.against,) if isinstance(self.against, str) else tuple(self.against)


def claimed(rows: pd.DataFrame, claim: Claim) -> npt.NDArray[np.bool_]:
    """Which rows are of the claim's condition."""
    if claim.shift == ALL_SHIFTS:
        return is_shifted(rows)
    where = rows["shift"] == claim.shift
    if claim.severity is not None:
        where &= rows["severity"] == claim.severity
    return where.to_numpy(bool)


def verdict(lower: float, upper: float, claim: Claim) -> Verdict:
    """What an interval says of a claim; bounds that are missing decide nothing."""
    top = claim.margin if claim.expect == "similar" else math.inf
    if lower > -claim.margin and upper < top:
        return "agree"
    if upper < -claim.margin or lower > top:
        return "disagree"
    return "undecided"
