"""How many subjects a number about cases rests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError


def informative_subjects(labels: npt.ArrayLike, subjects: Sequence[str] | npt.NDArray[np.object_]) -> int:
    """Subjects of the rarer class: those with a positive case or those with a negative one, whichever are fewer.

    An AUROC is no more certain than its rarer class, so that this number less one serves as the degrees of freedom of
    its interval (:meth:`~scanproof.evaluation.bootstrap.Bootstrap.estimate`). With all subjects instead, intervals are
    too short where one class is rare. Simulated studies say how often they hold the truth (``studies/statistics``).

    Args:
        labels: 0 or 1, shape ``(n,)``.
        subjects: subject of each case, length n.

    Returns:
        A number of 1 or more; where one class is missing, that of the other.

    Raises:
        ScanproofError: no case, or numbers of labels and subjects that differ.

    Example:
        >>> informative_subjects([1, 0, 0, 0], ["a", "a", "b", "c"])
        1
    """
    positive, names = np.asarray(labels).astype(bool), np.asarray(subjects, dtype=np.str_)
    if positive.ndim != 1 or not len(positive) or names.shape != positive.shape:
        raise ScanproofError(
            "labels and subjects must be one a case, at least one", value=(positive.shape, names.shape)
        )
    counts = [len(np.unique(names[side])) for side in (positive, ~positive)]
    return min(count for count in counts if count)
