"""What ``scanproof run`` would make of a site's files: splits, cases of each label, and how much that can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd
from scipy import stats

from scanproof.data.cohort import SPLITS
from scanproof.data.labels import PREFIX, label_columns
from scanproof.data.splits import check_labels, split_by_subject
from scanproof.errors import ScanproofError
from scanproof.evaluation.statistics.power import Expected
from scanproof.study.data_plans import Fractions

#: an interval of an AUROC that is wider to either side says little
WIDE: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How well the AUROC of a target would be known at a site.

    Args:
        site: its name.
        target: what is looked for.
        subjects: in the test split.
        positive: share of files with it.
        half_width: of a 95 % interval of an AUROC of 0.8; None where the test split lacks one of the labels.
    """

    site: str
    target: str
    subjects: int
    positive: float
    half_width: float | None


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """What a study could do with the files.

    Args:
        files: that can be used.
        training_site: whose train and val splits it would use by default; None where no file can be used.
        splits: subjects of each site in each split.
        obstacles: why it would not classify; none where it would, or where there are no labels.
        precisions: of each site and target.
    """

    files: int
    training_site: str | None
    splits: dict[str, dict[str, int]]
    obstacles: tuple[str, ...] = ()
    precisions: tuple[Precision, ...] = ()

    @property
    def words(self) -> list[str]:
        """The same in sentences."""
        if self.training_site is None:
            return ["No file can be used."]
        said = [
            f"{self.files} usable files. Networks would be trained at {self.training_site}, which has most subjects."
        ]
        said += list(self.obstacles)
        for one in self.precisions:
            if one.half_width is None:
                continue
            verdict = "too few to tell much" if one.half_width > WIDE else "enough for a first look"
            if one.half_width <= WIDE / 2:
                verdict = "enough to tell models apart that differ clearly"
            said.append(
                f"{one.site}, {one.target}: {one.subjects} test subjects, {100 * one.positive:.0f} % positive; an "
                f"AUROC of 0.8 would be known to ± {one.half_width:.2f}: {verdict} (scanproof power says more)."
            )
        return said


def readiness(files: pd.DataFrame, *, seed: int = 0) -> Readiness:
    """What a study with default settings could do with files that can be used.

    Args:
        files: columns ``subject, site, split, path`` and those of labels; usable files alone.
        seed: of splits that the manifest does not name.
    """
    if files.empty:
        return Readiness(files=0, training_site=None, splits={})
    training = str(files.groupby("site")["subject"].nunique().idxmax())
    parts, obstacles = [], []
    for site, rows in files.groupby("site", sort=True):
        try:
            parts.append(_split(rows, training=site == training, seed=seed, site=str(site)))
        except ScanproofError as error:
            obstacles.append(f"scanproof run would stop: {error}")
    if not parts:
        return Readiness(files=len(files), training_site=training, splits={}, obstacles=tuple(obstacles))
    used = pd.concat(parts)
    if label_columns(files):
        for site, rows in used.groupby("site", sort=True):
            needed = SPLITS if site == training else ("test",)
            try:
                check_labels(rows.assign(case=rows["path"]), splits=tuple(needed), site=str(site))
            except ScanproofError as error:
                obstacles.append(f"scanproof run would not classify: {error}")
    count = used.groupby(["site", "split"])["subject"].nunique()
    splits: dict[str, dict[str, int]] = {
        site: {str(split): int(count.get((site, split), 0)) for split in SPLITS}
        for site in sorted(set(used["site"].astype(str)))
    }
    tested = used[used["split"] == "test"]
    return Readiness(
        files=len(files),
        training_site=training,
        splits=splits,
        obstacles=tuple(obstacles),
        precisions=tuple(_precisions(tested)),
    )


def _split(rows: pd.DataFrame, *, training: bool, seed: int, site: str) -> pd.DataFrame:
    if rows["split"].isna().all():
        fractions = Fractions().model_dump() if training else {"test": 1.0}
        return rows.assign(split=split_by_subject(rows, fractions=fractions, seed=seed))
    tested = rows if training else rows[rows["split"] == "test"]
    if tested.empty:
        raise ScanproofError("site must have cases in the test split", key=f"site {site!r}")
    return tested


def _precisions(tested: pd.DataFrame) -> list[Precision]:
    found = []
    for site, rows in tested.groupby("site", sort=True):
        subjects = rows["subject"].nunique()
        for column in label_columns(rows):
            known = rows[column].dropna()
            share = float(known.mean()) if len(known) else 0.0
            width = None
            if 0 < share < 1:
                expected = Expected(prevalence=share, slices=max(1, round(len(rows) / subjects)))
                width = float(stats.norm.ppf(0.975)) * expected.standard_error(subjects)
            name = column.removeprefix(PREFIX)
            found.append(Precision(site=str(site), target=name, subjects=subjects, positive=share, half_width=width))
    return found
