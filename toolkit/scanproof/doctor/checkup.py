"""A check-up of everything, one topic after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scanproof.doctor.finding import Finding, State, guarded
from scanproof.doctor.machine import check_disk, check_libraries
from scanproof.doctor.outputs import check_outputs
from scanproof.doctor.searches import check_searches
from scanproof.doctor.site import check_site_key
from scanproof.doctor.stored import check_store
from scanproof.doctor.tracked import check_tracking
from scanproof.study.store import Store


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is looked at.

    Args:
        root: folder of outputs, the site key and journals.
        store: with its keys read once.
        keys: of the entries.
        tracking_uri: MLflow.
        storage: of searches, besides the journals under the root.
    """

    root: Path
    store: Store
    keys: Sequence[str]
    tracking_uri: str
    storage: str | None = None


def examine(patient: Patient, *, repair: bool = False, on_done: Callable[[], None] = lambda: None) -> Iterator[Finding]:
    """Check everything; what one topic finds does not keep the others from being looked at.

    Args:
        patient: what is looked at.
        repair: remove what is damaged and can be computed again, and what killed processes have left; end their runs;
            make and migrate tables. Nothing intact is removed.
        on_done: told of every entry of the store.
    """
    root = patient.root
    yield from guarded("disk", partial(check_disk, root))
    yield from guarded("libraries", check_libraries)
    yield from guarded("site key", partial(check_site_key, root / "site.key", repair=repair))
    yield from guarded("store", partial(check_store, patient.store, patient.keys, repair=repair, on_done=on_done))
    yield from guarded("results", partial(check_outputs, root))
    yield from guarded("MLflow", partial(check_tracking, patient.tracking_uri, repair=repair))
    yield from guarded("searches", partial(check_searches, root, patient.storage, repair=repair))


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether there is no problem; there may be warnings."""
    return all(finding.state is not State.PROBLEM for finding in findings)
