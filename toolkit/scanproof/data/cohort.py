"""A cohort: the images of one site, who they belong to, and how its scanner acquires."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

#: columns of a cohort's case table; label is missing where a study has no classification. The name of a case is that of
#: its volume, a dash, and the number of the slice
CASE_COLUMNS = {"subject": "string", "case": "string", "split": "string", "label": "Int64"}


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
        cases: one row a slice, with the columns of :data:`CASE_COLUMNS`, in the order of ``images``.
        acquisition: how the site acquires.
        findings: bool (N, 1, H, W), where the finding behind a positive label lies, if known.
    """

    site: str
    images: np.ndarray
    cases: pd.DataFrame
    acquisition: Acquisition
    findings: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[1] != 1 or len(self.images) != len(self.cases):
            raise ScanproofError(
                f"images must have shape ({len(self.cases)}, 1, H, W)", key=self.site, value=self.images.shape
            )
        missing = set(CASE_COLUMNS) - set(self.cases.columns)
        if missing:
            raise ScanproofError("cases must have all declared columns", key=self.site, value=sorted(missing))

    def select(self, split: str) -> Cohort:
        """The cases of one split."""
        rows = (self.cases["split"] == split).to_numpy()
        return Cohort(
            site=self.site,
            images=self.images[rows],
            cases=self.cases[rows].reset_index(drop=True),
            acquisition=self.acquisition,
            findings=None if self.findings is None else self.findings[rows],
        )

    def volumes(self) -> list[slice]:
        """The rows of each volume, in order."""
        names = [str(case).rpartition("-")[0] for case in self.cases["case"]]
        starts = [row for row, name in enumerate(names) if row == 0 or name != names[row - 1]]
        return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(names)], strict=True)]


def case_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """A case table with the declared columns and types."""
    return pd.DataFrame(rows, columns=list(CASE_COLUMNS)).astype(CASE_COLUMNS)
