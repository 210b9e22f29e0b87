from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from scanproof.reporting.curves import extract_curves
from scanproof.reporting.intervals import interval_chart, ticks
from scanproof.reporting.ranking import rank_chains
from scanproof.reporting.tables import RankRow, ranking_rows
from scanproof.reporting.vocabulary import Chain, Estimate


@given(low=st.floats(-40, 40), span=st.floats(1e-3, 50))
@settings(max_examples=30, deadline=None)
def test_ticks_are_round_even_inside_and_labelled_exactly(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 7
    for place, label in found:
        assert low - 1e-6 <= place <= low + span + 1e-6
        assert float(label) == pytest.approx(place, abs=1e-9)
    gaps = [right[0] - left[0] for left, right in pairwise(found)]
    assert all(gap == pytest.approx(gaps[0]) for gap in gaps)
    assert len({label for _, label in found}) == len(found)


def test_marks_keep_the_order_and_distances_of_the_numbers(standard: Any) -> None:
    rows = ranking_rows(rank_chains(standard.results, extract_curves(standard.results)))
    chart = interval_chart(rows)
    scale = [(label, place) for place, label in chart.ticks]
    (first, left), (last, right) = scale[0], scale[-1]
    per_unit = (right - left) / (float(last) - float(first))
    for row, marks in zip(rows, chart.rows, strict=True):
        assert row.shifted is not None
        for value, place in zip(row.shifted, marks[1:], strict=True):
            assert value is not None
            assert place == pytest.approx(left + per_unit * (value - float(first)), abs=0.05)
        assert all(0 <= place <= 100 for place in marks if place is not None)


def test_equal_scores_and_missing_numbers_are_drawn_without_failing() -> None:
    row = RankRow(1, Chain("unet", 4.0), None, Estimate(0.5), None, None, "only one")
    assert interval_chart([row, row]).rows[0] == (None, 50.0, None, None)
    nothing = RankRow(1, Chain("unet", 4.0), Estimate(float("nan")), None, None, None, "only one")
    assert interval_chart([nothing]).rows[0] == (None, None, None, None)
