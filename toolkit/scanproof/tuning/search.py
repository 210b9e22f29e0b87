"""A search: everything that a trial's value depends on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanproof.errors import ScanproofError
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.fingerprint import code_fingerprint, method_version
from scanproof.tuning.held_out import check_can_be_held_out
from scanproof.tuning.objectives import Objectives, read_objectives
from scanproof.tuning.settings import Settings, make_settings, read_assignments
from scanproof.tuning.slices import Slices, prepare_slices

if TYPE_CHECKING:
    from scanproof.study.definition import Study
    from scanproof.study.store import Store


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for.

    Args:
        method: registered name of an un-trained method.
        objectives: names; see :func:`~scanproof.tuning.objectives.read_objectives`.
        slices: number of validation slices that every trial reconstructs.
        seconds: most processor time of a slice; a trial that exceeds it is stopped.
        preset: settings that the search starts from: a name, or the path of a YAML file.
        fixed: ``name=value`` of options that are not searched.
        only: options to search; empty for all.
    """

    method: str
    objectives: Sequence[str] = ("held_out",)
    slices: int = 4
    seconds: float | None = None
    preset: str = "default"
    fixed: Sequence[str] = ()
    only: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search, the same in every process that takes part in it.

    Args:
        study: name of the study.
        settings: what is searched, and what is not.
        objectives: what is made better.
        slices: on which.
        seconds: most processor time of a slice.
        threads: CPU threads of a fit, as the study says.
        code: hash of the code behind a trial's value.
    """

    study: str
    settings: Settings
    objectives: Objectives
    slices: Slices
    seconds: float | None
    threads: int
    code: str

    @property
    def name(self) -> str:
        """Names files and folders."""
        return f"{self.study}-{self.settings.method}"

    @cached_property
    def identity(self) -> str:
        """Hash of all that a trial's value depends on: trials of different searches are never mixed."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def optuna_name(self) -> str:
        """Name of the search among those in one storage."""
        return f"{self.name}-{self.identity}"

    @property
    def prunes(self) -> bool:
        """Trials that fall behind are ended early; Optuna can do it for a single objective on several slices."""
        return not self.objectives.seconds and len(self.slices.chosen) > 1

    def definition(self) -> dict[str, Any]:
        """The search in plain types, for records."""
        from scanproof.tuning.space import label

        return {
            "study": self.study,
            "method": self.settings.method,
            "objectives": list(self.objectives.names),
            "seconds_a_slice": self.seconds,
            "threads": self.threads,
            "acceleration": self.slices.acceleration,
            "mask": self.slices.mask,
            "slices": [f"{one.site}: {one.case}" for one in self.slices.chosen],
            "start": {name: label(value) for name, value in self.settings.start.items()},
            "not_searched": {name: label(value) for name, value in self.settings.settled.items()},
            "code": self.code,
        }


def make_search(
    study: Study,
    request: Request,
    *,
    root: Path,
    store_at: str | None = None,
    on_stage: Callable[[str], None] = lambda text: None,
) -> Search:
    """Work out a search, and make the cohorts that it needs.

    Args:
        study: whose validation slices are used, acquired with its first acceleration.
        request: what the user asks for.
        root: folder of the store.
        store_at: see :func:`~scanproof.study.remote_store.open_store`.
        on_stage: told what takes time.

    Raises:
        ScanproofError: anything in the request that cannot be done; a study without validation slices.
    """
    from scanproof.study.run import Workspace, plan_study

    objectives = read_objectives(request.objectives)
    if request.seconds is not None and not request.seconds > 0:
        raise ScanproofError("must be positive", key="--seconds", value=request.seconds)
    settings = make_settings(
        request.method, preset=request.preset, fixed=read_assignments(request.fixed), only=request.only
    )
    if objectives.quality == "held_out":
        check_can_be_held_out(settings.settled)
    workspace = Workspace(root=root, store_at=store_at)
    slices = prepare_slices(
        plan_study(study, workspace),
        workspace.store,
        acquisition=study.acquisition,
        count=request.slices,
        seed=study.seed,
        on_stage=on_stage,
    )
    return Search(
        study=study.name,
        settings=settings,
        objectives=objectives,
        slices=slices,
        seconds=request.seconds,
        threads=study.compute.threads,
        code=_code(request.method),
    )


def _code(method: str) -> str:
    other = method_version(RECONSTRUCTORS.location(method))
    return code_fingerprint("reconstruct") + (f" {other}" if other else "")


def read_samples(search: Search, store: Store) -> list[dict[str, Any]]:
    """The slices of a search; without references where its objective needs none."""
    return search.slices.acquire(store, reference=search.objectives.quality != "held_out")
