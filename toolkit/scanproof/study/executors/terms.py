"""What a worker elsewhere must have in common with the process that sends it tasks."""

from __future__ import annotations

import platform
import socket
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

from scanproof.errors import ScanproofError
from scanproof.study.fingerprint import code_version, library_versions
from scanproof.study.kinds import find_kind


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What must hold where a task runs.

    A task's result is stored under a hash of the code and the libraries behind it: a worker that has others would
    store a wrong result. One that sees another disk under a shared folder's name would store it where nobody looks.

    Args:
        libraries: distributions whose versions count.
        installed: what is installed of them and of scanproof, see :func:`installed`.
        beacons: files that were written for this, see :func:`~scanproof.study.executors.beacon.beacon`.
        mark: of these terms: a worker process checks them once.
    """

    libraries: tuple[str, ...]
    installed: Mapping[str, str]
    beacons: tuple[Path, ...] = ()
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)


def make_terms(kinds: Iterable[str], *, beacons: Iterable[Path] = ()) -> Terms:
    """The terms of tasks of some kinds, as they hold in this process."""
    libraries = tuple(sorted({name for kind in set(kinds) for name in find_kind(kind).libraries}))
    return Terms(libraries=libraries, installed=installed(libraries), beacons=tuple(beacons))


def installed(libraries: Iterable[str]) -> dict[str, str]:
    """The code of this process: scanproof's source, Python, libraries, and packages that bring methods.

    Example:
        >>> list(installed(["torch"]))[:3]
        ['scanproof', 'Python', 'torch']
    """
    others = {
        one.name for one in distributions() if any(point.group.startswith("scanproof.") for point in one.entry_points)
    }
    return {
        "scanproof": code_version(),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **library_versions(*libraries, *sorted(others)),
    }


_CHECKED: set[str] = set()


def check_terms(terms: Terms) -> None:
    """Refuse to work in a process where terms do not hold.

    Raises:
        ScanproofError: it names the machine and every difference.
    """
    if terms.mark in _CHECKED:
        return
    here = socket.gethostname()
    found = installed(terms.libraries)
    differing = [
        f"{name} {found.get(name, 'is missing')} instead of {terms.installed.get(name, 'none')}"
        for name in {**terms.installed, **found}
        if found.get(name) != terms.installed.get(name)
    ]
    if differing:
        raise ScanproofError(
            "workers must have the code of the process that sends them tasks",
            key=f"worker on {here}",
            value=", ".join(differing),
            hint="install the same version there, or results would be stored under a wrong name",
        )
    for path in terms.beacons:
        if not path.is_file():
            raise ScanproofError(
                "folder must be shared with the workers",
                key=f"worker on {here}",
                value=str(path.parent),
                hint="name a folder on a file system of all machines, or a store on a URL with --store",
            )
    _CHECKED.add(terms.mark)


def unseen(paths: Iterable[str]) -> list[str]:
    """Those of some files and folders that this machine does not have."""
    return [path for path in paths if not Path(path).exists()]
