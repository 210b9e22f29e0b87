"""How subjects, files and labels are spread over sites and splits."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from scanproof.data.cohort import SPLITS
from scanproof.data.labels import PREFIX, label_columns


class Share(NamedTuple):
    """What a site has in a split.

    Args:
        site: its name.
        split: its name; None where the manifest names none.
        subjects: how many.
        files: how many.
        broken: files among them that cannot be used.
        size: bytes of them all.
    """

    site: str
    split: str | None
    subjects: int
    files: int
    broken: int
    size: int


class Balance(NamedTuple):
    """How often a finding, or class, is there.

    Args:
        target: its name.
        site: where.
        split: its name; None where the manifest names none.
        positive: files with it.
        negative: files without it.
        missing: files that do not say.
        subjects: subjects with it in any file.
    """

    target: str
    site: str
    split: str | None
    positive: int
    negative: int
    missing: int
    subjects: int


def shares(files: pd.DataFrame) -> list[Share]:
    """What each site has in each split.

    Args:
        files: columns ``subject, site, split, broken, size``.
    """
    return [
        Share(site, split, part["subject"].nunique(), len(part), int(part["broken"].sum()), int(part["size"].sum()))
        for site, split, part in _parts(files)
    ]


def balances(files: pd.DataFrame) -> list[Balance]:
    """How often each finding, or class, is there at each site, in each split.

    Args:
        files: columns ``subject, site, split`` and those of labels.

    Example:
        >>> rows = {"subject": list("aab"), "site": "x", "split": None, "label:cyst": [1, 1, 0]}
        >>> balances(pd.DataFrame(rows))[0][3:]
        (2, 1, 0, 1)
    """
    found = []
    for column in label_columns(files):
        for site, split, part in _parts(files):
            label = part[column]
            has = label.eq(1).fillna(False).astype(bool)
            missing = int(label.isna().sum())
            found.append(
                Balance(
                    target=column.removeprefix(PREFIX),
                    site=site,
                    split=split,
                    positive=int(has.sum()),
                    negative=len(part) - int(has.sum()) - missing,
                    missing=missing,
                    subjects=part.loc[has, "subject"].nunique(),
                )
            )
    return found


def _parts(files: pd.DataFrame) -> list[tuple[str, str | None, pd.DataFrame]]:
    """Sites by name, their splits in the usual order."""
    order = {name: place for place, name in enumerate((*SPLITS, ""))}
    keys = files["site"].fillna(""), files["split"].fillna("")
    groups = [(str(site), str(split), part) for (site, split), part in files.groupby(list(keys), sort=True)]
    return [(site, split or None, part) for site, split, part in sorted(groups, key=lambda g: (g[0], order[g[1]]))]
