"""`make audit` against a service on this machine that answers as OSV does, through the real pip-audit."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACCEPTED = """
[[accepted]]
id = "{id}"
package = "{package}"
reason = "{reason}"
until = {until}
"""
#: what is known of versions of one package
ADVISORY = {
    "id": "GHSA-0000-0000-0001",
    "aliases": ["CVE-2026-0001"],
    "summary": "Templates can leave their sandbox",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.7"}]}],
        }
    ],
}


class Advisories(BaseHTTPRequestHandler):
    """Knows one advisory."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": [ADVISORY]} if asked["package"]["name"] == "jinja2" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def run(folder: Path, service: str, *, pins: str, accepted: str = "") -> tuple[int, str]:
    (folder / "pins.txt").write_text(pins)
    (folder / "accepted.toml").write_text(accepted)
    command = [sys.executable, ROOT / ".ci" / "audit.py", "--service", service]
    command += ["--requirements", folder / "pins.txt", "--accepted", folder / "accepted.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return loaded(ROOT / ".ci" / "audit.py")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_advisory_that_nobody_has_answered_fails(service: str, tmp_path: Path) -> None:
    code, said = run(tmp_path, service, pins="idna==3.11\njinja2==3.1.6\n")
    assert code == 1
    assert said == (
        "audit: jinja2 3.1.6: CVE-2026-0001 = GHSA-0000-0000-0001, mended in 3.1.7: Templates can leave their sandbox\n"
    )


def test_what_is_accepted_passes_and_nothing_is_resolved(service: str, tmp_path: Path) -> None:
    entry = ACCEPTED.format(id="GHSA-0000-0000-0001", package="jinja2", reason="no sandbox here", until="2099-01-01")
    code, said = run(tmp_path, service, pins="jinja2==3.1.6\n", accepted=entry)
    assert (code, said) == (0, "audit: 1 packages, 1 accepted advisories, no others\n")
    code, said = run(tmp_path, service, pins="jinja2>=3\n")
    assert code == 2
    assert "pip-audit broke" in said


KNOWN = {"id": "CVE-1", "aliases": ["GHSA-1"], "fix_versions": []}
FOUND = [{"name": "jinja2", "version": "3.1.6", "vulns": [KNOWN]}]


@pytest.mark.parametrize(
    ("found", "change", "text"),
    [
        (FOUND, {}, None),
        (FOUND, {"id": "GHSA-1"}, None),
        (FOUND, {"until": "2026-01-01"}, "CVE-1 of jinja2 was accepted until 2026-01-01: look again"),
        (FOUND, {"package": "idna"}, "jinja2 3.1.6: CVE-1 = GHSA-1, mended in no version yet"),
        ([], {}, "CVE-1 of jinja2 is accepted, but no longer found: strike it"),
    ],
)
def test_an_acceptance_must_still_hold(
    tool: ModuleType, tmp_path: Path, found: list, change: dict[str, str], text: str | None
) -> None:
    entry = {"id": "CVE-1", "package": "jinja2", "reason": "no sandbox here", "until": "2099-01-01"} | change
    (tmp_path / "accepted.toml").write_text(ACCEPTED.format(**entry))
    accepted = tool.read_accepted(tmp_path / "accepted.toml")
    problems = tool.judge(found, accepted, today=date(2026, 6, 1))
    assert [line for line in problems if text and text in line] if text else not problems


@pytest.mark.parametrize("change", [{"reason": " "}, {"until": '"soon"'}])
def test_an_acceptance_without_reason_or_day_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    entry = {"id": "CVE-1", "package": "a", "reason": "b", "until": "2099-01-01"} | change
    code, said = run(tmp_path, "http://127.0.0.1:9", pins="", accepted=ACCEPTED.format(**entry))
    assert code == 2
    assert "an accepted advisory must have id, package, reason, until" in said


def test_a_service_that_does_not_answer_is_said(tmp_path: Path) -> None:
    code, said = run(tmp_path, "http://127.0.0.1:9/v1/query", pins="jinja2==3.1.6\n")
    assert (code, said) == (0, "audit: skipped: advisory service unreachable (http://127.0.0.1:9/v1/query)\n")


def test_the_accepted_advisories_of_this_project_can_be_read(tool: ModuleType) -> None:
    assert isinstance(tool.read_accepted(ROOT / ".ci" / "advisories.toml"), dict)
