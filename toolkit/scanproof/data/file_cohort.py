"""A cohort from files, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from scanproof.data.cohort import Acquisition, Cohort, case_table
from scanproof.data.labels import label_values
from scanproof.data.manifest import LabelledFile

#: what a report says of k-space that is made from images
SIMULATED: Final[Mapping[str, str]] = {"coils and noise": "simulated from magnitude images"}


def file_cohort(
    site: str,
    files: Sequence[LabelledFile],
    read: Callable[[Path], np.ndarray],
    *,
    targets: Sequence[str],
    exclusive: bool,
    matrix: Sequence[int],
    acquisition: Acquisition,
) -> Cohort:
    """The cohort of one site from its files, read one after the other.

    Cases are named by their subject, the number of the file among the subject's, and the number of the slice where a
    file has several.

    Args:
        site: the site's name.
        files: of the site, with their labels; a slice takes its file's.
        read: gives the magnitude images of a file, float32 (H, W) of a single image or (slices, H, W), not negative,
            the 99th percentile at one.
        targets: what the labels are about.
        exclusive: they are classes, of which each file has one.
        matrix: (H, W).
        acquisition: how the site acquires.

    Raises:
        ScanproofError: what ``read`` says is wrong with a file.
    """
    images: list[np.ndarray] = [np.zeros((0, *matrix), np.float32)]
    rows: list[dict[str, object]] = []
    files_of: dict[str, int] = {}
    for subject, path, labels, split in files:
        found = read(Path(path))
        number = files_of[subject] = files_of.get(subject, -1) + 1
        name = f"{subject}-{number}"
        cases = [name] if found.ndim == 2 else [f"{name}-{k}" for k in range(len(found))]
        images.append(found.reshape(-1, *matrix))
        rows += [{"subject": subject, "case": case, "split": split, **label_values(targets, labels)} for case in cases]
    return Cohort(
        site=site,
        images=np.concatenate(images)[:, None],
        cases=case_table(rows, targets=targets),
        targets=tuple(targets),
        exclusive=exclusive,
        acquisition=acquisition,
    )
