"""Confidence intervals from resampling whole subjects.

Slices and repeated scans of one person resemble each other, so cases are not independent and an interval that
resamples cases is too narrow. The subject is what a study draws from the population, and the subject is what is
resampled here (cluster bootstrap: Field and Welsh, J. R. Statist. Soc. B 69, 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed

FloatArray = npt.NDArray[np.float64]

#: largest share of resamples without a value, e.g. an AUROC without a positive case, that an interval tolerates
MAX_DROPPED = 0.05
#: fewest resamples from which a percentile is worth reading
MIN_RESAMPLES = 100


class Estimate(NamedTuple):
    """A value and the bounds of its interval, arrays of one shape."""

    value: FloatArray
    lower: FloatArray
    upper: FloatArray


def subject_weights(subjects: Sequence[str] | npt.NDArray[np.object_], *, resamples: int, seed: int) -> FloatArray:
    """How often each case stands in each resample, when subjects are drawn with replacement.

    As many subjects are drawn as there are, each with all of its cases; nothing is stratified, so the prevalence and
    the number of cases vary between resamples as they would between studies. The same subjects, in any order of
    cases, and the same seed give the same multiplicities: use one set of weights for all chains and conditions of a
    site and every comparison between them is paired.

    Args:
        subjects: subject of each case, length n.
        resamples: how many resamples to draw.
        seed: 32-bit seed.

    Returns:
        Multiplicities 0, 1, 2, ... as float64, shape ``(resamples, n)``; equal for all cases of a subject.

    Raises:
        ScanproofError: no case, a missing subject or a number of resamples below 1.

    Example:
        >>> subject_weights(["a", "a", "b"], resamples=3, seed=1)
        array([[1., 1., 1.],
               [0., 0., 2.],
               [2., 2., 0.]])
    """
    if resamples < 1:
        raise ScanproofError("resamples must be at least 1", value=resamples)
    if not len(subjects):
        raise ScanproofError("subjects must name at least one case")
    if any(not isinstance(subject, str) for subject in subjects):
        raise ScanproofError("subjects must be text, one a case", value=list(subjects))
    names, member = np.unique(np.asarray(subjects, dtype=np.str_), return_inverse=True)
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    offsets = np.arange(resamples)[:, None] * len(names)
    counts = np.bincount((drawn + offsets).ravel(), minlength=resamples * len(names)).reshape(resamples, len(names))
    return counts[:, member].astype(np.float64)


def percentile_interval(samples: npt.ArrayLike, *, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Percentile interval of bootstrap replicates (Efron and Tibshirani, 1993, section 13.3).

    Replicates that are NaN are dropped. If more than one in twenty (:data:`MAX_DROPPED`) had to be dropped, the rest
    is no fair sample of what could have happened and both bounds are NaN.

    Args:
        samples: replicates along the last axis, shape ``(..., resamples)``.
        confidence: in (0, 1), e.g. 0.95.

    Returns:
        Lower and upper bounds, each of shape ``(...)``.

    Raises:
        ScanproofError: confidence outside (0, 1) or no replicate.

    Example:
        >>> lower, upper = percentile_interval(np.arange(101.0), confidence=0.5)
        >>> float(lower), float(upper)
        (25.0, 75.0)
    """
    replicates = np.asarray(samples, np.float64)
    _check_confidence(confidence)
    if not replicates.ndim or not replicates.shape[-1]:
        raise ScanproofError("samples must hold at least one replicate", value=replicates.shape)
    tail = (1 - confidence) / 2
    rows = replicates.reshape(-1, replicates.shape[-1])
    missing = np.isnan(rows).sum(axis=1)
    bounds = np.full((2, len(rows)), np.nan)
    whole = missing == 0
    if whole.any():
        bounds[:, whole] = np.quantile(rows[whole], [tail, 1 - tail], axis=1)
    for index in np.flatnonzero(~whole & (missing <= MAX_DROPPED * rows.shape[1])):
        bounds[:, index] = np.quantile(rows[index, ~np.isnan(rows[index])], [tail, 1 - tail])
    lower, upper = bounds.reshape(2, *replicates.shape[:-1])
    return lower, upper


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How intervals are made, the same for every number of a study.

    Samples are arrays whose last axis holds the value of the cases as they are, followed by its replicates: one
    formula then gives the value and its replicates, and means or differences of samples keep them paired.

    Percentile intervals run short when subjects are few. In simulated studies, 95 % intervals of an AUROC of 0.82
    held the truth in 90 % of studies of 20 subjects, 93 % of 40 and 94 % of 100.

    Attributes:
        seed: root seed; each site draws its own, independent resamples from it.
        resamples: replicates of every value, at least 100.
        confidence: of the intervals, in (0, 1).

    Raises:
        ScanproofError: too few resamples or a confidence outside (0, 1).

    Example:
        >>> bootstrap = Bootstrap(seed=1, resamples=200)
        >>> weights = bootstrap.weights("north", ["a", "b", "c", "d"])
        >>> weights.shape, weights[0]
        ((201, 4), array([1., 1., 1., 1.]))
        >>> samples = (weights * [1.0, 2.0, 3.0, 4.0]).sum(axis=1) / weights.sum(axis=1)
        >>> [round(float(number), 2) for number in bootstrap.estimate(samples)]
        [2.5, 1.49, 3.75]
    """

    seed: int
    resamples: int = 1000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        _check_confidence(self.confidence)
        if self.resamples < MIN_RESAMPLES:
            raise ScanproofError(f"resamples must be at least {MIN_RESAMPLES}", value=self.resamples)

    def weights(self, site: str, subjects: Sequence[str] | npt.NDArray[np.object_]) -> FloatArray:
        """Unit weights, then those of the resamples of a site, shape ``(1 + resamples, n)``."""
        drawn = subject_weights(subjects, resamples=self.resamples, seed=derive_seed(self.seed, "bootstrap", site))
        return np.concatenate([np.ones((1, drawn.shape[1])), drawn])

    def estimate(self, samples: FloatArray) -> Estimate:
        """Value and percentile interval of samples of shape ``(..., 1 + resamples)``.

        A percentile interval may miss its own value where cases are few or the metric is near its limit; it is then
        widened just enough to hold it.
        """
        value = samples[..., 0]
        lower, upper = percentile_interval(samples[..., 1:], confidence=self.confidence)
        return Estimate(value, np.minimum(lower, value), np.maximum(upper, value))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ScanproofError("confidence must be in (0, 1)", value=confidence)
