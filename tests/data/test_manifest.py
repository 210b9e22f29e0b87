from __future__ import annotations

from pathlib import Path

import pytest

from scanproof.data.manifest import read_manifest
from scanproof.errors import ScanproofError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.nii.gz", "b.nii.gz", "c ü.nii.gz"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "cohort.csv"
    path.write_text(text, encoding=encoding)
    return path


def read(folder: Path, text: str, *, labelled: bool = True):
    return read_manifest(write(folder, text), root=folder, labelled=labelled)


def test_reads_and_orders(folder: Path) -> None:
    table = read(folder, "path,label,site,subject,age\nb.nii.gz,1,x,s2,44\na.nii.gz,0,x,s1,30\nc ü.nii.gz,1,y,s3,\n")
    assert table["subject"].tolist() == ["s1", "s2", "s3"]
    assert table["label"].tolist() == [0, 1, 1]
    assert table["split"].isna().all()
    assert table["path"].tolist() == [str((folder / n).resolve()) for n in ("a.nii.gz", "b.nii.gz", "c ü.nii.gz")]


def test_a_byte_order_mark_as_excel_writes_it_is_read(folder: Path) -> None:
    path = write(folder, "subject,site,path,label\ns1,x,a.nii.gz,1\n", encoding="utf-8-sig")
    assert len(read_manifest(path, root=folder, labelled=True)) == 1


def test_labels_may_be_left_out_where_nothing_is_classified(folder: Path) -> None:
    assert read(folder, "subject,site,path\ns1,x,a.nii.gz\n", labelled=False)["label"].isna().all()


HEAD = "subject,site,path,label,split\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,site,path\ns1,x,a.nii.gz\n", "cohort.csv: label: manifest must have this column"),
        ("subject,site,path,label\n", "manifest must have at least one row"),
        ("", "must be a readable UTF-8 CSV file"),
        (HEAD + "s1,x,a.nii.gz,,\n", "line 2: label must not be empty"),
        (HEAD + "s1,x,a.nii.gz,1,\n,x,b.nii.gz,1,\n", "line 3: subject must not be empty"),
        (HEAD + "s1,x,a.nii.gz,2,\n", "line 2, label: label must be 0 or 1, got '2'"),
        (HEAD + "s1,x,absent.nii.gz,1,\n", "line 2, path: file must exist, got 'absent.nii.gz'"),
        (HEAD + "s1,x,a.nii.gz,1,\ns2,x,a.nii.gz,1,\n", "line 3, path: each file must be listed once, line 2 has it"),
        (HEAD + "s1,x,a.nii.gz,1,train\ns1,x,b.nii.gz,1,test\n", "subject s1: a subject must lie in one split only"),
        (HEAD + "s1,x,a.nii.gz,1,train\ns2,x,b.nii.gz,1,\n", "line 3, split: split must be one of train, val, test in"),
        (HEAD + "s1,x,a.nii.gz,1,tset\n", "line 2, split: split must be one of train, val, test.*got 'tset'"),
        (HEAD + "s1,x,a.nii.gz,1,\ns1,y,b.nii.gz,1,\n", "subject s1: a subject must belong to one site, got"),
    ],
)
def test_errors_name_line_column_rule_and_value(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        read(folder, text)


def test_missing_and_binary_files(folder: Path) -> None:
    with pytest.raises(ScanproofError, match="manifest must be an existing CSV file"):
        read_manifest(folder / "none.csv", root=folder, labelled=True)
    path = folder / "cohort.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ScanproofError, match="must be a readable UTF-8 CSV file"):
        read_manifest(path, root=folder, labelled=True)
