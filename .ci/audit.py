"""Look up every pinned package in OSV, the database of published vulnerabilities: ``make audit``.

An advisory fails unless ``.ci/advisories.toml`` accepts it, with a reason and a day until which that holds. So does an
acceptance that has run out or that no advisory asks for any more. Where the database does not answer, one line says
that nothing was looked up, and the exit code is 0: a machine without internet can still be linted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OSV = "https://api.osv.dev/v1/query"
#: seconds that the database gets for each answer
PATIENCE = 10
#: what an acceptance says; ``until`` is a day on which somebody looks again
KEYS = {"id", "package", "reason", "until"}


def main() -> int:
    """Exit code 1 for a finding that is not accepted or an acceptance that is not good, 2 where the audit broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requirements", type=Path, default=ROOT / "constraints.txt", help="pinned packages")
    parser.add_argument("--accepted", type=Path, default=ROOT / ".ci" / "advisories.toml", help="with reasons")
    parser.add_argument("--service", default=OSV, metavar="URL", help="that answers as OSV does")
    given = parser.parse_args()
    try:
        accepted = read_accepted(given.accepted)
    except (OSError, ValueError) as error:
        print(f"audit: {given.accepted}: {error}")
        return 2
    if not answers(given.service):
        print(f"audit: skipped: advisory service unreachable ({given.service})")
        return 0
    try:
        packages = audit(given.requirements, given.service)
    except RuntimeError as error:
        print(f"audit: {error}")
        return 2
    problems = judge(packages, accepted, today=datetime.datetime.now(datetime.UTC).date())
    for line in problems:
        print(f"audit: {line}")
    if not problems:
        print(f"audit: {len(packages)} packages, {len(accepted)} accepted advisories, no others")
    return 1 if problems else 0


def read_accepted(path: Path) -> dict[str, dict[str, Any]]:
    """Accepted advisories by their identifier.

    Raises:
        ValueError: the file is not TOML, an entry lacks a key or has an empty reason, or an advisory stands twice.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("accepted", [])
    for entry in entries:
        if set(entry) != KEYS or not str(entry["reason"]).strip() or not isinstance(entry["until"], datetime.date):
            raise ValueError(f"an accepted advisory must have {', '.join(sorted(KEYS))} (a date), got {entry}")
    found = {entry["id"]: entry for entry in entries}
    if len(found) < len(entries):
        raise ValueError("an advisory must be accepted once")
    return found


def answers(service: str) -> bool:
    """Whether the service is there; that it dislikes an empty question is an answer, too."""
    try:
        urllib.request.urlopen(service, timeout=PATIENCE).close()  # noqa: S310 (the address is ours)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def audit(requirements: Path, service: str) -> list[dict[str, Any]]:
    """What pip-audit says of each package, without installing or resolving anything.

    Raises:
        RuntimeError: it did not look all of them up.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--no-deps", "--disable-pip"]
    command += ["--vulnerability-service", "osv", "--osv-url", service, "--timeout", str(PATIENCE)]
    command += ["--format", "json", "--progress-spinner", "off"]
    # no shell, and no argument that is not ours
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        packages: list[dict[str, Any]] = json.loads(run.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = run.stderr.strip().splitlines() or ["no answer"]
        raise RuntimeError(f"pip-audit broke: {said[-1]}") from None
    skipped = [f"{one['name']}: {one['skip_reason']}" for one in packages if "skip_reason" in one]
    if skipped:
        raise RuntimeError(f"packages must all be looked up, but not {'; '.join(skipped)}")
    return packages


def judge(packages: list[dict[str, Any]], accepted: dict[str, dict[str, Any]], *, today: datetime.date) -> list[str]:
    """What somebody has to act on, a line each."""
    problems, met = [], set()
    for package in packages:
        for found in package["vulns"]:
            names = [found["id"], *found["aliases"]]
            entry = next((accepted[name] for name in names if name in accepted), None)
            if entry is not None and entry["package"] == package["name"]:
                met.add(entry["id"])
                if entry["until"] < today:
                    problems.append(
                        f"{entry['id']} of {package['name']} was accepted until {entry['until']}: look again"
                    )
                continue
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            what = " ".join(found.get("description", "").split())[:160]
            problems.append(f"{package['name']} {package['version']}: {' = '.join(names)}, mended in {mended}: {what}")
    stale = sorted(set(accepted) - met)
    gone = [f"{name} of {accepted[name]['package']}" for name in stale]
    return problems + [f"{one} is accepted, but no longer found: strike it" for one in gone]


if __name__ == "__main__":
    sys.exit(main())
