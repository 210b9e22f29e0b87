"""Weighted classification metrics, vectorised over conditions and bootstrap resamples.

Every metric takes the labels of n cases, their scores under any number of conditions and a weight for each case in
each resample, and returns one value a condition and resample. A weight counts how often the case stands in the
resample, so a weight of two is the same as listing the case twice. Sums over cases run in plain NumPy loops: a BLAS
product may differ in its last bit between numbers of threads, and tables are compared bit by bit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError

FloatArray = npt.NDArray[np.float64]

#: equal-width probability bins of the expected calibration error
CALIBRATION_BINS = 10


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
    of_positives, of_negatives = case_weights[positive], case_weights[~positive]
    area = np.empty((len(rows), case_weights.shape[1]))
    cumulative = np.zeros((len(of_negatives) + 1, case_weights.shape[1]))
    for row, out in zip(rows, area, strict=True):
        order = np.argsort(row[~positive], kind="stable")
        np.cumsum(of_negatives[order], axis=0, out=cumulative[1:])
        beaten = cumulative[np.searchsorted(row[~positive][order], row[positive], side="left")]
        beaten += cumulative[np.searchsorted(row[~positive][order], row[positive], side="right")]
        out[:] = np.einsum("pr,pr->r", of_positives, beaten) / 2
    area = _ratio(area, of_positives.sum(axis=0) * of_negatives.sum(axis=0))
    return area.reshape(shape)


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
        threshold: operating point, a number or an array that broadcasts to the leading axes of the scores.
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
    gaps = np.empty((len(rows), case_weights.shape[1]))
    for row, out in zip(rows, gaps, strict=True):
        order = np.argsort(row, kind="stable")
        starts = _group_starts(np.searchsorted(edges, row[order], side="right"))
        excess = (positive[order] - row[order])[:, None]
        out[:] = np.abs(np.add.reduceat(case_weights[order] * excess, starts, axis=0)).sum(axis=0)
    return _ratio(gaps, case_weights.sum(axis=0)).reshape(shape)


def brier(labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> FloatArray:
    """Brier score: mean squared difference of probability and label, 0 is best, 1/4 is what 0.5 for every case earns.

    Arguments, shapes and errors are those of :func:`expected_calibration_error`.

    Example:
        >>> brier([0, 1], [0.5, 1.0])
        array([0.125])
    """
    positive, rows, case_weights, shape = _checked(labels, scores, weights, probabilities=True)
    error = (rows - positive) ** 2
    return _ratio(_weighted_sum(error, case_weights), case_weights.sum(axis=0)).reshape(shape)


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


def _rate(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    *,
    of_positives: bool,
) -> FloatArray:
    positive, rows, case_weights, shape = _checked(labels, scores, weights)
    try:
        limits = np.broadcast_to(np.asarray(threshold, np.float64), shape[:-1]).reshape(-1, 1)
    except ValueError as error:
        rule = f"threshold must broadcast to the leading axes of the scores, {shape[:-1]}"
        raise ScanproofError(rule, value=np.shape(threshold)) from error
    members = positive if of_positives else ~positive
    right = ((rows >= limits) == of_positives) & members
    rate = _ratio(_weighted_sum(right.astype(np.float64), case_weights), case_weights[members].sum(axis=0))
    return rate.reshape(shape)


def _checked(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None, *, probabilities: bool = False
) -> tuple[npt.NDArray[np.bool_], FloatArray, FloatArray, tuple[int, ...]]:
    """Labels as bool ``(n,)``, scores ``(conditions, n)``, weights ``(n, resamples)`` and the shape of the answer."""
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
    table = np.ones((1, len(classes))) if weights is None else np.asarray(weights, np.float64)
    if table.ndim != 2 or table.shape[1] != len(classes):
        raise ScanproofError(f"weights must have shape (resamples, {len(classes)})", value=table.shape)
    if not (table >= 0).all():
        raise ScanproofError("weights must be 0 or more", value=float(table.min()))
    shape = (*values.shape[:-1], len(table))
    return classes.astype(bool), values.reshape(-1, len(classes)), np.ascontiguousarray(table.T), shape


def _group_starts(ordered: npt.NDArray[np.generic]) -> npt.NDArray[np.intp]:
    """Where each run of equal values starts."""
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _weighted_sum(values: FloatArray, case_weights: FloatArray) -> FloatArray:
    total: FloatArray = np.einsum("cn,nr->cr", values, case_weights)
    return total


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient, NaN where the denominator is zero."""
    total = np.broadcast_to(denominator, numerator.shape)
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, total, out=quotient, where=total > 0)
    return quotient
