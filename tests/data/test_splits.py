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
            "label:lesion": [int(i < positives * subjects) for i in range(subjects) for _ in range(slices)],
        }
    )
    split = split_by_subject(cases, fractions=FRACTIONS, seed=seed)
    by_subject = cases.assign(split=split).groupby("subject")["split"]
    assert (by_subject.nunique() == 1).all()
    counts = by_subject.first().value_counts()
    for name, share in FRACTIONS.items():
        assert abs(counts.get(name, 0) - share * subjects) <= 2


def test_both_labels_reach_every_split() -> None:
    cases = pd.DataFrame({"subject": [f"s{i}" for i in range(20)], "label:lesion": [int(i < 5) for i in range(20)]})
    split = split_by_subject(cases, fractions=FRACTIONS, seed=1)
    assert cases.groupby(split)["label:lesion"].nunique().eq(2).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=12, max_size=60), st.integers(0, 1000))
def test_every_target_is_shared_out(labels: list[tuple[bool, ...]], seed: int) -> None:
    columns = {f"label:{name}": [int(row[k]) for row in labels] for k, name in enumerate("abc")}
    cases = pd.DataFrame({"subject": [f"s{i}" for i in range(len(labels))], **columns})
    split = split_by_subject(cases, fractions=FRACTIONS, seed=seed)
    for name, share in FRACTIONS.items():
        assert abs((split == name).sum() - share * len(cases)) <= 4
    counts = cases[list(columns)].groupby(split).sum().reindex(FRACTIONS, fill_value=0)
    total = cases[list(columns)].sum()
    rarest = total[total > 0].idxmin() if total.any() else None
    if rarest and total[rarest] >= len(FRACTIONS):
        assert (counts[rarest] > 0).all()
    for column in columns:  # never far from its share, though subjects of one target belong to others
        assert (counts[column] - total[column] * pd.Series(FRACTIONS)).abs().max() <= 4


def test_rare_classes_reach_every_split() -> None:
    """Thirty subjects, of which two classes have but three: chance alone would miss a split of five."""
    names = ["rare"] * 3 + ["odd"] * 3 + ["usual"] * 24
    cases = pd.DataFrame({"subject": [f"s{i}" for i in range(30)]})
    for name in ("odd", "rare", "usual"):
        cases[f"label:{name}"] = [int(name == own) for own in names]
    for seed in range(20):
        split = split_by_subject(cases, fractions=FRACTIONS, seed=seed)
        assert cases.drop(columns="subject").groupby(split).max().eq(1).all(axis=None)
        assert split.value_counts().between(5, 19).all()


def test_cases_without_labels_are_split() -> None:
    cases = pd.DataFrame({"subject": [f"s{i}" for i in range(20)]})
    assert split_by_subject(cases, fractions=FRACTIONS, seed=1).value_counts().to_dict() == {
        "train": 12,
        "val": 4,
        "test": 4,
    }


def test_split_does_not_depend_on_row_order() -> None:
    cases = pd.DataFrame({"subject": [f"s{i}" for i in range(12)], "label:lesion": [i % 2 for i in range(12)]})
    first = dict(zip(cases["subject"], split_by_subject(cases, fractions=FRACTIONS, seed=1), strict=True))
    turned = cases.iloc[::-1]
    assert first == dict(zip(turned["subject"], split_by_subject(turned, fractions=FRACTIONS, seed=1), strict=True))


def test_fewer_subjects_than_splits() -> None:
    cases = pd.DataFrame({"subject": ["a", "b"], "label:lesion": [0, 1]})
    with pytest.raises(ScanproofError, match="at least 3 subjects are needed for the splits train, val, test, got 2"):
        split_by_subject(cases, fractions=FRACTIONS, seed=1)


def test_a_subject_in_two_splits_is_named() -> None:
    cases = pd.DataFrame({"subject": ["a", "a", "b"], "split": ["train", "test", "test"]})
    with pytest.raises(ScanproofError, match=r"m.csv: subject a: a subject must lie in one split only, got \['test'"):
        check_splits(cases, file="m.csv")


def test_one_class_is_named() -> None:
    cases = pd.DataFrame({"case": ["a", "b"], "split": ["test", "test"], "label:lesion": [1, 1]})
    with pytest.raises(
        ScanproofError,
        match=r"site 'x', split test: split must hold .* without 'lesion', .*got \[1\]",
    ):
        check_labels(cases, splits=("test",), site="x")


def test_every_target_and_every_case_is_checked() -> None:
    cases = pd.DataFrame({"case": ["a", "b"], "split": ["test", "test"], "label:x": [1, 0], "label:y": [0, pd.NA]})
    with pytest.raises(ScanproofError, match=r"m.csv: site 's', case b, y: every case needs a label"):
        check_labels(cases, splits=("test",), site="s", file="m.csv")
    cases["label:y"] = [0, 0]
    with pytest.raises(ScanproofError, match=r"split test: split must hold cases with and without 'y'.*got \[0\]"):
        check_labels(cases, splits=("test",), site="s")
    check_labels(cases.drop(columns="label:y"), splits=("test",), site="s")
