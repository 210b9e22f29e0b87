from __future__ import annotations

import pytest

from scanproof.errors import ScanproofError
from scanproof.scaling.table import SWEEP_COLUMNS, checked_sweep, conditions, read_sweep


def test_a_table_is_read_from_its_file_and_from_its_folder(sweep, tmp_path):
    sweep.sample(frac=1, random_state=0).to_parquet(tmp_path / "results.parquet")
    for path in (tmp_path, tmp_path / "results.parquet"):
        found = read_sweep(path)
        assert list(found.columns) == list(SWEEP_COLUMNS)
        assert found.equals(sweep)
    assert conditions(sweep) == ["none"]


def test_time_may_be_missing(sweep):
    assert checked_sweep(sweep.drop(columns="seconds"), name="x")["seconds"].isna().all()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda t: t.drop(columns="width"), "x: width: table of a sweep must have this column"),
        (lambda t: t.assign(extra=1), "x: extra: table must have only declared columns"),
        (lambda t: t.assign(split="train"), "x: split: must hold"),
        (lambda t: t.assign(examples=0), "x: examples: must hold"),
        (lambda t: t.assign(value="much"), "x: value: must hold values of type float64"),
        (lambda t: t.assign(value=None), "x: value: must hold"),
        (lambda t: t.iloc[:0], "x: table of a sweep must have rows"),
        (lambda t: t.iloc[[0, 1, 0]], "x: case: must have each case of a training once, got .*'case': 'test-000-0'"),
    ],
)
def test_a_table_of_something_else_is_told(sweep, change, rule):
    with pytest.raises(ScanproofError, match=rule):
        checked_sweep(change(sweep), name="x")


def test_missing_and_unreadable_files_are_told(tmp_path):
    with pytest.raises(ScanproofError, match=r"results of a sweep must exist .*scanproof scaling run"):
        read_sweep(tmp_path)
    (tmp_path / "results.parquet").write_text("no")
    with pytest.raises(ScanproofError, match="must be a parquet file"):
        read_sweep(tmp_path)
