"""Folders of results: files against the hashes in their lock file, and versions against those installed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from scanproof.doctor.finding import Finding, State, some
from scanproof.reporting.vocabulary import counted
from scanproof.study.fingerprint import library_versions

#: folders of results under a root
PATTERNS = ("studies/*/study.lock.yaml", "validations/*/*/study.lock.yaml")


def check_outputs(root: Path) -> Iterator[Finding]:
    """Compare the files of all results under a root with their lock files.

    Args:
        root: folder of the store and outputs.
    """
    locks = [path for pattern in PATTERNS for path in sorted(root.glob(pattern))]
    damaged: dict[Path, str] = {}
    older: dict[Path, str] = {}
    for path in locks:
        try:
            lock = yaml.safe_load(path.read_text())
            changed = _changed(path.parent, lock["files_sha256"])
            differing = _other_versions(lock["versions"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            changed, differing = f"study.lock.yaml cannot be read ({type(error).__name__})", ""
        if changed:
            damaged[path.parent] = f"{path.parent}: {changed}"
        if differing:
            older[path.parent] = f"{path.parent.name} ({differing})"
    if damaged:
        text = f"{len(damaged)} of {counted(len(locks), 'folder')} not as written: {some(damaged.values())}"
        yield Finding("results", State.PROBLEM, text, "run the study again; what is finished is taken from the store")
    else:
        said = f"{counted(len(locks), 'folder')}, all files as they were written" if locks else "none yet"
        yield Finding("results", State.OK, said)
    if older:
        text = f"made with other versions than are installed: {some(older.values())}"
        yield Finding("results", State.INFO, text, "a new run computes anew what depends on them")


def _changed(folder: Path, hashes: Mapping[str, str]) -> str:
    """What is wrong with the files; empty if nothing is."""
    for name, digest in hashes.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return f"{name} was changed"
    return ""


def _other_versions(versions: Mapping[str, str]) -> str:
    installed = library_versions(*versions)
    # scanproof's own version says less than the fingerprints of its tasks
    names = [name for name, version in versions.items() if installed[name] != version and name != "scanproof"]
    return some(f"{name} {versions[name]}, now {installed[name]}" for name in names)
