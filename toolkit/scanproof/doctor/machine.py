"""The machine: versions of libraries, what is optional, and room on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scanproof.doctor.finding import Finding, State, some
from scanproof.intake.console import in_bytes

if TYPE_CHECKING:
    from packaging.requirements import Requirement

#: bytes of free room below which a run will soon fail, and below which one should look after it
LITTLE: Final = 1_000_000_000
LOW: Final = 10_000_000_000
#: what an extra is for
EXTRAS: Final = {"ray": "--executor ray", "ismrmrd": "ISMRMRD raw data", "postgresql": "databases on PostgreSQL"}
#: programs that some tests and services use
PROGRAMS: Final = ("chromium", "postgres", "initdb")


def check_libraries() -> Iterator[Finding]:
    """Installed versions against what the package requires; extras and programs are only told of."""
    from packaging.requirements import Requirement

    wrong, count = [], 0
    extras: dict[str, list[str]] = {name: [] for name in EXTRAS}
    for requirement in map(Requirement, requires("scanproof") or ()):
        chosen = next((name for name in EXTRAS if _belongs(requirement, name)), None)
        if chosen is None and requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        fault = _fault(requirement)
        if chosen is not None:
            extras[chosen] += [fault] if fault else []
            continue
        count += 1
        wrong += [fault] if fault else []
    if wrong:
        yield Finding("libraries", State.PROBLEM, some(wrong, most=9), "install scanproof again")
    else:
        yield Finding("libraries", State.OK, f"{count} as scanproof {version('scanproof')} requires them")
    for name, faults in extras.items():
        if faults:
            yield Finding("extras", State.INFO, f"without {name}: {some(faults)}", f"for {EXTRAS[name]} only")
    there = [name for name in EXTRAS if not extras[name]]
    found = [name for name in PROGRAMS if shutil.which(name)]
    yield Finding("extras", State.INFO, f"present: {', '.join([*there, *found]) or 'none'}")


def check_disk(root: Path) -> Iterator[Finding]:
    """Whether the root can be written, and how much room is left.

    Args:
        root: folder of the store; it need not exist.
    """
    place = root.absolute()
    while not place.exists():
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        yield Finding("disk", State.PROBLEM, f"{place} cannot be written", "choose another --root, or ask its owner")
        return
    free = shutil.disk_usage(place).free
    state = State.PROBLEM if free < LITTLE else State.WARNING if free < LOW else State.OK
    advice = "" if state is State.OK else "make room; finished results in the store may be deleted and computed again"
    yield Finding("disk", state, f"{in_bytes(free)} free at {place}", advice)


def _belongs(requirement: Requirement, extra: str) -> bool:
    """Whether a requirement is one of an extra and of no installation without it."""
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _fault(requirement: Requirement) -> str:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    met = requirement.specifier.contains(found, prereleases=True)
    return "" if met else f"{requirement.name} {found} is not {requirement.specifier}"
