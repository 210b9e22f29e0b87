import numpy as np
import pandas as pd
import pytest

from scanproof.data.cohort import Acquisition, Cohort, case_table
from scanproof.data.labels import label_columns, label_values, labels_of, targets_of
from scanproof.errors import ScanproofError

ACQUISITION = Acquisition(coils=4, snr=20.0, spacing=(2.0, 2.0))


def cohort(labels: list[tuple[int | None, ...]], *, targets: tuple[str, ...], exclusive: bool = False) -> Cohort:
    rows = [
        {"subject": f"s{n}", "case": f"s{n}-0", "split": ("train", "test")[n % 2], **label_values(targets, row)}
        for n, row in enumerate(labels)
    ]
    return Cohort(
        site="x",
        images=np.zeros((len(labels), 1, 4, 4), np.float32),
        cases=case_table(rows, targets=targets),
        acquisition=ACQUISITION,
        targets=targets,
        exclusive=exclusive,
    )


def test_a_cohort_keeps_its_targets_in_every_split() -> None:
    whole = cohort([(1, 0), (0, 1), (1, 1)], targets=("right", "left"))
    train = whole.select("train")
    assert (train.targets, train.exclusive) == (("right", "left"), False)
    assert label_columns(train.cases) == ["label:right", "label:left"]
    assert labels_of(train.cases).tolist() == [[1, 0], [1, 1]]
    assert (train.cases[label_columns(train.cases)].dtypes == "Int64").all()


def test_a_cohort_without_targets_has_no_labels() -> None:
    whole = cohort([(), ()], targets=())
    assert targets_of(whole.cases) == ()
    assert labels_of(whole.cases).shape == (2, 0)


def test_missing_labels_are_named() -> None:
    with pytest.raises(ScanproofError, match="label:b: every case needs a label, got '2 without'"):
        labels_of(cohort([(1, None), (0, 0), (0, None)], targets=("a", "b")).cases)


@pytest.mark.parametrize(("row", "found"), [((0, 0), r"\[\]"), ((1, 1), r"\['a', 'b'\]")])
def test_a_case_has_one_class(row: tuple[int, ...], found: str) -> None:
    assert cohort([(1, 0), (None, None), (0, 1)], targets=("a", "b"), exclusive=True).exclusive
    with pytest.raises(ScanproofError, match=f"x, case s1-0: a case must have exactly one class, got {found}"):
        cohort([(1, 0), row], targets=("a", "b"), exclusive=True)


def test_targets_and_columns_must_agree() -> None:
    whole = cohort([(1, 0)], targets=("a", "b"))
    for targets in ((), ("a",), ("b", "a")):
        with pytest.raises(ScanproofError, match="x: cases must have one column of labels for each of the targets"):
            Cohort(site="x", images=whole.images, cases=whole.cases, acquisition=ACQUISITION, targets=targets)


def test_labels_survive_a_file(tmp_path) -> None:
    table = cohort([(1, None), (0, 1)], targets=("no tumour", "ü")).cases
    table.to_parquet(tmp_path / "cases.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "cases.parquet"), table)
