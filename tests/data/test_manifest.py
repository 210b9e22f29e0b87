from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from scanproof.data.labels import labels_of
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
    manifest = read(folder, "path,label,site,subject,age\nb.nii.gz,1,x,s2,44\na.nii.gz,0,x,s1,30\nc ü.nii.gz,1,y,s3,\n")
    table = manifest.table
    assert table["subject"].tolist() == ["s1", "s2", "s3"]
    assert (manifest.targets, manifest.exclusive) == (("label",), False)
    assert table["label:label"].tolist() == [0, 1, 1]
    assert table["place"].tolist() == ["line 3", "line 2", "line 4"]
    assert table["split"].isna().all()
    assert table["path"].tolist() == [str((folder / n).resolve()) for n in ("a.nii.gz", "b.nii.gz", "c ü.nii.gz")]


def test_a_byte_order_mark_as_excel_writes_it_is_read(folder: Path) -> None:
    path = write(folder, "subject,site,path,label\ns1,x,a.nii.gz,1\n", encoding="utf-8-sig")
    assert len(read_manifest(path, root=folder, labelled=True).table) == 1


def test_labels_may_be_left_out_where_nothing_is_classified(folder: Path) -> None:
    for text in ("subject,site,path\ns1,x,a.nii.gz\n", "subject,site,path,label\ns1,x,a.nii.gz,\n"):
        assert read(folder, text, labelled=False).targets == ()
    half = read(folder, "subject,site,path,label\ns1,x,a.nii.gz,\ns2,x,b.nii.gz,1\n", labelled=False)
    assert half.table["label:label"].tolist() == [pd.NA, 1]


THREE = "subject,site,path,{}\ns1,x,a.nii.gz,{}\ns2,x,b.nii.gz,{}\ns3,x,c ü.nii.gz,{}\n"


def test_words_are_classes(folder: Path) -> None:
    manifest = read(folder, THREE.format("label", "meningioma", " no tumour", "glioma "))
    assert manifest.exclusive
    assert manifest.targets == ("glioma", "meningioma", "no tumour")
    assert labels_of(manifest.table).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_whole_numbers_beyond_one_are_classes(folder: Path) -> None:
    manifest = read(folder, THREE.format("label", 2, 10, 0))
    assert (manifest.exclusive, manifest.targets) == (True, ("0", "10", "2"))
    assert labels_of(manifest.table).argmax(axis=1).tolist() == [2, 1, 0]


def test_several_columns_are_findings_that_stand_for_themselves(folder: Path) -> None:
    manifest = read(folder, THREE.format("label_tear,label_cyst", "1,1", "0,1", "0,0"))
    assert (manifest.exclusive, manifest.targets) == (False, ("cyst", "tear"))
    assert labels_of(manifest.table).tolist() == [[1, 1], [1, 0], [0, 0]]


def test_a_class_that_is_not_known_is_missing_in_all_columns(folder: Path) -> None:
    manifest = read(folder, THREE.format("label", "a", "", "b"), labelled=False)
    assert manifest.table[["label:a", "label:b"]].isna().all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        ("label", ("1", "0", "x"), "line 4, label: label must be 0 or 1 in every row, or the name.*got 'x'"),
        ("label", ("glioma", "1", "x"), "line 3, label: label must be 0 or 1 in every row, or the name.*got '1'"),
        ("label", ("1.0", "0.0", "1.0"), "line 2, label: label must be 0 or 1 in every row, or .*got '1.0'"),
        ("label", ("1", "-1", "0"), "line 3, label: label must be 0 or 1 in every row, or .*got '-1'"),
        ("label", ("2", "2", "2"), r"label: label must be 0 or 1 in every row, or name at least two .*got \['2'\]"),
        ("label", ("a", "b", "A"), "line 4, label: a class must be spelled in one way, not also 'a', got 'A'"),
        ("label", ("a", "b/c", "a"), "line 3, label: name of a class must start with .*got 'b/c'"),
        ("label", ("a", "b" * 65, "a"), "line 3, label: name of a class .* at most 64"),
        ("label", ("a", "None", "b"), r"line 3: label must not be empty \(NA, None"),
        ("label_a,label_b", ("1,0", "0,", "1,1"), "line 3: label_b must not be empty"),
        ("label_a,label_b", ("1,0", "0,1", "1,yes"), "line 4, label_b: label_b must be 0 or 1, got 'yes'"),
        ("label_a,label_/", ("1,0", "0,1", "1,1"), "column 'label_/': name of a finding must start with .*got '/'"),
        (
            "label,label_a",
            ("1,0", "0,1", "1,1"),
            r"columns: labels must stand in label, or in .*\['label', ",
        ),
        ("labels", ("1", "0", "1"), "label: manifest must have this column, got"),
    ],
)
def test_wrong_labels_are_named(folder: Path, columns: str, values: tuple[str, ...], message: str) -> None:
    with pytest.raises(ScanproofError, match="cohort.csv: " + message):
        read(folder, THREE.format(columns, *values))


HEAD = "subject,site,path,label,split\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,site,path\ns1,x,a.nii.gz\n", "cohort.csv: label: manifest must have this column"),
        ("subject,site,path,label\n", "manifest must have at least one row"),
        ("", "must be a readable UTF-8 CSV file"),
        (HEAD + "s1,x,a.nii.gz,,\n", "line 2: label must not be empty"),
        (HEAD + "s1,x,a.nii.gz,1,\n,x,b.nii.gz,1,\n", "line 3: subject must not be empty"),
        (
            HEAD + "s1,x,a.nii.gz,2,\n",
            r"label: label must be 0 or 1 in every row, or name at least .*got \['2'\]",
        ),
        (HEAD + "s1,x,absent.nii.gz,1,\n", "line 2, path: file or folder must exist, got 'absent.nii.gz'"),
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
