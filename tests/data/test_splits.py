import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scanproof.data.splits import check_labels, check_splits, split_by_subject
from scanproof.errors import ScanproofError

FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}


@settings(max_examples=30, deadline=None)
@given(st.integers(10, 60), st.integers(1, 4), st.floats(0.2, 0.8), st.integers(0, 1000))
def test_subjects_stay_whole_and_shares_hold(subjects: int, slices: int, positives: float, seed: int) -> None:
    cases = pd.DataFrame(
        {
            "subject": [f"s{i}" for i in range(subjects) for _ in range(slices)],
            "label": [int(i < positives * subjects) for i in range(subjects) for _ in range(slices)],
        }
    )
    split = split_by_subject(cases, fractions=FRACTIONS, seed=seed)
    by_subject = cases.assign(split=split).groupby("subject")["split"]
    assert (by_subject.nunique() == 1).all()
    counts = by_subject.first().value_counts()
    for name, share in FRACTIONS.items():
        assert abs(counts.get(name, 0) - share * subjects) <= 2


def test_both_labels_reach_every_split() -> None:
    cases = pd.DataFrame({"subject": [f"s{i}" for i in range(20)], "label": [int(i < 5) for i in range(20)]})
    split = split_by_subject(cases, fractions=FRACTIONS, seed=1)
    assert cases.groupby(split)["label"].nunique().eq(2).all()


def test_split_does_not_depend_on_row_order() -> None:
    cases = pd.DataFrame({"subject": [f"s{i}" for i in range(12)], "label": [i % 2 for i in range(12)]})
    first = dict(zip(cases["subject"], split_by_subject(cases, fractions=FRACTIONS, seed=1), strict=True))
    turned = cases.iloc[::-1]
    assert first == dict(zip(turned["subject"], split_by_subject(turned, fractions=FRACTIONS, seed=1), strict=True))


def test_fewer_subjects_than_splits() -> None:
    cases = pd.DataFrame({"subject": ["a", "b"], "label": [0, 1]})
    with pytest.raises(ScanproofError, match="at least 3 subjects are needed for the splits train, val, test, got 2"):
        split_by_subject(cases, fractions=FRACTIONS, seed=1)


def test_a_subject_in_two_splits_is_named() -> None:
    cases = pd.DataFrame({"subject": ["a", "a", "b"], "split": ["train", "test", "test"]})
    with pytest.raises(ScanproofError, match=r"m.csv: subject a: a subject must lie in one split only, got \['test'"):
        check_splits(cases, file="m.csv")


def test_one_class_is_named() -> None:
    cases = pd.DataFrame({"case": ["a", "b"], "split": ["test", "test"], "label": [1, 1]})
    with pytest.raises(ScanproofError, match=r"site 'x', split test: split must hold cases of both labels 0 and 1"):
        check_labels(cases, splits=("test",), site="x")
