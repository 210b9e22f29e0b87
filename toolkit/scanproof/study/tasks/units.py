"""What a classifier reads as one case: a slice, or the slices of a volume together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scanproof.data.cohort import volume_rows
from scanproof.data.labels import label_columns
from scanproof.errors import ScanproofError


def volume_images(images: np.ndarray, cases: pd.DataFrame) -> np.ndarray:
    """Slices, float32 (N, 1, H, W), as volumes (V, 1, D, H, W), in the order of the cases.

    Raises:
        ScanproofError: volumes of different numbers of slices.
    """
    rows = volume_rows(cases)
    depths = {part.stop - part.start for part in rows}
    if len(depths) > 1:
        rule = "volumes must have the same number of slices to be read by a classifier of volumes"
        raise ScanproofError(rule, key="dimensions", value=sorted(depths))
    return np.stack([np.moveaxis(images[part], 1, 0) for part in rows])


def volume_cases(cases: pd.DataFrame) -> pd.DataFrame:
    """A case table with one row a volume: it is positive where one of its slices is."""
    rows = volume_rows(cases)
    first = cases.iloc[[part.start for part in rows]].reset_index(drop=True)
    names = [str(name).rpartition("-")[0] for name in first["case"]]
    labels = {
        column: pd.array([cases[column].iloc[part].max() for part in rows], dtype="Int64")
        for column in label_columns(cases)
    }
    return first.assign(case=pd.array(names, dtype="string"), **labels)
