from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from intake.conftest import head, save_volume
from programs import scanproof


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return scanproof("data", "check", *arguments)


def test_trouble_is_printed_and_written(trouble: Path, tmp_path: Path) -> None:
    process = command(trouble, "--html", tmp_path / "a.html", "--json", tmp_path / "a.json", "--no-images", "-j", 1)
    assert process.returncode == 2
    assert "line 23, north/cut.nii.gz: file must be a readable NIfTI volume" in process.stdout
    assert "Traceback" not in process.stderr
    assert "problems to solve in 25 files." in process.stdout
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "data:image/png" not in page
    assert "must not leave the site" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.json"]


def test_a_physicist_starts_with_a_template(tmp_path: Path) -> None:
    for k in range(3):
        save_volume(tmp_path / "data" / f"P{k}.nii", head(k))
    first = command(tmp_path / "data", "-j", 1)
    assert first.returncode == 0
    assert "--template" in first.stderr
    written = command(
        tmp_path / "data", "--template", tmp_path / "data" / "cohort.csv", "--site", "St. Elsewhere", "-j", 1
    )
    assert written.returncode == 0
    lines = (tmp_path / "data" / "cohort.csv").read_text().splitlines()
    assert lines[:2] == ["subject,site,path,label,split", "P0,St. Elsewhere,P0.nii,,"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--manifest", "none.csv"], "none.csv: data.manifest: manifest must be an existing CSV file"),
        (["--html", "nowhere/a.html"], "nowhere/a.html: folder of the output must exist"),
    ],
)
def test_wrong_options_are_one_line(trouble: Path, options: list[str], message: str) -> None:
    process = command(trouble, *options)
    assert process.returncode == 2
    assert process.stderr.strip() == f"scanproof: error: {message}"
