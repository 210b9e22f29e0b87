"""Whether two models read the same cases equally well: a permutation test of subjects.

If both models read equally well, it does not matter which of the two readings of a subject is called whose. A
permutation swaps all readings of some subjects. Scores of different models are on scales of their own, so that ranks
within a model and condition are swapped (Bandos, Rockette and Gur, Stat. Med. 24, 2005). What is tested is stricter
than equal areas: that the readings can be exchanged. An AUROC of swapped readings counts the same pairs of cases, each
in one of four ways, and the difference of two such AUROCs is a sum of one number a subject with its sign turned where
the subject is swapped. All permutations therefore follow from these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from scanproof.errors import ScanproofError
from scanproof.evaluation.classification_metrics import auroc
from scanproof.evaluation.weighted_sums import FloatArray

#: most subjects of which all permutations are tried
MOST_ENUMERATED = 14


class PermutationTest(NamedTuple):
    """What a permutation test found.

    Attributes:
        difference: what was tested, e.g. the mean AUROC of one model minus that of the other.
        p_value: two-sided.
        permutations: that were tried, the readings as they are among them.
    """

    difference: float
    p_value: float
    permutations: int


def auroc_contributions(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    others: npt.ArrayLike,
    subjects: Sequence[str] | npt.NDArray[np.object_],
) -> FloatArray:
    """What each subject adds to the difference of two AUROCs; where its readings are swapped, with the other sign.

    Args:
        labels: 0 or 1, both present, shape ``(n,)``.
        scores: of one model, finite, shape ``(..., n)``; trainings and conditions are averaged over.
        others: of the other model under the same trainings and conditions, shape as the scores.
        subjects: subject of each case, length n.

    Returns:
        One number a subject, by name. Their sum is the mean AUROC of the one minus that of the other. Of several
        sites, join the numbers of each, divided by the number of sites, to test the mean of the sites.

    Raises:
        ScanproofError: wrong arrays as in :func:`~scanproof.evaluation.classification_metrics.auroc`, one class
            alone, or arrays that do not fit each other.

    Example:
        >>> auroc_contributions([0, 1, 1], [0.1, 0.5, 0.9], [0.6, 0.5, 0.7], ["a", "b", "c"])
        array([0.25, 0.25, 0.  ])
    """
    one_model, other_model = np.asarray(scores, np.float64), np.asarray(others, np.float64)
    if one_model.shape != other_model.shape:
        rule = f"others must have the shape of the scores, {one_model.shape}"
        raise ScanproofError(rule, value=other_model.shape)
    models = np.stack([one_model, other_model])
    found = auroc(labels, models)
    positive = np.asarray(labels).astype(bool)
    if np.isnan(found).any():
        raise ScanproofError("labels must hold both classes", value=int(positive[0]))
    names, member = np.unique(np.asarray(subjects, dtype=np.str_), return_inverse=True)
    if member.shape != positive.shape:
        raise ScanproofError(f"subjects must be {len(positive)}, one a case", value=len(member))
    ranks = stats.rankdata(models.reshape(2, -1, len(positive)), axis=-1)
    of_case = np.zeros(len(positive))
    for one, other in zip(*ranks, strict=True):
        own = _wins(one[positive], one[~positive]), _wins(other[positive], other[~positive])
        mixed = _wins(one[positive], other[~positive]), _wins(other[positive], one[~positive])
        for side, here, sign in ((positive, 0, 1), (~positive, 1, -1)):
            of_case[side] += (own[0][here] - own[1][here] + sign * (mixed[0][here] - mixed[1][here])) / 2
    pairs = positive.sum() * (~positive).sum() * ranks.shape[1]
    return np.asarray(np.bincount(member, weights=of_case, minlength=len(names)) / pairs, np.float64)


def sign_flip_test(contributions: npt.ArrayLike, *, permutations: int = 10_000, seed: int = 0) -> PermutationTest:
    """Two-sided test of a sum whose terms keep their size but may as well have had the other sign.

    All permutations are tried where they are few (:data:`MOST_ENUMERATED` subjects), else random ones; the readings
    as they are count as one, so that the p-value is never 0 and holds its level (Phipson and Smyth, 2010).

    Args:
        contributions: one number a subject, e.g. of :func:`auroc_contributions`, finite, shape ``(subjects,)``.
        permutations: random ones to try, at least 1.
        seed: of the random ones.

    Raises:
        ScanproofError: no contribution, one that is not finite, or fewer than one permutation.

    Example:
        >>> sign_flip_test([0.25, 0.25, 0.5])
        PermutationTest(difference=1.0, p_value=0.25, permutations=8)
    """
    terms = np.asarray(contributions, np.float64)
    if terms.ndim != 1 or not len(terms) or not np.isfinite(terms).all():
        raise ScanproofError("contributions must be finite numbers, one a subject", value=terms.tolist())
    if permutations < 1:
        raise ScanproofError("permutations must be at least 1", value=permutations)
    total, count = float(terms.sum()), len(terms)
    # sums of the same terms in another order may differ by rounding, and equals must count
    least = abs(total) - 1e-12 * np.abs(terms).sum()
    if count <= MOST_ENUMERATED:
        flips = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        extreme = int((np.abs(_flipped(terms, flips)) >= least).sum())
        return PermutationTest(total, extreme / 2**count, 2**count)
    rng, extreme, block = np.random.default_rng(seed), 1, max(2**22 // count, 1)
    for start in range(0, permutations, block):
        flips = rng.integers(2, size=(min(block, permutations - start), count), dtype=np.uint8)
        extreme += int((np.abs(_flipped(terms, flips)) >= least).sum())
    return PermutationTest(total, extreme / (permutations + 1), permutations + 1)


def permutation_test(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    others: npt.ArrayLike,
    subjects: Sequence[str] | npt.NDArray[np.object_],
    *,
    permutations: int = 10_000,
    seed: int = 0,
) -> PermutationTest:
    """Test whether two models that read the same cases could be exchanged, by their mean AUROC.

    Arguments and errors are those of :func:`auroc_contributions` and :func:`sign_flip_test`. Trainings are taken as
    they are: the test speaks of new subjects read by these networks, not of networks trained anew.

    Example:
        >>> permutation_test([0, 1, 1], [0.1, 0.5, 0.9], [0.6, 0.5, 0.7], ["a", "b", "c"])
        PermutationTest(difference=0.5, p_value=0.5, permutations=8)
    """
    contributions = auroc_contributions(labels, scores, others, subjects)
    return sign_flip_test(contributions, permutations=permutations, seed=seed)


def _flipped(terms: FloatArray, flips: npt.NDArray[np.integer]) -> FloatArray:
    """Sums with the sign of some terms turned; in an order that does not depend on threads."""
    return np.asarray(np.einsum("ps,s->p", 1.0 - 2.0 * flips, terms), np.float64)


def _wins(positives: FloatArray, negatives: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How many negatives each positive beats and how many positives beat each negative; ties count half."""
    below, above = np.sort(negatives), np.sort(positives)
    beaten = np.searchsorted(below, positives, side="left") + np.searchsorted(below, positives, side="right")
    lost = np.searchsorted(above, negatives, side="left") + np.searchsorted(above, negatives, side="right")
    return beaten / 2, len(positives) - lost / 2
