"""Sums along the ranking of cases by score, for many resamples at once: what areas under curves are made of.

Cases are visited in the order of their scores. At each, one operation on a row of numbers updates all resamples; tied
cases are taken together. What stands in a row of one resample does not depend on the other resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scanproof.evaluation.weighted_sums import FloatArray, Row


class Step(NamedTuple):
    """Cases that count together, as positions."""

    positives: list[int]
    negatives: list[int]


def ties(positive: npt.NDArray[np.bool_], scores: FloatArray) -> list[Step]:
    """The cases of each score, by rising score.

    Args:
        positive: class of each case, shape ``(n,)``.
        scores: shape ``(n,)``.

    Example:
        >>> ties(np.array([True, False, True]), np.array([0.5, 0.5, 0.2]))
        [Step(positives=[2], negatives=[]), Step(positives=[0], negatives=[1])]
    """
    order = np.lexsort((~positive, scores))
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    middles = starts + np.add.reduceat(positive[order].astype(np.intp), starts)
    cases = order.tolist()
    stops = [*starts[1:].tolist(), len(cases)]
    spans = zip(starts.tolist(), middles.tolist(), stops, strict=True)
    return [Step(cases[start:middle], cases[middle:stop]) for start, middle, stop in spans]


def runs(positive: npt.NDArray[np.bool_], scores: FloatArray) -> list[Step]:
    """As :func:`ties`, with neighbours of the same class joined, since no pair of classes stands between them.

    Example:
        >>> runs(np.array([True, False, True, True]), np.array([0.5, 0.1, 0.6, 0.7]))
        [Step(positives=[], negatives=[1]), Step(positives=[0, 2, 3], negatives=[])]
    """
    joined: list[Step] = []
    for step in ties(positive, scores):
        if joined and any(not one and not other for one, other in zip(step, joined[-1], strict=True)):
            for cases, more in zip(joined[-1], step, strict=True):
                cases.extend(more)
        else:
            joined.append(step)
    return joined


def pairs_in_order(steps: Sequence[Step], rows: Sequence[Row]) -> FloatArray:
    """Weight of the pairs of a positive and a negative case in which the positive scores higher; ties count half.

    Args:
        steps: of :func:`runs`.
        rows: weights of each case, n arrays of shape ``(resamples,)``.

    Returns:
        Shape ``(resamples,)``, exact where weights are counts.
    """
    below = np.zeros_like(rows[0])
    buffer = np.empty_like(below)
    product, whole, halves = (np.zeros(below.shape) for _ in range(3))
    for positives, negatives in steps:
        weight = _sum_of(positives, rows, buffer) if positives else buffer
        if positives:
            np.multiply(weight, below, product, dtype=np.float64)
            if negatives:
                np.add(halves, product, halves)
            else:
                np.add(whole, product, whole)
        for case in negatives:
            np.add(below, rows[case], below)
        if positives and negatives:
            np.multiply(weight, below, product, dtype=np.float64)
            np.add(halves, product, halves)
    return np.asarray(whole + halves / 2, np.float64)


def precision_at_positives(steps: Sequence[Step], rows: Sequence[Row]) -> FloatArray:
    """Sum over the positive cases of the precision at their score.

    Args:
        steps: of :func:`ties`.
        rows: weights of each case, n arrays of shape ``(resamples,)``.

    Returns:
        Shape ``(resamples,)``.
    """
    hits, buffer = np.zeros_like(rows[0]), np.empty_like(rows[0])
    read, divisor = np.zeros_like(hits), np.empty_like(hits)
    least = 1 if np.issubdtype(hits.dtype, np.integer) else np.finfo(np.float64).tiny  # so that 0 / 0 is 0
    precision, total = np.empty(hits.shape), np.zeros(hits.shape)
    for positives, negatives in reversed(steps):
        for case in negatives:
            np.add(read, rows[case], read)
        if positives:
            weight = _sum_of(positives, rows, buffer)
            np.add(read, weight, read)
            np.add(hits, weight, hits)
            np.divide(hits, np.maximum(read, least, out=divisor), precision, dtype=np.float64)
            np.multiply(precision, weight, precision)
            np.add(total, precision, total)
    return total


def _sum_of(cases: list[int], rows: Sequence[Row], buffer: Row) -> Row:
    """Weights of some cases, at least one, in all; in the buffer if there are several."""
    if len(cases) == 1:
        return rows[cases[0]]
    np.add(rows[cases[0]], rows[cases[1]], buffer)
    for case in cases[2:]:
        np.add(buffer, rows[case], buffer)
    return buffer
