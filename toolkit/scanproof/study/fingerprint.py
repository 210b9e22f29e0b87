"""Which code a task's result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import scanproof
from scanproof.study.kinds import find_kind

_ROOT = Path(scanproof.__file__).parent


@cache
def code_fingerprint(kind: str) -> str:
    """Hash of the source and library versions behind a kind of task.

    A change in the report leaves every trained network valid; a change in the training loop does not.
    """
    found = find_kind(kind)
    sources = {name: _source_hash(name) for name in (*found.sources, "seeds.py")}
    return _digest({"sources": sources, "libraries": library_versions(*found.libraries)})


def source_hashes(kinds: Iterable[str]) -> dict[str, str]:
    """Hash of the source of each room and module behind kinds of tasks, so that a difference has a name.

    Example:
        >>> list(source_hashes(["predict"]))  # doctest: +ELLIPSIS
        ['classification', 'external', 'seeds.py', 'study/open_model.py', ..., 'tracking/foreign.py']
    """
    names = {"seeds.py"}
    for kind in kinds:
        names |= {*find_kind(kind).sources}
    return {name: _source_hash(name) for name in sorted(names)}


def code_version() -> str:
    """The package's version and a hash of all its source, e.g. ``0.1.0+3f2a9c1d``."""
    return f"{scanproof.__version__.partition('+')[0]}+{_source_hash('.')[:8]}"


def library_versions(*names: str) -> dict[str, str]:
    """Installed versions of distributions; a build suffix such as ``+cpu`` is kept."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def method_version(factory: str) -> str | None:
    """Version of the package of a method that another package registered; None for our own methods."""
    package = factory.partition(":")[0].partition(".")[0]
    if package == "scanproof":
        return None
    names = packages_distributions().get(package, [])
    return json.dumps(library_versions(*sorted(names)), sort_keys=True)


@cache
def _source_hash(name: str) -> str:
    path = _ROOT / name
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return _digest({str(file.relative_to(_ROOT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files})


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
