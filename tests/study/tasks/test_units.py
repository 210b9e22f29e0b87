"""What a classifier of volumes reads as one case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from scanproof.data.cohort import case_table
from scanproof.errors import ScanproofError
from scanproof.study.tasks.units import volume_cases, volume_images


def cases(depths: list[int], labels: list[list[int]] | None = None) -> pd.DataFrame:
    """A case table of volumes with so many slices; the label of a slice is one of two targets' in turn."""
    rows = [
        {"subject": f"s-{volume}", "case": f"s-{volume}-{slice_}", "split": "test"}
        | {"label:left": labels[volume][slice_] if labels else 0, "label:right": 0}
        for volume, depth in enumerate(depths)
        for slice_ in range(depth)
    ]
    return case_table(rows, targets=["left", "right"])


def test_slices_are_stacked_in_depth() -> None:
    images = np.random.default_rng(1).random((6, 1, 4, 5)).astype(np.float32)
    volumes = volume_images(images, cases([3, 3]))
    assert volumes.shape == (2, 1, 3, 4, 5)
    for volume in range(2):
        for depth in range(3):
            np.testing.assert_array_equal(volumes[volume, 0, depth], images[3 * volume + depth, 0])


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=4), min_size=1, max_size=5))
def test_a_volume_is_positive_where_one_of_its_slices_is(labels: list[list[int]]) -> None:
    found = volume_cases(cases([len(slices) for slices in labels], labels))
    assert found["label:left"].tolist() == [max(slices) for slices in labels]
    assert found["label:right"].eq(0).all()
    assert found["case"].tolist() == found["subject"].tolist()
    assert found["case"].is_unique
    assert found.dtypes.equals(cases([1]).dtypes)


def test_volumes_of_different_depth_cannot_be_read_together() -> None:
    images = np.zeros((5, 1, 4, 4), np.float32)
    with pytest.raises(ScanproofError, match=r"dimensions: volumes must have the same number .*, got \[2, 3\]"):
        volume_images(images, cases([3, 2]))
