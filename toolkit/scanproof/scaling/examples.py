"""Nested sets of training examples: each smaller one lies in the larger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed


def nested_order(subjects: Sequence[str], *, seed: int) -> npt.NDArray[np.intp]:
    """The order in which examples join the training set: subject by subject, in an order drawn from the seed.

    The first N of it are the training set of N examples, so a set lies in every larger one, and all but the subject
    added last are complete.

    Args:
        subjects: of each example.
        seed: of the order of subjects; examples of a subject keep theirs.

    Returns:
        A permutation of the examples' indices.

    Example:
        >>> nested_order(["a", "a", "b", "c"], seed=1).tolist()
        [2, 0, 1, 3]
    """
    names = np.asarray(subjects, dtype=object)
    known = np.unique(names)
    drawn = np.random.default_rng(derive_seed(seed, "nested subjects")).permutation(len(known))
    place = {name: int(number) for name, number in zip(known, drawn, strict=True)}
    return np.argsort([place[name] for name in names], kind="stable")


def nested_subset(subjects: Sequence[str], *, size: int, seed: int) -> npt.NDArray[np.intp]:
    """The training set of a size.

    Args:
        subjects: of each example that there is.
        size: number of examples.
        seed: see :func:`nested_order`.

    Raises:
        ScanproofError: a size below one, or above the number of examples.

    Example:
        >>> nested_subset(["a", "a", "b", "c"], size=2, seed=1).tolist()
        [2, 0]
    """
    if not 1 <= size <= len(subjects):
        raise ScanproofError(
            f"must be in [1, {len(subjects)}], the training examples there are", key="examples", value=size
        )
    return nested_order(subjects, seed=seed)[:size]


def check_disjoint(splits: dict[str, Sequence[str]]) -> None:
    """Check that no subject is in two splits.

    Raises:
        ScanproofError: one is.
    """
    seen: dict[str, str] = {}
    for split, subjects in splits.items():
        for subject in set(subjects):
            if seen.setdefault(subject, split) != split:
                raise ScanproofError("subject must be in one split", key=f"{seen[subject]} and {split}", value=subject)
