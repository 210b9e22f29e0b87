"""Nested training sets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from scanproof.errors import ScanproofError
from scanproof.scaling.examples import check_disjoint, nested_order, nested_subset

SUBJECTS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30)


@given(subjects=SUBJECTS, seed=st.integers(0, 2**32 - 1), data=st.data())
def test_a_set_lies_in_every_larger_one(subjects: list[str], seed: int, data: st.DataObject) -> None:
    small, large = sorted(data.draw(st.tuples(*[st.integers(1, len(subjects))] * 2)))
    chosen = nested_subset(subjects, size=large, seed=seed).tolist()
    assert nested_subset(subjects, size=small, seed=seed).tolist() == chosen[:small]
    assert len(set(chosen)) == large


@given(subjects=SUBJECTS, seed=st.integers(0, 2**32 - 1))
def test_subjects_join_one_by_one(subjects: list[str], seed: int) -> None:
    order = nested_order(subjects, seed=seed).tolist()
    assert sorted(order) == list(range(len(subjects)))
    names = [subjects[row] for row in order]
    changes = sum(a != b for a, b in itertools.pairwise(names))
    assert changes == len(set(subjects)) - 1


def test_another_seed_gives_another_order() -> None:
    subjects = [f"s{number}" for number in range(20)]
    assert nested_order(subjects, seed=1).tolist() != nested_order(subjects, seed=2).tolist()


@pytest.mark.parametrize("size", [0, 4])
def test_no_more_than_there_are(size: int) -> None:
    with pytest.raises(ScanproofError, match=rf"^examples: must be in \[1, 3\], .* got {size}"):
        nested_subset(["a", "b", "b"], size=size, seed=1)


def test_a_subject_in_two_splits_is_refused() -> None:
    check_disjoint({"train": ["a", "a"], "val": ["b"], "test": ["c"]})
    with pytest.raises(ScanproofError, match="train and test: subject must be in one split, got 'a'"):
        check_disjoint({"train": ["a", "a"], "val": ["b"], "test": ["a"]})
