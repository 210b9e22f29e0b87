from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scanproof.data.privacy import pseudonym, site_key
from scanproof.errors import ScanproofError

# many threads of several processes ask for a new key in the same moment, a thousand times
RACE = """
import sys, time
from pathlib import Path
from scanproof.data.privacy import site_key
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
(folder / f"ready-{name}").touch()
while not (folder / "begin").exists():
    pass
print("\\n".join(site_key(folder / f"{n}.key").hex() for n in range(count)))
"""


def test_site_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "site.key"
    key = site_key(path)
    assert site_key(path) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o077 == 0
    assert site_key(tmp_path / "other.key") != key
    assert list(path.parent.iterdir()) == [path]  # nothing is left beside it


def test_processes_that_make_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    count, names = 500, ("a", "b", "c")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path), name, str(count)], stdout=subprocess.PIPE, text=True
        )
        for name in names
    ]
    while not all((tmp_path / f"ready-{name}").exists() for name in names):
        assert all(process.poll() is None for process in processes)
    (tmp_path / "begin").touch()
    found = [process.communicate(timeout=60)[0].split() for process in processes]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == count
    assert {len(key) for key in found[0]} == {64}
    assert not list(tmp_path.glob(".*"))


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "site.key"
    assert len(site_key(path)) == 32
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_end_of_an_editor_is_no_part_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    key = site_key(path)
    path.write_text(path.read_text() + "\n")
    assert site_key(path) == key


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "0 characters"),
        (b"ab" * 31, "62 characters"),
        (b"ab" * 33, "66 characters"),
        (b"zz" * 32, "64 characters"),
        (b"\xff\xfe" * 32, "64 characters"),
        (b"ab " * 32, "95 characters"),
    ],
)
def test_damaged_key_is_refused_and_kept(
    tmp_path: Path, content: bytes, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scanproof.data import privacy

    monkeypatch.setattr(privacy, "_PATIENCE", 0.0)
    path = tmp_path / "site.key"
    path.write_bytes(content)
    with pytest.raises(
        ScanproofError, match=rf"site\.key: site key must be 64 hex.*{found}.*restore .* backup"
    ) as error:
        site_key(path)
    assert "abab" not in str(error.value)  # what is left of a key is a secret
    assert path.read_bytes() == content


def test_key_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ScanproofError, match="site key must be readable, and its folder writable"):
        site_key(tmp_path / "file" / "site.key")
    (tmp_path / "site.key").mkdir()
    with pytest.raises(ScanproofError, match=r"site\.key: site key must be readable"):
        site_key(tmp_path / "site.key")


def test_pseudonyms_do_not_reveal_the_subject() -> None:
    found = pseudonym("Jane Doe, 1970-01-01", b"k" * 32)
    assert "Jane" not in found
    assert found != pseudonym("Jane Doe, 1970-01-02", b"k" * 32)
    assert found != pseudonym("Jane Doe, 1970-01-01", b"q" * 32)
