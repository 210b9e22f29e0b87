from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from scanproof.data.manifest import examine_manifest, read_manifest
from scanproof.data.manifest_file import read_rows
from scanproof.data.manifest_schema import manifest_schema
from scanproof.errors import ScanproofError

ROWS = pd.DataFrame(
    {
        "subject": ["s1", "s2", "s3"],
        "site": ["x", "x", "Zürich"],
        "path": ["a.nii.gz", "b.nii.gz", "c ü.nii.gz"],
        "label": [0, 1, 1],
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ROWS["path"]:
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "cohort.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def saved(separator: str, *, mark: str = "utf-8", end: str = "\n") -> bytes:
    buffer = io.StringIO()
    ROWS.assign(age=["41,5", "3,25", ""]).to_csv(buffer, index=False, sep=separator, lineterminator=end)
    return buffer.getvalue().encode(mark)


@pytest.mark.parametrize(
    "text",
    [
        saved(";"),
        saved(";", mark="utf-8-sig", end="\r\n"),
        saved("\t"),
        saved("|"),
        saved(",", end="\r"),
        saved(";") + b";;;;\n;;;;\n\n\n",
        saved(";").replace(b"\n", b"\n\n"),
        saved(",").replace(b"s1,x,", b'" s1 ", x , '),
        saved(";").replace(b"\n", b";;\n").replace(b"age;;", b"age;;"),
        unicodedata.normalize("NFD", saved(";").decode()).encode(),
    ],
    ids=["semicolons", "excel", "tabs", "bars", "old mac", "blank rows", "blank lines", "blanks", "no names", "nfd"],
)
def test_what_spreadsheets_save_is_read_alike(folder: Path, text: bytes) -> None:
    table = read_manifest(write(folder, text), root=folder, labelled=True).table
    assert table["subject"].tolist() == ["s3", "s1", "s2"]
    assert table["site"].tolist() == ["Zürich", "x", "x"]
    assert [Path(path).name for path in table["path"]] == ["c ü.nii.gz", "a.nii.gz", "b.nii.gz"]
    assert table["label:label"].tolist() == [1, 0, 1]


@pytest.mark.parametrize("labels", [[0, 1, 1], [0.0, 1.0, 1.0], [False, True, True], ["0", "1", "1"]])
def test_parquet_is_read_like_csv(folder: Path, labels: list[object]) -> None:
    path = folder / "cohort.parquet"
    ROWS.assign(label=labels, scan=pd.Timestamp("2020-01-01")).to_parquet(path)
    table = read_manifest(path, root=folder, labelled=True).table
    assert table["label:label"].tolist() == [1, 0, 1]
    assert table["place"].tolist() == ["row 3", "row 1", "row 2"]


def test_parquet_errors_count_rows(folder: Path) -> None:
    path = folder / "cohort.parquet"
    ROWS.assign(path=["a.nii.gz", "b.nii.gz", "a.nii.gz"]).to_parquet(path)
    with pytest.raises(ScanproofError, match=r"cohort\.parquet: row 3, path: each file must be listed once, row 1 has"):
        read_manifest(path, root=folder, labelled=True)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ScanproofError, match="must be a readable Parquet file"):
        read_manifest(path, root=folder, labelled=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,site,path\ns1,Z\xfcrich,a.nii.gz\n".encode("latin-1"), r"line 2: .* UTF-8 CSV file.*CSV UTF-8"),
        (b"subject,site,path,site\ns1,x,a.nii.gz,y\n", r"columns: columns must have different names, got \['site'\]"),
        (b"subject,site,path\ns1,x,a.nii.gz,41,5\n", "line 2: row must not have more cells .* 3, got 5"),
        (b'subject,site,path\ns1,x,"a.nii.gz\ns2,x,b.nii.gz\n', "line 2: manifest must be a readable UTF-8 CSV file"),
        (b"Subject,site,path\ns1,x,a.nii.gz\n", r"subject: manifest must have this column, .*rename 'Subject'"),
        (b"subject,site,path\ns1,x,sub\\a.nii.gz\n", "line 2, path: file or folder must exist, got"),
        (b"\x00\x01\x02", "manifest must have this column"),
    ],
)
def test_what_cannot_be_read_is_said(folder: Path, text: bytes, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        read_manifest(write(folder, text), root=folder, labelled=False)


def test_a_path_of_windows_gets_a_hint(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "d.nii").write_bytes(b"x")
    with pytest.raises(ScanproofError, match=r"write / in place of \\"):
        read_manifest(write(folder, "subject,site,path\ns1,x,sub\\d.nii\n"), root=folder, labelled=False)


def test_lines_are_those_of_the_file(folder: Path) -> None:
    text = 'note,subject,site,path\n\n"two\nlines",s1,x,a.nii.gz\n,,,\n,s2,x,absent.nii\n'
    examined = examine_manifest(write(folder, text), root=folder, labelled=False)
    assert examined.rows["line"].tolist() == [3, 6]
    assert [problem.key for problem in examined.problems] == ["line 6, path"]


def test_all_problems_are_found_at_once(folder: Path) -> None:
    text = (
        "subject,site,path,label,split\n"
        "s1,x,a.nii.gz,0,train\n"
        ",x,b.nii.gz,1,test\n"
        "s1,y,c ü.nii.gz,2x,tset\n"
        "s4,x,absent.nii.gz,,test\n"
        "s4,x,a.nii.gz,1,train,9\n"
    )
    examined = examine_manifest(write(folder, text), root=folder, labelled=True)
    assert [(problem.line, problem.column) for problem in examined.problems] == [
        (6, None),  # more cells than the header
        (3, "subject"),
        (5, "label"),
        (4, "label"),
        (5, "path"),
        (6, "path"),
        (4, "split"),
        (5, "split"),  # s4 in test and train
        (2, "site"),  # s1 at x and y
    ]
    # what can be told in spite of it is there
    assert examined.manifest.table["path"].notna().sum() == 3
    assert examined.manifest.targets == ("label",)


def test_a_folder_and_a_series_in_it_are_paths(folder: Path) -> None:
    (folder / "series").mkdir()
    text = "subject,site,path\ns1,x,series\ns2,x,series#2\ns3,x,absent#1\n"
    examined = examine_manifest(write(folder, text), root=folder, labelled=False)
    found = [None if pd.isna(path) else Path(path).name for path in examined.manifest.table["path"]]
    assert found == ["series", "series#2", None]


def test_accents_of_a_mac_are_found(folder: Path) -> None:
    (folder / unicodedata.normalize("NFD", "Ärzte")).mkdir()
    (folder / unicodedata.normalize("NFD", "Ärzte") / unicodedata.normalize("NFD", "Zoë.nii")).write_bytes(b"x")
    text = f"subject,site,path\ns1,x,{unicodedata.normalize('NFC', 'Ärzte/Zoë.nii')}\n"
    table = read_manifest(write(folder, text), root=folder, labelled=False).table
    assert Path(table["path"][0]).is_file()


def test_a_link_is_the_file_it_leads_to(folder: Path) -> None:
    (folder / "link.nii.gz").symlink_to(folder / "a.nii.gz")
    text = "subject,site,path\ns1,x,a.nii.gz\ns2,x,link.nii.gz\ns3,x,./a.nii.gz\n"
    examined = examine_manifest(write(folder, text), root=folder, labelled=False)
    assert [problem.line for problem in examined.problems] == [3, 4]


def test_one_row_is_enough_to_tell_the_kind(folder: Path) -> None:
    assert len(read_rows(write(folder, saved(";")), most=1).table) == 1


def test_the_schema_is_for_those_who_write_manifests() -> None:
    import pandera.errors

    good = ROWS.assign(split=["train", "val", "test"])
    manifest_schema().validate(good)
    for wrong in (good.drop(columns="site"), good.assign(split="tset"), good.assign(subject=None)):
        with pytest.raises(pandera.errors.SchemaError):
            manifest_schema().validate(wrong)
    with pytest.raises(pandera.errors.SchemaError):
        manifest_schema().validate(good.assign(subject="s1"))


CELLS = st.sampled_from(
    ["s1", "s2", "x", "a.nii.gz", "b.nii.gz", "", "0", "1", "glioma", "NA", "train", "tset", '"', ";"]
)
TEXT = st.one_of(CELLS, st.text(max_size=6))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.lists(
        st.sampled_from(["subject", "site", "path", "label", "label_a", "split", "age", "", "Subject"]),
        min_size=1,
        max_size=7,
    ),
    rows=st.lists(st.lists(TEXT, max_size=8), max_size=6),
    separator=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    labelled=st.booleans(),
)
def test_any_manifest_is_accepted_or_named(
    folder: Path, header: list[str], rows: list[list[str]], separator: str, end: str, labelled: bool
) -> None:
    path = write(folder, end.join(separator.join(row) for row in [header, *rows]).encode("utf-8", "surrogatepass"))
    try:
        read = read_manifest(path, root=folder, labelled=labelled)
    except ScanproofError as found:
        error = found
    else:
        error = None
    if error is not None:
        assert str(error).startswith(str(path))
        assert error.key is not None or error.rule.startswith("manifest must")
        return
    assert read.table[["subject", "site", "path"]].notna().all().all()
    assert read.table["path"].is_unique
    assert read.table.groupby("subject")["site"].nunique().max() == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes_are_accepted_or_named(folder: Path, content: bytes) -> None:
    said = "cohort.csv"
    try:
        read_manifest(write(folder, content), root=folder, labelled=False)
    except ScanproofError as error:
        said = str(error)
    assert "cohort.csv" in said
