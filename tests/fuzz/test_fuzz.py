"""A short run of the kinds of inputs that are quick to make; ``make fuzz`` is the long one."""

from __future__ import annotations

import pytest

from fuzz.harness import run
from fuzz.run import wrong


@pytest.mark.parametrize(
    ("name", "count"),
    [("yaml", 60), ("study", 60), ("nifti", 50), ("fastmri", 40), ("manifest_csv", 40), ("export", 30)],
)
def test_inputs_end_in_a_result_or_in_one_line(name: str, count: int) -> None:
    outcomes = list(run(name, range(count), seed=7))
    assert [found for found in outcomes if wrong(found)] == []
    assert "refused" in {found.state for found in outcomes}
