"""The 2x2 table of a test at an operating point, with intervals that know of clusters and ones that do not."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.classification_metrics import reads_positive, sensitivity
from scanproof.evaluation.weighted_sums import FloatArray, weighted_sums

Method = Literal["wilson", "exact"]


class TwoByTwo(NamedTuple):
    """How often each reading met each label, arrays of one shape, ``(..., resamples)``.

    The rates are samples for :meth:`~scanproof.evaluation.bootstrap.Bootstrap.estimate`, which gives them intervals
    that resample whole subjects; NaN where there is nothing to divide by.
    """

    true_positives: FloatArray
    false_positives: FloatArray
    false_negatives: FloatArray
    true_negatives: FloatArray

    @property
    def sensitivity(self) -> FloatArray:
        """Share of the positive cases that are read as positive."""
        return _share(self.true_positives, self.false_negatives)

    @property
    def specificity(self) -> FloatArray:
        """Share of the negative cases that are read as negative."""
        return _share(self.true_negatives, self.false_positives)

    @property
    def positive_predictive_value(self) -> FloatArray:
        """Share of the cases read as positive that are; at the prevalence of these cases."""
        return _share(self.true_positives, self.false_positives)

    @property
    def negative_predictive_value(self) -> FloatArray:
        """Share of the cases read as negative that are; at the prevalence of these cases."""
        return _share(self.true_negatives, self.false_negatives)


def two_by_two(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    threshold: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> TwoByTwo:
    """Count readings against labels, in each resample.

    Arguments, shapes and errors are those of :func:`~scanproof.evaluation.classification_metrics.sensitivity`.

    Example:
        >>> table = two_by_two([1, 1, 0, 0, 0], [0.9, 0.2, 0.8, 0.1, 0.3], threshold=0.5)
        >>> [float(count[0]) for count in table], float(table.positive_predictive_value[0])
        ([1.0, 1.0, 1.0, 2.0], 0.5)
    """
    found = sensitivity(labels, scores, threshold=threshold, weights=weights)  # checks the arrays
    positive, read = np.asarray(labels).astype(bool), reads_positive(scores, threshold=threshold)
    table = np.ones((1, len(positive))) if weights is None else np.asarray(weights)
    groups = (read & positive, read & ~positive, ~read & positive, ~read & ~positive)
    counts = (weighted_sums(group.reshape(-1, len(positive)).astype(np.float64), table) for group in groups)
    return TwoByTwo(*(count.reshape(found.shape) for count in counts))


def proportion_interval(
    successes: int, total: int, *, confidence: float = 0.95, method: Method = "wilson"
) -> tuple[float, float]:
    """Interval of a proportion of independent cases.

    ``"wilson"`` (J. Am. Stat. Assoc. 22, 1927) holds its level on average, ``"exact"`` (Clopper and Pearson,
    Biometrika 26, 1934) always, and is longer for it. Slices of one subject are not independent: for them, both are
    too short, and the rates of :class:`TwoByTwo` under a bootstrap are the ones to report.

    Args:
        successes: from 0 to the total.
        total: cases, at least 1.
        confidence: in (0, 1).
        method: ``"wilson"`` or ``"exact"``.

    Returns:
        Lower and upper bound in [0, 1].

    Raises:
        ScanproofError: numbers outside these ranges or an unknown method.

    Example:
        >>> [round(bound, 3) for bound in proportion_interval(9, 10)]
        [0.596, 0.982]
        >>> [round(bound, 3) for bound in proportion_interval(9, 10, method="exact")]
        [0.555, 0.997]
    """
    from scipy import stats

    if method not in get_args(Method):
        raise unknown_name("method", method, get_args(Method), key="method")
    if total < 1 or not 0 <= successes <= total:
        raise ScanproofError("successes must be in [0, total], total at least 1", value=(successes, total))
    if not 0 < confidence < 1:
        raise ScanproofError("confidence must be in (0, 1)", value=confidence)
    found = stats.binomtest(successes, total).proportion_ci(confidence_level=confidence, method=method)
    return float(found.low), float(found.high)


def _share(part: FloatArray, rest: FloatArray) -> FloatArray:
    total = part + rest
    share = np.full(total.shape, np.nan)
    np.divide(part, total, out=share, where=total > 0)
    return share
