"""Which calls the code must not make, and that what looks for them does find them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
#: rules of bandit about an import, and the rule of ruff about what the import is used for
IMPORTS = {
    "B401": "S312",
    "B402": "S321",
    "B403": "S301",
    "B404": "S603",
    "B405": "S314",
    "B406": "S317",
    "B407": "S315",
    "B408": "S318",
    "B409": "S319",
}
#: calls that unpickle or open a program and that neither ruff nor bandit knows, and the one module that may make them:
#: it asks scanproof.external.trust first
LOADERS = {
    "torch.jit.load": "external/network.py",
    "torch.export.load": "external/network.py",
    "mlflow.pytorch.load_model": "tracking/foreign.py",
    "mlflow.pyfunc.load_model": "tracking/foreign.py",
    "joblib.load": None,
    "cloudpickle.load": None,
    "cloudpickle.loads": None,
    "pandas.read_pickle": None,
    "pd.read_pickle": None,
    "pd.read_hdf": None,
    "torch.package.PackageImporter": None,
    "optuna.storages.journal.JournalRedisBackend": None,  # its snapshots are pickles
}


@pytest.mark.filterwarnings("ignore:The verify_requirements argument:DeprecationWarning")  # bandit calls stevedore so
def test_nothing_falls_between_ruff_and_bandit() -> None:
    from bandit.core.extension_loader import MANAGER

    every = {plugin.plugin._test_id for plugin in MANAGER.plugins} | set(MANAGER.blacklist_by_id)
    ruff = subprocess.run(
        [sys.executable, "-m", "ruff", "rule", "--all", "--output-format", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    stable = {one["code"] for one in json.loads(ruff.stdout) if one["linter"] == "flake8-bandit" and not one["preview"]}
    lint = CONFIG["ruff"]["lint"]
    assert "S" in lint["select"]
    here = stable - {"S311"}
    assert {code for code in lint["ignore"] if code.startswith("S")} == {"S311"}  # random numbers of simulations
    assert set(IMPORTS.values()) <= here
    covered = {f"B{code[1:]}" for code in stable} | {*IMPORTS, *CONFIG["bandit"]["tests"]}
    assert every <= covered
    assert not set(CONFIG["bandit"]["tests"]) & {f"B{code[1:]}" for code in stable}  # nothing is answered twice


PLANTED = """
import pickle, subprocess
import torch, yaml
a = torch.load("a.pt")
b = pickle.loads(b"")
c = yaml.load("", Loader=yaml.Loader)
d = eval("1")
subprocess.run("ls", shell=True)
access = "user\u202e"
"""


def test_what_is_planted_is_found(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(PLANTED, encoding="utf-8")
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--output-format", "json"]
    ruff = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *config, str(file)], capture_output=True, text=True, check=False
    )
    assert {"S301", "S506", "S307", "S602"} <= {one["code"] for one in json.loads(ruff.stdout)}
    bandit = subprocess.run(
        [sys.executable, "-m", "bandit", "--quiet", "--configfile", ROOT / "pyproject.toml", "-f", "json", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert bandit.returncode == 1
    assert {one["test_id"] for one in json.loads(bandit.stdout)["results"]} == {"B613", "B614"}


def test_nothing_else_unpickles_or_opens_a_program() -> None:
    package = ROOT / "toolkit" / "scanproof"
    assert offences({file.relative_to(package).as_posix(): file.read_text() for file in package.rglob("*.py")}) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("np.load(path, allow_pickle=True)", "np.load: allow_pickle"),
        ("np.load(path, None, flag)", "np.load: allow_pickle"),
        ("x = mlflow.pyfunc.load_model(uri)", "mlflow.pyfunc.load_model"),
        ("torch.jit.load(data)", "torch.jit.load"),
        ("from joblib import load", "joblib.load"),
        ("np.load(path, mmap_mode='r')", None),
        ("np.load(path, allow_pickle=False)", None),
    ],
)
def test_the_search_finds_what_is_planted(line: str, found: str | None) -> None:
    assert offences({"study/a.py": line}) == ([f"study/a.py:1: {found}"] if found else [])


def offences(sources: dict[str, str]) -> list[str]:
    """Calls and imports in source that must not be there, and NumPy files that may hold pickles."""
    found = []
    for name, text in sorted(sources.items()):
        for node in ast.walk(ast.parse(text)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            imported = [f"{node.module}.{one.name}" for one in node.names] if isinstance(node, ast.ImportFrom) else []
            found += [f"{name}:{node.lineno}: {one}" for one in (called, *imported) if LOADERS.get(one, name) != name]
            if isinstance(node, ast.Call):
                # the third argument of np.load
                given = [ast.unparse(one.value) for one in node.keywords if one.arg == "allow_pickle"]
                given += [ast.unparse(one) for one in node.args[2:3]] if called in ("np.load", "numpy.load") else []
                found += [f"{name}:{node.lineno}: {called}: allow_pickle" for one in given if one != "False"]
    return found
