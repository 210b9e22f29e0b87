"""Site key, results, machine, and the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from scanproof.cli import app
from scanproof.data.privacy import site_key
from scanproof.doctor import machine
from scanproof.doctor.finding import State, guarded
from scanproof.doctor.machine import check_disk, check_libraries
from scanproof.doctor.outputs import check_outputs
from scanproof.doctor.site import check_site_key

from .conftest import Lab


def test_site_key(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    assert [finding.state for finding in check_site_key(path, repair=True)] == [State.OK]
    assert not path.exists()  # a check makes none
    key = site_key(path)
    assert [finding.state for finding in check_site_key(path)] == [State.OK]
    path.chmod(0o644)
    assert [finding.state for finding in check_site_key(path)] == [State.WARNING]
    assert path.stat().st_mode & 0o777 == 0o644
    assert [finding.state for finding in check_site_key(path, repair=True)] == [State.OK]
    assert path.stat().st_mode & 0o777 == 0o600
    assert site_key(path) == key
    path.write_text("ab" * 20)
    (finding,) = guarded("site key", lambda: check_site_key(path, repair=True))
    assert finding.state is State.PROBLEM
    assert "must be 64 hexadecimal digits" in finding.text
    assert path.read_text() == "ab" * 20


def test_results_against_their_lock_file(lab: Lab) -> None:
    (finding,) = check_outputs(lab.root)
    assert (finding.state, finding.text) == (State.OK, "1 folder, all files as they were written")
    results, lock = lab.folder / "results.parquet", lab.folder / "study.lock.yaml"
    content = results.read_bytes()
    results.write_bytes(content[:-1] + b"\0")
    assert "results.parquet was changed" in next(iter(check_outputs(lab.root))).text
    results.unlink()
    assert "results.parquet is missing" in next(iter(check_outputs(lab.root))).text
    results.write_bytes(content)
    said = yaml.safe_load(lock.read_text())
    lock.write_text(yaml.safe_dump({**said, "versions": {**said["versions"], "torch": "1.0"}}))
    found = list(check_outputs(lab.root))
    assert [finding.state for finding in found] == [State.OK, State.INFO]
    assert "small (torch 1.0, now " in found[1].text
    for text in ("files_sha256: [", "- 3\n", "study: small\n"):
        lock.write_text(text)
        (finding,) = check_outputs(lab.root)
        assert (finding.state, "study.lock.yaml cannot be read" in finding.text) == (State.PROBLEM, True)


def test_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(check_libraries())
    assert found[0].state is State.OK, found[0].text
    assert {finding.state for finding in found[1:]} == {State.INFO}
    required = ["numpy>=99", "no-such-thing", "pandas>=1", 'ray<0; extra == "ray"', 'mypy<0; extra == "dev"']
    monkeypatch.setattr(machine, "requires", lambda name: required)
    found = list(check_libraries())
    assert found[0].state is State.PROBLEM
    assert "is not >=99, no-such-thing is not installed" in found[0].text
    assert any(finding.text.startswith("without ray: ray ") for finding in found)


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = machine.shutil.disk_usage(tmp_path).free
    for little, low, state in ((0, 1, "ok"), (0, 10 * free, "warning"), (10 * free, 20 * free, "problem")):
        monkeypatch.setattr(machine, "LITTLE", little)
        monkeypatch.setattr(machine, "LOW", low)
        (finding,) = check_disk(tmp_path / "not" / "yet")
        assert (str(finding.state), str(tmp_path) in finding.text) == (state, True)
    (tmp_path / "file").touch()
    assert next(iter(check_disk(tmp_path / "file"))).state is State.PROBLEM


def test_command_says_one_line_a_check_and_ends_with_its_verdict(lab: Lab) -> None:
    result = CliRunner().invoke(app, ["doctor", "--root", str(lab.root)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert {line.split()[0] for line in lines[:-1]} <= {"ok", "info", "warning"}
    assert lines[-1].startswith("No problem")
    key = next(iter(lab.store.keys()))
    (lab.root / "store" / key[:2] / key / "facts.json").write_text('{"other": 1}')
    result = CliRunner().invoke(app, ["doctor", "--root", str(lab.root)])
    assert result.exit_code == 1
    assert f"1 damaged of {len(list(lab.store.keys()))} entries: {key[:12]}" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("1 problem")
    result = CliRunner().invoke(app, ["doctor", "--root", str(lab.root), "--repair"])
    assert result.exit_code == 0, result.output
    assert "removed 1 damaged" in result.stdout
    assert key not in lab.store


def test_looking_changes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scanproof", "doctor", "--root", str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
