"""Operating points that are chosen on the very cases they read, without judging them on what chose them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError
from scanproof.evaluation.classification_metrics import operating_threshold
from scanproof.evaluation.weighted_sums import FloatArray
from scanproof.seeds import derive_seed


def youden_threshold(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The threshold of the largest sum of sensitivity and specificity (Youden, Cancer 3, 1950); of equals the highest.

    Args:
        labels: 0 or 1, both present, shape ``(n,)``.
        scores: finite, shape ``(n,)``; a score of at least the threshold is read as positive.

    Returns:
        The score of one of the positive cases.

    Raises:
        ScanproofError: only one class, or wrong arrays as in
            :func:`~scanproof.evaluation.classification_metrics.auroc`.

    Example:
        >>> youden_threshold([1, 1, 1, 0, 0], [0.9, 0.7, 0.3, 0.4, 0.1])
        0.7
    """
    operating_threshold(labels, scores, sensitivity=1.0)  # checks the arrays
    positive, values = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    if positive.all():
        raise ScanproofError("Youden's index needs at least one negative case", key="labels")
    candidates = np.unique(values[positive])[::-1]
    found = [np.sort(values[side]) for side in (positive, ~positive)]
    hits, alarms = (len(side) - np.searchsorted(side, candidates, side="left") for side in found)
    # whole numbers, so that equals are equal
    return float(candidates[np.argmax(hits * len(found[1]) - alarms * len(found[0]))])


def cross_fitted_thresholds(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    subjects: Sequence[str] | npt.NDArray[np.object_],
    *,
    sensitivity: float,
    seed: int,
) -> FloatArray:
    """Thresholds tuned again under each condition, each used on cases that had no part in choosing it.

    Subjects are split into two halves that have alike many subjects with a positive case. In each half, the highest
    threshold that reaches the sensitivity is found under each condition; it is used in the other half. All
    conditions share the split. A threshold that is judged on the cases that chose it looks better than it is, and the
    fewer the cases, the more so. Half of the cases choose each threshold, so that it is less certain than one chosen
    on all of them would be.

    Args:
        labels: 0 or 1, shape ``(n,)``.
        scores: finite, shape ``(..., n)``.
        subjects: subject of each case, length n.
        sensitivity: to reach at least, in (0, 1].
        seed: of the split; it does not depend on the order of cases.

    Returns:
        A threshold for each case under each condition, in the shape of the scores, as ``threshold`` of
        :func:`~scanproof.evaluation.classification_metrics.sensitivity` takes it.

    Raises:
        ScanproofError: fewer than two subjects with a positive case, or what
            :func:`~scanproof.evaluation.classification_metrics.operating_threshold` raises.

    Example:
        >>> labels, subjects = [1, 0, 1, 0], ["a", "a", "b", "b"]
        >>> cross_fitted_thresholds(labels, [0.9, 0.1, 0.6, 0.2], subjects, sensitivity=0.9, seed=1)
        array([0.6, 0.6, 0.9, 0.9])
    """
    classes, values = np.asarray(labels), np.asarray(scores, np.float64)
    if classes.ndim != 1 or len(subjects) != len(classes):
        raise ScanproofError("subjects must name one a case", value=(len(subjects), classes.shape))
    if not values.ndim or values.shape[-1] != len(classes):
        raise ScanproofError(f"scores must have shape (..., {len(classes)}), as the labels", value=values.shape)
    first = _first_half(classes.astype(bool), np.asarray(subjects, dtype=np.str_), seed)
    thresholds = np.empty(values.shape)
    for row, out in zip(values.reshape(-1, len(classes)), thresholds.reshape(-1, len(classes)), strict=True):
        for half in (first, ~first):
            out[~half] = operating_threshold(classes[half], row[half], sensitivity=sensitivity)
    return thresholds


def _first_half(positive: npt.NDArray[np.bool_], subjects: npt.NDArray[np.str_], seed: int) -> npt.NDArray[np.bool_]:
    """Which cases are of the first half of the subjects, chosen at random within those with a positive and without."""
    names, member = np.unique(subjects, return_inverse=True)
    with_positive = np.bincount(member, weights=positive) > 0
    if with_positive.sum() < 2:
        rule = "subjects must hold at least two with a positive case to tune thresholds on each half"
        raise ScanproofError(rule, key="subjects", value=int(with_positive.sum()))
    rng = np.random.default_rng(derive_seed(seed, "cross-fit"))
    dealt = np.concatenate([rng.permutation(np.flatnonzero(side)) for side in (with_positive, ~with_positive)])
    first = np.zeros(len(names), bool)
    first[dealt[::2]] = True
    return first[member]
