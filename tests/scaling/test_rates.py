"""The search for a learning rate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from scanproof.errors import ScanproofError
from scanproof.scaling.rates import doubling_search


@given(best=st.integers(0, 8), start=st.floats(1e-5, 1e-2))
def test_a_valley_is_found_and_one_rate_beyond_it_is_tried(best: int, start: float) -> None:
    found = doubling_search(lambda rate: abs(math.log2(rate / start) - best), start=start, most=12)
    assert found.rate == pytest.approx(start * 2**best)
    assert len(found.tried) == best + 2
    assert not found.at_edge


def test_the_last_rate_is_at_the_edge() -> None:
    found = doubling_search(lambda rate: -rate, start=1e-4, most=4)
    assert found.rate == pytest.approx(8e-4)
    assert found.at_edge


def test_divergence_ends_the_search() -> None:
    found = doubling_search(lambda rate: math.inf if rate > 3 else -rate, start=1, most=9)
    assert (found.rate, found.at_edge) == (2, False)


def test_a_start_that_diverges_is_halved() -> None:
    found = doubling_search(lambda rate: math.nan if rate > 0.3 else rate, start=1, most=9)
    assert found.rate == 0.25


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"start": 0.0, "most": 2}, "first learning rate must be positive, got 0.0"),
        ({"start": 1.0, "most": 0}, "most: must be at least 1, got 0"),
        ({"start": 1.0, "most": 2, "factor": 1.0}, "factor must be above 1, got 1.0"),
        ({"start": 1.0, "most": 2}, r"training must stay finite at one of the rates, got \[1.0, 0.5\]"),
    ],
)
def test_errors_name_the_value(options, rule: str) -> None:
    with pytest.raises(ScanproofError, match=rule):
        doubling_search(lambda rate: math.nan, **options)
