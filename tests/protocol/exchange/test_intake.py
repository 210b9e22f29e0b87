"""What sites send is taken in whole or not at all, and never believed unseen."""

from __future__ import annotations

import io
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.protocol.exchange.archive import MANIFEST, Contents, listed, pack
from scanproof.protocol.exchange.export import prepare_export, write_export
from scanproof.protocol.exchange.intake import SiteExport, import_exports, imported_sites, read_export
from scanproof.protocol.exchange.places import ProtocolIdentity


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, files: dict[str, bytes], *, compress: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def forged(path: Path, source: Path, **changed: bytes) -> Path:
    """An export with other files, whose manifest lists them: by somebody who knows the format."""
    files = members(source)
    manifest = json.loads(files.pop(MANIFEST))
    files |= {name.replace("__", "."): data for name, data in changed.items()}
    manifest["files"] = {name: listed(data).model_dump() for name, data in files.items()}
    path.write_bytes(pack(Contents.model_validate(manifest), files))
    return path


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_sites_are_taken_in(sent: list[Path], tmp_path: Path) -> None:
    taken = import_exports(sent, root=tmp_path)
    assert [one.state for one in taken] == ["imported"] * 3
    assert [one.site for one in imported_sites(tmp_path, "p1")] == ["St. Elsewhere", "north", "süd"]
    assert all(one.folder.name.isascii() for one in taken if one.folder)
    again = import_exports(sent, root=tmp_path)
    assert [one.state for one in again] == ["known"] * 3
    assert [one.folder for one in again] == [one.folder for one in taken]


def test_repacked_by_another_program_it_is_the_same(sent: list[Path], tmp_path: Path) -> None:
    import_exports(sent[:1], root=tmp_path)
    path = rewrite(tmp_path / "mailed.zip", members(sent[0]), compress=zipfile.ZIP_DEFLATED)
    assert path.read_bytes() != sent[0].read_bytes()
    [taken] = import_exports([path], root=tmp_path)
    assert taken.state == "known"


