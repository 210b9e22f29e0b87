"""The three commands, from a site's validation to the page of the comparison."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scanproof.cli import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scanproof", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return call


def test_dry_run_tells_all_and_writes_nothing(
    site_root: Path, run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(site_root.rglob("*"))
    code, out, _ = run("export", "--site", "St. Elsewhere", "--dry-run", "--root", site_root, "-o", "a.zip")
    assert code == 0
    for part in ("Small numbers", '"verdict"', "results.parquet", "README.txt"):
        assert part in out
    assert sorted(site_root.rglob("*")) == before
    assert not list(tmp_path.iterdir())
    code, _, err = run("export", "--site", "St. Elsewhere", "--root", site_root)
    assert (code, err) == (2, "scanproof: error: --output: must be given (or --dry-run, to see what would leave)\n")


def test_from_export_to_comparison(
    site_root: Path, sent: list[Path], run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    file, root = tmp_path / "a.zip", tmp_path / "mlruns"
    code, out, _ = run("export", "--site", "St. Elsewhere", "--root", site_root, "-o", file)
    assert code == 0
    assert out.splitlines()[-1] == str(file)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(file.read_bytes()[:2000])
    code, out, err = run("import", file, broken, sent[0], "--root", root, "--no-tracking")
    assert code == 2
    assert "St. Elsewhere" in out
    assert "north" in out
    assert err.startswith(f"scanproof: error: {broken}: export must be an intact zip file")
    code, out, _ = run("compare", "--protocol", "p1", "--root", root, "--no-tracking", "-o", tmp_path / "out")
    assert code == 0
    assert out.startswith("Of 2 sites, ")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"compare.html", "endpoints.csv", "pooled.csv"}
