"""A cohort: the images of one site, who they belong to, and how its scanner acquires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from scanproof.data.labels import label_column, targets_of
from scanproof.data.scans import Scans
from scanproof.errors import ScanproofError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

#: columns of a cohort's case table; one of labels for each target follows (see :mod:`scanproof.data.labels`). The name
#: of a case is that of its volume, a dash, and the number of the slice
CASE_COLUMNS = {"subject": "string", "case": "string", "split": "string"}


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """How a site's scanner acquires: what is simulated when k-space is made from its images.

    Args:
        coils: number of receive coils.
        snr: mean signal inside the object over the noise's standard deviation (per real and imaginary part) in
            the coil-combined, fully sampled image.
        spacing: in-plane voxel size in mm, (row, column).
        slice_distance: mm between the centres of neighbouring slices, where they lie next to each other.
        facts: further facts for the report, e.g. field strength and sequence.
    """

    coils: int
    snr: float
    spacing: tuple[float, float]
    slice_distance: float | None = None
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Slices of one site with their labels.

    Args:
        site: the site's name.
        images: float32 (N, 1, H, W), magnitude, not negative; a volume's 99th percentile is about one.
        cases: one row a slice, with the columns of :data:`CASE_COLUMNS` and one of labels (Int64; 0, 1 or missing) for
            each target, in the order of ``images``.
        acquisition: how the site acquires.
        targets: what the labels are about; none where nothing is classified.
        exclusive: a case has exactly one of the targets: they are classes. Otherwise each stands for itself.
        findings: bool (N, 1, H, W), where the finding behind a positive label lies, if known.
        scans: the k-space that was measured of them, in the order of ``images``; without it, k-space is simulated.

    Raises:
        ScanproofError: images, cases, scans and targets that do not fit each other, an exclusive label that names no
            class or several.
    """

    site: str
    images: np.ndarray
    cases: pd.DataFrame
    acquisition: Acquisition
    targets: tuple[str, ...] = ()
    exclusive: bool = False
    findings: np.ndarray | None = None
    scans: Scans | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[1] != 1 or len(self.images) != len(self.cases):
            raise ScanproofError(
                f"images must have shape ({len(self.cases)}, 1, H, W)", key=self.site, value=self.images.shape
            )
        if self.scans is not None and len(self.scans) != len(self.images):
            rule = f"there must be a scan of each of {len(self.images)} images"
            raise ScanproofError(rule, key=self.site, value=len(self.scans))
        missing = set(CASE_COLUMNS) - set(self.cases.columns)
        if missing:
            raise ScanproofError("cases must have all declared columns", key=self.site, value=sorted(missing))
        if targets_of(self.cases) != self.targets:
            rule = f"cases must have one column of labels for each of the targets {list(self.targets)}"
            raise ScanproofError(rule, key=self.site, value=list(targets_of(self.cases)))
        if self.exclusive:
            self._check_classes()

    def _check_classes(self) -> None:
        labels = self.cases[[label_column(target) for target in self.targets]]
        wrong = np.flatnonzero(labels.notna().any(axis=1) & (labels.sum(axis=1) != 1))
        if len(wrong):
            case = str(self.cases["case"].iloc[wrong[0]])
            found = [target for target in self.targets if labels[label_column(target)].iloc[wrong[0]] == 1]
            raise ScanproofError("a case must have exactly one class", key=f"{self.site}, case {case}", value=found)

    def select(self, split: str) -> Cohort:
        """The cases of one split."""
        rows = (self.cases["split"] == split).to_numpy()
        return replace(
            self,
            images=self.images[rows],
            cases=self.cases[rows].reset_index(drop=True),
            findings=None if self.findings is None else self.findings[rows],
            scans=None if self.scans is None else self.scans.select(rows),
        )

    def volumes(self) -> list[slice]:
        """The rows of each volume, in order."""
        return volume_rows(self.cases)


def volume_rows(cases: pd.DataFrame) -> list[slice]:
    """The rows of each volume in a case table, in order.

    Example:
        >>> volume_rows(pd.DataFrame({"case": ["a-0", "a-1", "b-0"]}))
        [slice(0, 2, None), slice(2, 3, None)]
    """
    names = [str(case).rpartition("-")[0] for case in cases["case"]]
    starts = [row for row, name in enumerate(names) if row == 0 or name != names[row - 1]]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(names)], strict=True)]


def case_table(rows: Sequence[Mapping[str, object]], *, targets: Sequence[str]) -> pd.DataFrame:
    """A case table with the declared columns and types.

    Args:
        rows: a value for each column; a label that is left out is missing.
        targets: what the labels are about.
    """
    columns = {**CASE_COLUMNS, **{label_column(target): "Int64" for target in targets}}
    return pd.DataFrame(list(rows), columns=list(columns)).astype(columns)
