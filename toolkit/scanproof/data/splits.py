"""Splits by subject: slices of one subject never lie on two sides."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from scanproof.data.cohort import SPLITS
from scanproof.data.labels import PREFIX, label_columns
from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed


def split_by_subject(cases: pd.DataFrame, *, fractions: Mapping[str, float], seed: int) -> pd.Series:
    """Assign whole subjects to splits, with about the same share of each target's positive subjects in all.

    Targets are taken in turn, the one with fewest positive subjects left first, and its subjects dealt out at random:
    to a split that has none of them yet, else to the one that lags furthest behind its share of them, else of all
    subjects. Subjects without any positive case come last. This is iterative stratification (Sechidis et al., ECML
    PKDD 2011, algorithm 1), but for the rule that no split is left without a target as long as there are subjects.

    Args:
        cases: column ``subject`` and those of the labels, if any; labels may be missing.
        fractions: share of subjects of each split, e.g. ``{"train": 0.6, "val": 0.2, "test": 0.2}``; sums to one.
        seed: seed of the shuffle.

    Returns:
        The split of every row, in the order of ``cases``.

    Raises:
        ScanproofError: fractions that do not sum to one, or fewer subjects than splits.

    Example:
        >>> cases = pd.DataFrame({"subject": list("aabbccdd"), "label:lesion": [0, 0, 0, 0, 1, 1, 1, 1]})
        >>> split = split_by_subject(cases, fractions={"train": 0.5, "test": 0.5}, seed=1)
        >>> sorted(split[cases["label:lesion"] == 1].unique())
        ['test', 'train']
    """
    wanted = {name: share for name, share in fractions.items() if share > 0}
    if abs(sum(wanted.values()) - 1) > 1e-6:
        raise ScanproofError("fractions must sum to 1", key="data.fractions", value=dict(fractions))
    labels = cases[label_columns(cases)].astype("float64").fillna(0)
    positive = labels.groupby(cases["subject"], sort=True).max() > 0
    if len(positive) < len(wanted):
        raise ScanproofError(
            f"at least {len(wanted)} subjects are needed for the splits {', '.join(wanted)}",
            key="data.fractions",
            value=len(positive),
        )
    rng = np.random.default_rng(derive_seed(seed, "split"))
    shares = np.array(list(wanted.values()))
    # the last column counts all subjects
    belongs = np.column_stack([positive.to_numpy(dtype=bool), np.ones(len(positive), dtype=bool)])
    dealt = np.zeros((len(wanted), belongs.shape[1]), dtype=np.int64)
    lacking = shares[:, None] * belongs.sum(axis=0)
    assigned = np.full(len(positive), -1)
    while (assigned < 0).any():
        left = belongs[assigned < 0].sum(axis=0)
        target = min(np.flatnonzero(left), key=lambda column: left[column])
        subjects = np.flatnonzero((assigned < 0) & belongs[:, target])
        for subject in rng.permutation(subjects):
            order = [(dealt[k, target] == 0, lacking[k, target], lacking[k, -1]) for k in range(len(shares))]
            assigned[subject] = split = max(range(len(shares)), key=lambda k: order[k])
            dealt[split] += belongs[subject]
            lacking[split] -= belongs[subject]
    names = np.array(list(wanted))[assigned]
    return cases["subject"].map(dict(zip(positive.index, names, strict=True))).astype("string")


def check_splits(cases: pd.DataFrame, *, file: Path | str | None = None, site: str | None = None) -> None:
    """Check that every split is known and no subject lies in two.

    Raises:
        ScanproofError: naming the subject and its splits.
    """
    unknown = sorted(set(cases["split"].dropna()) - set(SPLITS))
    if unknown or cases["split"].isna().any():
        raise ScanproofError(f"split must be one of {', '.join(SPLITS)}", file=file, key="split", value=unknown or None)
    count = cases.groupby("subject")["split"].agg(lambda s: sorted(set(s)))
    for subject, splits in count.items():
        if len(splits) > 1:
            place = f"site {site!r}, subject {subject}" if site else f"subject {subject}"
            raise ScanproofError("a subject must lie in one split only", file=file, key=place, value=splits)


def check_labels(
    cases: pd.DataFrame, *, splits: tuple[str, ...], site: str, file: Path | str | None = None, both: bool = True
) -> None:
    """Check that each of the splits holds cases of both labels of every target, as training and AUROC need.

    Args:
        cases: columns ``case``, ``split`` and those of the labels.
        splits: those that are needed.
        site: the site's name.
        file: where the labels stand.
        both: whether both labels are needed, or only that none is missing.

    Raises:
        ScanproofError: naming the site, the split, the target and the labels found.
    """
    for split, column in itertools.product(splits, label_columns(cases)):
        target = column.removeprefix(PREFIX)
        labels = cases.loc[cases["split"] == split, column]
        found = sorted({int(x) for x in labels.dropna()})
        if labels.isna().any():
            case = str(cases.loc[labels.index[labels.isna()][0], "case"])
            place = f"site {site!r}, case {case}, {target}"
            raise ScanproofError("every case needs a label for classification", file=file, key=place)
        if both and found != [0, 1]:
            raise ScanproofError(
                f"split must hold cases with and without {target!r}, labels 0 and 1",
                file=file,
                key=f"site {site!r}, split {split}",
                value=found,
            )
