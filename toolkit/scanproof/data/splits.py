"""Splits by subject: slices of one subject never lie on two sides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from scanproof.data.cohort import SPLITS
from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed


def split_by_subject(cases: pd.DataFrame, *, fractions: Mapping[str, float], seed: int) -> pd.Series:
    """Assign whole subjects to splits, with about equal label balance in each.

    Subjects are ordered by their share of positive cases and then at random, and dealt out in blocks, so that a
    split holds positives and negatives in the cohort's proportion.

    Args:
        cases: columns ``subject`` and ``label`` (label may be missing).
        fractions: share of subjects of each split, e.g. ``{"train": 0.6, "val": 0.2, "test": 0.2}``; sums to one.
        seed: seed of the shuffle.

    Returns:
        The split of every row, in the order of ``cases``.

    Raises:
        ScanproofError: fractions that do not sum to one, or fewer subjects than splits.

    Example:
        >>> cases = pd.DataFrame({"subject": list("aabbccdd"), "label": [0, 0, 0, 0, 1, 1, 1, 1]})
        >>> split = split_by_subject(cases, fractions={"train": 0.5, "test": 0.5}, seed=1)
        >>> sorted(split[cases["label"] == 1].unique())
        ['test', 'train']
    """
    wanted = {name: share for name, share in fractions.items() if share > 0}
    if abs(sum(wanted.values()) - 1) > 1e-6:
        raise ScanproofError("fractions must sum to 1", key="data.fractions", value=dict(fractions))
    labels = cases["label"].astype("float64").fillna(0)
    subjects = labels.groupby(cases["subject"], sort=True).mean()
    if len(subjects) < len(wanted):
        raise ScanproofError(
            f"at least {len(wanted)} subjects are needed for the splits {', '.join(wanted)}",
            key="data.fractions",
            value=len(subjects),
        )
    rng = np.random.default_rng(derive_seed(seed, "split"))
    positive = subjects.to_numpy() > 0
    assigned: dict[str, str] = {}
    quotas = dict.fromkeys(wanted, 0.0)
    for stratum in (positive, ~positive):
        names = subjects.index.to_numpy()[stratum]
        for name in rng.permutation(names):
            # the split that lags furthest behind its share takes the next subject
            for split, share in wanted.items():
                quotas[split] += share
            split = max(quotas, key=lambda s: quotas[s])
            quotas[split] -= 1
            assigned[str(name)] = split
    return cases["subject"].map(assigned).astype("string")


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


def check_labels(cases: pd.DataFrame, *, splits: tuple[str, ...], site: str, file: Path | str | None = None) -> None:
    """Check that each of the splits holds cases of both labels, as training and AUROC need.

    Raises:
        ScanproofError: naming the site, the split and the labels found.
    """
    for split in splits:
        labels = cases.loc[cases["split"] == split, "label"]
        found = sorted({int(x) for x in labels.dropna()})
        if labels.isna().any():
            case = str(cases.loc[labels.index[labels.isna()][0], "case"])
            place = f"site {site!r}, case {case}"
            raise ScanproofError("every case needs a label for classification", file=file, key=place)
        if found != [0, 1]:
            raise ScanproofError(
                "split must hold cases of both labels 0 and 1",
                file=file,
                key=f"site {site!r}, split {split}",
                value=found,
            )
