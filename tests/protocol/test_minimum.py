"""The fewest subjects that decide a protocol."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from scanproof.protocol.minimum import Counts, Minimum, count, lacking, subjects_for


@settings(deadline=None)
@given(st.floats(0.01, 1), st.floats(0.01, 0.5), st.sampled_from([0.9, 0.95, 0.99]))
def test_subjects_are_the_fewest_that_suffice(spread: float, half_width: float, confidence: float) -> None:
    def width(subjects: int) -> float:
        return float(stats.t.interval(confidence, subjects - 1, scale=spread / subjects**0.5)[1])

    subjects = subjects_for(half_width, spread=spread, confidence=confidence)
    assert width(subjects) <= half_width * (1 + 1e-9)
    assert subjects == 2 or width(subjects - 1) > half_width * (1 - 1e-9)


def test_subjects_are_counted_once_for_each_label_that_they_have() -> None:
    cases = pd.DataFrame({"subject": ["a", "a", "b", "c"]}).assign(
        **{
            "label:lesion": pd.array([1, 1, 0, None], "Int64"),
            "label:other": pd.array([1, 0, 0, 0], "Int64"),
            "label:unknown": pd.array([None] * 4, "Int64"),
        }
    )
    found = count(cases)
    assert found.labels == {"lesion": {"positive": 1, "negative": 1}, "other": {"positive": 1, "negative": 3}}
    assert (found.subjects, found.cases) == (3, 4)


@pytest.mark.parametrize(("subjects", "cases", "positives", "said"), [(10, 20, 4, 0), (9, 20, 4, 1), (2, 2, 1, 3)])
def test_what_is_lacking_is_said(subjects: int, cases: int, positives: int, said: int) -> None:
    minimum = Minimum(subjects=10, cases=20, positives=4, negatives=2, how="agreed")
    found = Counts(subjects=subjects, cases=cases, labels={"lesion": {"positive": positives, "negative": 2}})
    assert len(lacking(minimum, found)) == said
