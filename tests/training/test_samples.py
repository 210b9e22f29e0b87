from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from scanproof.training.samples import Joined, Mapped


@given(st.lists(st.lists(st.integers())))
def test_joined_sequences_are_their_concatenation(parts: list[list[int]]) -> None:
    joined, expected = Joined(parts), [item for part in parts for item in part]
    assert list(joined) == expected
    assert [joined[i] for i in range(-len(joined), 0)] == expected
    assert joined[1:-1] == expected[1:-1]
    with pytest.raises(IndexError):
        joined[len(expected)]


def test_items_are_made_when_they_are_asked_for() -> None:
    asked: list[int] = []
    mapped = Mapped(lambda n: asked.append(n) or 2 * n, range(5))
    assert (len(mapped), asked) == (5, [])
    assert (mapped[3], mapped[-1], asked) == (6, 8, [3, 4])
