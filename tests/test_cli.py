from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from programs import scanproof

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "monai", "mlflow", "pandas", "matplotlib", "plotly", "nibabel", "nilearn", "sklearn", "scipy"}


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanproof", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["register", "--help"],
        ["gallery", "--help"],
        ["power", "--help"],
        ["scaling", "run", "--help"],
        ["scaling", "plan", "--help"],
        ["export", "--help"],
        ["--version"],
        ["data", "check", "--help"],
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """What makes help slow is imports: none of these may be loaded for it."""
    code = f"""
import sys
from scanproof.cli import main
sys.argv = ["scanproof", *{arguments!r}]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("LOADED", sorted({HEAVY!r} & set(sys.modules)))
"""
    assert python(code).splitlines()[-1] == "LOADED []"


def test_listing_methods_loads_nothing_heavy() -> None:
    code = f"""
import sys
from scanproof.transforms import SHIFTS
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.classification import CLASSIFIERS
print(list(SHIFTS), list(RECONSTRUCTORS), list(CLASSIFIERS))
print("LOADED", sorted({HEAVY!r} & set(sys.modules)))
"""
    assert python(code).splitlines()[-1] == "LOADED []"


def test_schema_is_json() -> None:
    process = command("schema")
    assert process.returncode == 0
    assert json.loads(process.stdout)["title"] == "scanproof study"


def test_plan_counts_tasks(tmp_path: Path) -> None:
    process = scanproof("plan", "studies/demo.yaml", "--root", tmp_path, cwd=ROOT)
    assert process.returncode == 0
    assert "train classifier" in process.stdout
    assert list(tmp_path.iterdir()) == []


def test_power_says_how_many_subjects() -> None:
    options = ["--half-width", 0.1, "--auroc", 0.9, "--prevalence", 0.5, "--simulate", 3]
    process = scanproof("power", *options)
    assert process.returncode == 0
    assert "one model, to ± 0.1" in process.stdout
    assert "simulated" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "studies/none.yaml"], "scanproof: error: studies/none.yaml: study file must exist"),
        (
            ["run", "studies/demo.yaml", "--tracking-uri", "file:///tmp/runs"],
            "tracking URI: must name a database",
        ),
        (["ui", "--root", "no such folder"], "tracking database must exist"),
        (
            ["severity-table", "--shift", "ghosts"],
            "shift: unknown shift, got 'ghosts' (did you mean 'ghosting'? known:",
        ),
        (["power", "--auroc", "0.4"], "auroc must be in (0.5, 1), got 0.4"),
        (["power", "--seeds", "2", "--spread", "0.05"], "half_width: trainings must be at least 4"),
        (["severity-table", "-o", "table.xlsx"], "unknown kind of output file, got '.xlsx' (known: .csv, .json, .md)"),
        (["gallery", "-o", "page.gif"], "page.gif: unknown kind of output file, got '.gif' (known: .html, .pdf, .png)"),
        (["gallery", "--input", "README.md"], "README.md: format must be one of: "),
    ],
)
def test_errors_are_one_line_with_code_two(arguments: list[str], message: str) -> None:
    process = scanproof(*arguments, cwd=ROOT)
    assert process.returncode == 2
    assert message in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


def test_a_password_on_the_command_line_is_warned_of_and_not_repeated(tmp_path: Path) -> None:
    process = command("ui", "--root", str(tmp_path), "--tracking-uri", "postgresql://me:CNRY88af@127.0.0.1:9/runs")
    first, second = process.stderr.splitlines()
    assert first.startswith(
        "scanproof: warning: postgresql://me:***@127.0.0.1:9/runs holds a password that other users"
    )
    assert "give the address in MLFLOW_TRACKING_URI" in first
    assert second.startswith("scanproof: error: tracking database must answer")
    assert "CNRY88af" not in process.stderr + process.stdout


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("db.example", True), ("::1", False)])  # noqa: S104
def test_pages_for_other_machines_are_warned_of(tmp_path: Path, host: str, warned: bool) -> None:
    process = command("ui", "--root", str(tmp_path), "--host", host)  # there is no database, so nothing is served
    assert process.returncode == 2
    assert (f"whoever reaches {host} on port 5000 can read, change and delete the runs" in process.stderr) == warned
