"""Weighted classification metrics, vectorised over conditions and bootstrap resamples.

Every metric takes the labels of n cases, their scores under any number of conditions and a weight for each case in
each resample, and returns one value a condition and resample. A weight counts how often the case stands in the
resample, so a weight of two is the same as listing the case twice. Give them as ``uint8`` where there are many: they
are read in blocks (:mod:`scanproof.evaluation.weighted_sums`), and no other array of that size is made. Values do not
depend on the order of cases, on blocks or on threads, not in their last bit, for tables are compared bit by bit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError
from scanproof.evaluation.ranked_sums import pairs_in_order, precision_at_positives, runs, ties
from scanproof.evaluation.weighted_sums import FloatArray, Weights, case_rows, weighted_sums

#: equal-width probability bins of the expected calibration error
CALIBRATION_BINS = 10
#: least probability of what came true in the negative log-likelihood: about that which single precision resolves at 1
SMALLEST_PROBABILITY = 1e-7


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> FloatArray:
    """Area under the ROC curve: the probability that a positive case scores above a negative one, ties count half.

    Mann-Whitney form of the area (Hanley and McNeil, Radiology 143, 1982): one sort a condition, then the weight of
    the negatives that each positive beats or ties with is read from a cumulative sum.

    Args:
        labels: 0 or 1, shape ``(n,)``.
        scores: finite, higher means more likely positive, shape ``(..., n)``.
        weights: 0 or more, shape ``(resamples, n)``; one resample of unit weights when not given.

    Returns:
        Values in [0, 1], shape ``(..., resamples)``; NaN where a resample holds only one class.

    Raises:
        ScanproofError: arrays of other shapes, labels besides 0 and 1, non-finite scores, negative weights.

    Example:
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.9])
        array([0.875])
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.9], weights=[[1, 0, 1, 1], [0, 2, 1, 1]])
        array([1.  , 0.75])
    """
    positive, rows, case_weights, shape = _checked(labels, scores, weights)
    area = np.empty((len(rows), len(case_weights)))
    rankings = [runs(positive, row) for row in rows]
    for block, of_case in case_rows(case_weights):
        for index, ranking in enumerate(rankings):
            area[index, block] = pairs_in_order(ranking, of_case)
    return _ratio(area, _totals(positive, case_weights).prod(axis=0)).reshape(shape)


def auprc(labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> FloatArray:
    """Area under the precision-recall curve as average precision: the precision at each score, weighted by recall.

    The sum over thresholds, from high to low, of the precision there times the recall gained there, with nothing
    interpolated (Boyd, Eng and Page, ECML PKDD 2013); tied cases stand on one threshold, as in scikit-learn. Chance
    earns the prevalence, so compare it only between test sets of equal prevalence.

    Arguments, shapes and errors are those of :func:`auroc`.

    Returns:
        Values in [0, 1], shape ``(..., resamples)``; NaN where a resample holds no positive or no negative case.

    Example:
        >>> auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).round(4)
        array([0.8333])
    """
    positive, rows, case_weights, shape = _checked(labels, scores, weights)
    area = np.empty((len(rows), len(case_weights)))
    rankings = [ties(positive, row) for row in rows]
    for block, of_case in case_rows(case_weights):
        for index, ranking in enumerate(rankings):
            area[index, block] = precision_at_positives(ranking, of_case)
    totals = _totals(positive, case_weights)
    return np.where(totals.prod(axis=0) > 0, _ratio(area, totals[0]), np.nan).reshape(shape)


def sensitivity(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    threshold: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> FloatArray:
    """Share of the positive cases that are read as positive, that is whose score is at least the threshold.

    Args:
        labels: 0 or 1, shape ``(n,)``.
        scores: finite, shape ``(..., n)``.
        threshold: operating point: a number, an array that broadcasts to the leading axes of the scores, or one of as
            many axes as the scores, which broadcasts to them: a threshold a case.
        weights: shape ``(resamples, n)``, as in :func:`auroc`.

    Returns:
        Values in [0, 1], shape ``(..., resamples)``; NaN where a resample holds no positive case.

    Raises:
        ScanproofError: as :func:`auroc`, or a threshold of another shape.

    Example:
        >>> sensitivity([0, 1, 1], [0.6, 0.5, 0.2], threshold=0.5)
        array([0.5])
    """
    return _rate(labels, scores, threshold, weights, of_positives=True)


def specificity(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    threshold: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> FloatArray:
    """Share of the negative cases that are read as negative, that is whose score is below the threshold.

    Arguments, shapes and errors are those of :func:`sensitivity`; NaN where a resample holds no negative case.

    Example:
        >>> specificity([0, 0, 1], [0.6, 0.1, 0.9], threshold=0.5)
        array([0.5])
    """
    return _rate(labels, scores, threshold, weights, of_positives=False)


def balanced_accuracy(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    threshold: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> FloatArray:
    """Mean of sensitivity and specificity at the threshold; one half is chance whatever the prevalence.

    Arguments, shapes and errors are those of :func:`sensitivity`; NaN where a resample holds only one class.

    Example:
        >>> balanced_accuracy([0, 0, 1, 1], [0.6, 0.1, 0.9, 0.8], threshold=0.5)
        array([0.75])
    """
    rates = (_rate(labels, scores, threshold, weights, of_positives=side) for side in (True, False))
    return np.add(*rates) / 2


def expected_calibration_error(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> FloatArray:
    """Expected calibration error of the probability of the positive class.

    The mean over cases of the gap between the observed share of positives and the mean probability in the case's bin
    (Naeini, Cooper and Hauskrecht, AAAI 2015). Ten bins of equal width: [0, 0.1), [0.1, 0.2), ..., [0.9, 1]. It is
    the probability of the positive class that is binned, not the confidence in the likelier class. The estimate is
    biased upwards when bins hold few cases, so compare it only between test sets of equal size.

    Args:
        labels: 0 or 1, shape ``(n,)``.
        scores: probabilities of the positive class in [0, 1], shape ``(..., n)``.
        weights: shape ``(resamples, n)``, as in :func:`auroc`.

    Returns:
        Values in [0, 1], shape ``(..., resamples)``; NaN where all weights of a resample are zero.

    Raises:
        ScanproofError: as :func:`auroc`, or a score outside [0, 1].

    Example:
        >>> expected_calibration_error([0, 1, 1, 1], [0.25, 0.25, 0.75, 0.75])
        array([0.25])
    """
    positive, rows, case_weights, shape = _checked(labels, scores, weights, probabilities=True)
    edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    gaps = np.zeros((len(rows), len(case_weights)))
    member = np.searchsorted(edges, rows, side="right")
    for index in range(CALIBRATION_BINS):
        excess = np.where(member == index, positive - rows, 0.0)
        if excess.any():
            gaps += np.abs(weighted_sums(excess, case_weights))
    return _ratio(gaps, _totals(positive, case_weights).sum(axis=0)).reshape(shape)


def brier(labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> FloatArray:
    """Brier score: mean squared difference of probability and label, 0 is best, 1/4 is what 0.5 for every case earns.

    Arguments, shapes and errors are those of :func:`expected_calibration_error`.

    Example:
        >>> brier([0, 1], [0.5, 1.0])
        array([0.125])
    """
    positive, rows, case_weights, shape = _checked(labels, scores, weights, probabilities=True)
    error = (rows - positive) ** 2
    return _ratio(weighted_sums(error, case_weights), _totals(positive, case_weights).sum(axis=0)).reshape(shape)


def negative_log_likelihood(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> FloatArray:
    """Mean negative natural logarithm of the probability given to what came true; 0 is best, log 2 earns a coin.

    That probability is taken as at least :data:`SMALLEST_PROBABILITY`, 1e-7: single precision knows no smaller
    distance from 1, and one case that is wrong with full certainty costs 16.1 rather than everything.

    Arguments, shapes and errors are those of :func:`expected_calibration_error`.

    Example:
        >>> negative_log_likelihood([0, 1], [0.5, 1.0]).round(4)
        array([0.3466])
    """
    positive, rows, case_weights, shape = _checked(labels, scores, weights, probabilities=True)
    loss = -np.log(np.maximum(np.where(positive, rows, 1 - rows), SMALLEST_PROBABILITY))
    return _ratio(weighted_sums(loss, case_weights), _totals(positive, case_weights).sum(axis=0)).reshape(shape)


def operating_threshold(labels: npt.ArrayLike, scores: npt.ArrayLike, *, sensitivity: float) -> float:
    """The highest threshold whose sensitivity on these cases is at least the one asked for.

    Choose it on clean validation data and keep it for every test: an operating point tuned on shifted data is one
    that nobody has in the clinic.

    Args:
        labels: 0 or 1, shape ``(n,)``.
        scores: finite, shape ``(n,)``; a score of at least the threshold is read as positive.
        sensitivity: in (0, 1].

    Returns:
        The score of one of the positive cases.

    Raises:
        ScanproofError: a sensitivity outside (0, 1], no positive case, or wrong arrays as in :func:`auroc`.

    Example:
        >>> operating_threshold([1, 1, 1, 1, 0], [0.9, 0.7, 0.4, 0.2, 0.8], sensitivity=0.75)
        0.4
    """
    if not 0 < sensitivity <= 1:
        raise ScanproofError("sensitivity must be in (0, 1]", value=sensitivity)
    positive, rows, _, _ = _checked(labels, scores, None)
    if len(rows) != 1 or np.ndim(scores) != 1:
        raise ScanproofError("scores must have shape (n,)", value=np.shape(scores))
    falling = np.sort(rows[0, positive])[::-1]
    if not len(falling):
        raise ScanproofError("an operating point needs at least one positive case", key="labels")
    # rounding of the product must not ask for one case more: 0.07 * 100 is 7.000000000000001
    needed = math.ceil(sensitivity * len(falling) - 1e-9)
    return float(falling[max(needed, 1) - 1])


def reads_positive(scores: npt.ArrayLike, *, threshold: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which scores are read as positive: those of at least the threshold.

    Args:
        scores: shape ``(..., n)``.
        threshold: as in :func:`sensitivity`.

    Returns:
        Shape as the scores.

    Raises:
        ScanproofError: a threshold of another shape.

    Example:
        >>> reads_positive([[0.2, 0.6], [0.5, 0.9]], threshold=[0.5, 0.8])
        array([[False,  True],
               [False,  True]])
    """
    values, limits = np.asarray(scores, np.float64), np.asarray(threshold, np.float64)
    try:
        if limits.ndim < values.ndim:
            limits = np.broadcast_to(limits, values.shape[:-1])[..., None]
        return np.asarray(values >= np.broadcast_to(limits, values.shape))
    except ValueError as error:
        rule = f"threshold must broadcast to the leading axes of the scores, {values.shape[:-1]}, or to {values.shape}"
        raise ScanproofError(rule, value=limits.shape) from error