def test_one_bad_file_loses_no_other(sent: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(sent[1].read_bytes()[:-100])
    root = tmp_path / "mlruns"
    taken = import_exports([sent[0], broken, tmp_path / "missing.zip", sent[2]], root=root)
    assert [one.state for one in taken] == ["imported", "refused", "refused", "imported"]
    assert "it is damaged or not whole" in str(taken[1].error)
    assert "missing.zip: export must be a readable file" in str(taken[2].error)
    assert {path.parent.name for path in root.rglob(MANIFEST)} == {
        one.folder.name for one in taken if one.folder is not None
    }
    assert not list(root.rglob(".partial*"))


def test_new_results_of_a_site_replace_old_ones_only_when_asked(
    sent: list[Path], make_site: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "mlruns"
    import_exports(sent, root=root)
    make_site(tmp_path / "later", site="north", seed=9)
    new = write_export(prepare_export(tmp_path / "later", site="north"), tmp_path / "new.zip")
    before = everything(root)
    [refused] = import_exports([new], root=root)
    assert "site must be imported once, and its results have changed, got 'north' (--replace" in str(refused.error)
    assert everything(root) == before
    [taken] = import_exports([new], root=root, replace=True)
    assert taken.state == "replaced"
    found = [site for site in imported_sites(root, "p1") if site.site == "north"]
    assert [site.contents.digest for site in found] == [taken.export.contents.digest if taken.export else ""]


def test_another_protocol_is_refused(sent: list[Path], make_site: Callable[..., Path], tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    import_exports(sent[:1], root=root)
    make_site(tmp_path / "other", site="west", digest="b" * 64)
    other = write_export(prepare_export(tmp_path / "other", site="west"), tmp_path / "west.zip")
    [refused] = import_exports([other], root=root)
    assert "export must follow what north followed" in str(refused.error)
    identity = ProtocolIdentity("p1", "b" * 64, 5)
    states = [one.state for one in import_exports([sent[1], other], root=tmp_path / "b", protocol=identity)]
    assert states == ["refused", "imported"]
    [refused] = import_exports([sent[1]], root=tmp_path / "c", protocol=ProtocolIdentity("p2", "b" * 64, 5))
    assert "must follow the protocol p2" in str(refused.error)
    strict = identity._replace(small_cell=8)
    [refused] = import_exports([other], root=tmp_path / "d", protocol=strict)
    assert "small counts must be withheld below 8, got 5" in str(refused.error)


def link(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("README.txt")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(entry, "/etc/passwd")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda a: a.writestr("../../evil.txt", b"x"), "no file outside its folder, got '../../evil.txt'"),
        (lambda a: a.writestr("/etc/cron.d/evil", b"x"), "no file outside its folder"),
        (lambda a: a.writestr("C:evil.txt", b"x"), "no file outside its folder"),
        (lambda a: a.writestr("evil.py", b"x"), "export must hold only .*, got 'evil.py'"),
        (lambda a: a.writestr("folder/README.txt", b"x"), "export must hold only"),
        (link, "export must have no links"),
        (lambda a: a.writestr("comparisons.parquet", bytes(40 << 20)), "not unpack to more than 100 times its size"),
    ],
)
def test_malicious_members_are_refused(
    write: Callable[[zipfile.ZipFile], None], message: str, sent: list[Path], tmp_path: Path
) -> None:
    files = members(sent[0])
    files = {name: data for name, data in files.items() if name not in ("README.txt", "comparisons.parquet")}
    path = rewrite(tmp_path / "a.zip", files, compress=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    before = everything(tmp_path)
    with pytest.raises(ScanproofError, match=message):
        read_export(path)
    assert everything(tmp_path) == before


def test_doubled_members_are_refused(sent: list[Path], tmp_path: Path) -> None:
    path = shutil.copy(sent[0], tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("README.txt", b"another")
    with pytest.raises(ScanproofError, match=r"export must hold every file once, got 'README\.txt'"):
        read_export(Path(path))


def test_tampered_and_missing_files_are_named(sent: list[Path], tmp_path: Path) -> None:
    files = members(sent[0])
    changed = files | {"validation.json": files["validation.json"].replace(b'"fail"', b'"pass"') + b" "}
    with pytest.raises(ScanproofError, match=r"validation\.json: file must have the hash that the manifest lists"):
        read_export(rewrite(tmp_path / "a.zip", changed))
    files.pop("results.parquet")
    with pytest.raises(ScanproofError, match=r"results\.parquet: export must hold the files that its manifest lists"):
        read_export(rewrite(tmp_path / "b.zip", files))
    manifest = json.loads(files[MANIFEST]) | {"version": 2}
    with pytest.raises(ScanproofError, match="version: export must be of format 1, got 2"):
        read_export(rewrite(tmp_path / "c.zip", files | {MANIFEST: json.dumps(manifest).encode()}))


def parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def test_tables_that_break_their_schema_are_refused(sent: list[Path], tmp_path: Path) -> None:
    path, files = tmp_path / "a.zip", members(sent[0])
    results = pd.read_parquet(io.BytesIO(files["results.parquet"]))
    wrong: list[tuple[bytes, str]] = [
        (b"PAR1 no table", "table must be a? ?readable"),
        (parquet(results.drop(columns="n")), "table must have its own columns"),
        (parquet(results.assign(subject="Jane Doe")), "table must have its own columns"),
        (parquet(results.assign(severity=9)), "results.parquet: severity: must hold"),
        (parquet(results.assign(value="many")), "table must be a? ?readable"),
        (parquet(results.assign(metric="x" * 500)), "at most 200 characters"),
        (parquet(results.assign(upper=-1.0)), "lower <= value <= upper"),
        (parquet(results.assign(site="another")), "table must be about the site alone"),
        (parquet(results.assign(n=2)), "results.parquet.n: counts must be withheld below 5"),
    ]
    for data, message in wrong:
        with pytest.raises(ScanproofError, match=message):
            read_export(forged(path, sent[0], results__parquet=data))


def test_records_that_say_more_or_other_things_are_refused(sent: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    record = json.loads(members(sent[0])["validation.json"])
    facts = record["data"]
    wrong: list[tuple[dict[str, object], str]] = [
        ({**record, "patients": ["Jane Doe"]}, "patients: validation must be readable: Extra inputs"),
        ({**record, "site": "another"}, "site: validation must be about what the manifest says"),
        ({**record, "protocol": "../../p"}, "protocol: validation must be readable"),
        ({**record, "verdict": "fine"}, "verdict: validation must be readable"),
        ({**record, "data": {**facts, "subjects": 3}}, "subjects: counts must be withheld below 5"),
        ({**record, "endpoints": []}, "endpoints: validation must be readable"),
    ]
    for content, message in wrong:
        data = json.dumps(content).encode()
        with pytest.raises(ScanproofError, match=message):
            read_export(forged(path, sent[0], validation__json=data))


@pytest.fixture(scope="module")
def whole(sent: list[Path]) -> SiteExport:
    return read_export(sent[0])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_refused_or_changes_nothing(
    data: st.DataObject, sent: list[Path], whole: SiteExport, tmp_path: Path
) -> None:
    packed = bytearray(sent[0].read_bytes())
    kind = data.draw(st.sampled_from(["flip", "cut", "append", "end"]))
    if kind == "flip":
        place = data.draw(st.integers(0, len(packed) - 1))
        packed[place] ^= data.draw(st.integers(1, 255))
    elif kind == "end":  # the list of members lies at the end
        place = data.draw(st.integers(len(packed) - 800, len(packed) - 1))
        packed[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del packed[data.draw(st.integers(0, len(packed) - 1)) :]
    else:
        packed += data.draw(st.binary(min_size=1, max_size=64))
    path = tmp_path / "mutated.zip"
    path.write_bytes(packed)
    try:
        found = read_export(path)
    except ScanproofError:
        return  # and no other exception
    assert (found.contents, found.files) == (whole.contents, whole.files)


def test_imports_changed_since_are_named(sent: list[Path], tmp_path: Path) -> None:
    [taken] = import_exports(sent[:1], root=tmp_path)
    assert taken.folder is not None
    (taken.folder / "README.txt").write_text("another")
    with pytest.raises(ScanproofError, match=r"README\.txt: import must be as it came"):
        imported_sites(tmp_path, "p1")
