from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanproof.errors import ScanproofError
from scanproof.scaling.axes import axis
from scanproof.scaling.envelope import best_widths


def table(means: dict[tuple[int, int], float], *, metric: str = "ssim", split: str = "val") -> pd.DataFrame:
    """Rows whose mean over two seeds and two cases is as given, of each number of examples and width."""
    rows = [
        {"examples": n, "width": w, "seed": s, "case": c, "value": mean + 0.1 * (-1) ** s + 0.2 * (-1) ** c}
        for (n, w), mean in means.items()
        for s in (0, 1)
        for c in (0, 1)
    ]
    return pd.DataFrame(rows).assign(parameters=lambda t: t["width"] * 7, metric=metric, split=split, shift="none")


def test_the_width_is_chosen_on_validation_cases_alone():
    val = table({(10, 4): 0.6, (10, 8): 0.7, (10, 16): 0.5, (20, 4): 0.1, (20, 8): 0.2, (20, 16): 0.3})
    test = table({(n, w): 1 / w for n in (10, 20) for w in (4, 8, 16)}, split="test")
    shifted = table({(n, w): 1 / w for n in (10, 20) for w in (4, 8, 16)}).assign(shift="noise")
    found = best_widths(pd.concat([val, test, shifted]), axis("ssim"))
    assert [(b.examples, b.width, b.parameters, b.edge, b.widths) for b in found] == [
        (10, 8, 56, "inside", 3),
        (20, 16, 112, "largest", 3),
    ]
    np.testing.assert_allclose([b.validation for b in found], [0.7, 0.3])
    # 1 - SSIM is best where SSIM is
    assert best_widths(pd.concat([val, test]), axis("dssim")) == found


@pytest.mark.parametrize(("values", "width", "edge"), [((3, 2, 1), 16, "largest"), ((1, 2, 3), 4, "smallest")])
def test_of_an_error_the_least_is_best_and_ends_of_the_grid_are_told(values, width, edge):
    rows = table(dict(zip([(5, 4), (5, 8), (5, 16)], values, strict=True)), metric="mse")
    (found,) = best_widths(rows, axis("mse"))
    assert (found.width, found.edge) == (width, edge)


def test_of_equal_widths_the_smaller_is_taken_and_a_single_one_is_told():
    assert best_widths(table({(5, 8): 0.5, (5, 4): 0.5, (5, 2): 0.1}), axis("ssim"))[0].width == 4
    assert best_widths(table({(5, 8): 0.5}), axis("ssim"))[0].edge == "only"


def test_examples_without_validation_cases_are_told():
    rows = pd.concat([table({(5, 8): 0.5}), table({(6, 8): 0.5}, split="test")])
    with pytest.raises(ScanproofError, match=r"examples: sweep must have validation cases with ssim.*got \[6\]"):
        best_widths(rows, axis("ssim"))