def _rate(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    *,
    of_positives: bool,
) -> FloatArray:
    positive, rows, case_weights, shape = _checked(labels, scores, weights)
    members = positive if of_positives else ~positive
    right = (reads_positive(scores, threshold=threshold).reshape(rows.shape) == of_positives) & members
    total = _totals(positive, case_weights)[0 if of_positives else 1]
    return _ratio(weighted_sums(right.astype(np.float64), case_weights), total).reshape(shape)


def _checked(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None, *, probabilities: bool = False
) -> tuple[npt.NDArray[np.bool_], FloatArray, Weights, tuple[int, ...]]:
    """Labels as bool ``(n,)``, scores ``(conditions, n)``, weights ``(resamples, n)`` and the shape of the answer."""
    classes, values = np.asarray(labels), np.asarray(scores, np.float64)
    if classes.ndim != 1 or not len(classes):
        raise ScanproofError("labels must have shape (n,), n at least 1", value=classes.shape)
    if not np.isin(classes, (0, 1)).all():
        raise ScanproofError("labels must be 0 or 1", value=classes[~np.isin(classes, (0, 1))].tolist()[0])
    if not values.ndim or values.shape[-1] != len(classes):
        raise ScanproofError(f"scores must have shape (..., {len(classes)}), as the labels", value=values.shape)
    if not np.isfinite(values).all():
        raise ScanproofError("scores must be finite", value=float(values[~np.isfinite(values)][0]))
    if probabilities and (values.min() < 0 or values.max() > 1):
        worst = values.flat[np.abs(values - 0.5).argmax()]
        raise ScanproofError("scores must be probabilities in [0, 1]", value=float(worst))
    table = np.ones((1, len(classes))) if weights is None else np.asarray(weights)
    if table.ndim != 2 or table.shape[1] != len(classes):
        raise ScanproofError(f"weights must have shape (resamples, {len(classes)})", value=table.shape)
    if table.dtype.kind not in "uif":
        table = table.astype(np.float64)
    if not (least := float(table.min()) if table.size else 0.0) >= 0:
        raise ScanproofError("weights must be 0 or more", value=least)
    shape = (*values.shape[:-1], len(table))
    return classes.astype(bool), values.reshape(-1, len(classes)), table, shape


def _totals(positive: npt.NDArray[np.bool_], case_weights: Weights) -> FloatArray:
    """Weight of the positive and of the negative cases, shape ``(2, resamples)``."""
    return weighted_sums(np.stack([positive, ~positive]).astype(np.float64), case_weights)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient, NaN where the denominator is zero."""
    total = np.broadcast_to(denominator, numerator.shape)
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, total, out=quotient, where=total > 0)
    return quotient
