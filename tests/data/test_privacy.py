from pathlib import Path

from scanproof.data.privacy import pseudonym, site_key


def test_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "site.key"
    key = site_key(path)
    assert site_key(path) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o077 == 0
    assert site_key(tmp_path / "other.key") != key


def test_pseudonyms_hide_and_distinguish() -> None:
    names = {pseudonym(f"patient {i}", b"key") for i in range(2000)}
    assert len(names) == 2000
    assert not any("patient" in name for name in names)
