"""The slices on which settings are compared: validation subjects of the training sites, spread over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanproof.data.cohort import Cohort
from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.errors import ScanproofError
from scanproof.study.executor import execute, missing_tasks
from scanproof.study.plan import Plan, Task
from scanproof.study.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from scanproof.study.definition import AcquisitionPlan

#: the split whose subjects a search may see
SPLIT = "val"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A slice of a validation subject.

    Args:
        site: whose scanner acquires it.
        subject: pseudonym, where the data are a site's own.
        case: name of the slice.
        place: row among the site's validation cases.
    """

    site: str
    subject: str
    case: str
    place: int


@dataclass(frozen=True, kw_only=True)
class Slices:
    """The chosen slices, and what it takes to acquire them.

    Args:
        chosen: in the order in which they are reconstructed.
        cohorts: site to the key of its cohort in the store.
        mask: kind of the sampling mask.
        acceleration: of the acquisition.
        center_fraction: share of lines fully sampled around the centre.
        seed: of the study.
    """

    chosen: tuple[Slice, ...]
    cohorts: Mapping[str, str]
    mask: str
    acceleration: float
    center_fraction: float
    seed: int

    @property
    def subjects(self) -> dict[str, list[str]]:
        """Site to the subjects whose slices were chosen."""
        found: dict[str, list[str]] = {}
        for one in self.chosen:
            subjects = found.setdefault(one.site, [])
            if one.subject not in subjects:
                subjects.append(one.subject)
        return found

    def acquire(self, store: Store, *, reference: bool) -> list[dict[str, Tensor]]:
        """Acquire the slices as the study does.

        Args:
            store: holds the cohorts.
            reference: samples hold the reference image; without it, nothing can look at it.
        """
        from scanproof.study.acquire import AcquiredCohort, Sampling

        sampling = Sampling(
            mask="random" if self.mask == "random" else "equispaced",
            acceleration=self.acceleration,
            center_fraction=self.center_fraction,
        )
        acquired = {
            site: AcquiredCohort(_validation(store, key), sampling=sampling, seed=self.seed)
            for site, key in self.cohorts.items()
        }
        keys = (KSPACE, MASK, SENSITIVITIES, *((REFERENCE,) if reference else ()))
        samples = (acquired[one.site][one.place] for one in self.chosen)
        return [{key: sample[key] for key in keys} for sample in samples]


def prepare_slices(
    plan: Plan,
    store: Store,
    *,
    acquisition: AcquisitionPlan,
    count: int,
    seed: int,
    on_stage: Callable[[str], None] = lambda text: None,
) -> Slices:
    """Make the cohorts of the training sites, if they are not in the store, and choose slices of their val split.

    Args:
        plan: of the study.
        store: where cohorts are found and kept.
        acquisition: of the study; its first acceleration counts.
        count: number of slices.
        seed: of the study.
        on_stage: told when cohorts must be made.

    Raises:
        ScanproofError: the study has no validation slices, or fewer than asked for.
    """
    tasks = {site: task for site, task in plan.cohorts.items() if _has_validation(task)}
    for site, task in tasks.items():
        if missing_tasks([task], store):
            on_stage(f"making the cohort of {site}")
            execute([task], store, workers=1)
    cases = {site: _validation(store, task.key).cases for site, task in tasks.items()}
    chosen = choose_slices({site: table for site, table in cases.items() if len(table)}, count=count)
    return Slices(
        chosen=tuple(chosen),
        cohorts={site: tasks[site].key for site in dict.fromkeys(one.site for one in chosen)},
        mask=acquisition.mask,
        acceleration=acquisition.accelerations[0],
        center_fraction=acquisition.center_fraction,
        seed=seed,
    )


def choose_slices(cases: Mapping[str, pd.DataFrame], *, count: int) -> list[Slice]:
    """Slices of as many subjects as can be, and of different heights.

    Args:
        cases: site to its validation cases, with the columns ``subject`` and ``case``; those of a subject stand in
            the order of their slices.
        count: number of slices.

    Raises:
        ScanproofError: no cases, or fewer than asked for.

    Example:
        >>> table = pd.DataFrame({"subject": ["a", "a", "b", "b"], "case": ["a0", "a1", "b0", "b1"]})
        >>> [one.case for one in choose_slices({"north": table}, count=2)]
        ['a0', 'b1']
    """
    subjects = [
        [
            Slice(site=site, subject=str(subject), case=str(table["case"].iloc[place]), place=int(place))
            for place in places
        ]
        for site, table in cases.items()
        for subject, places in _places(table["subject"]).items()
    ]
    total = sum(map(len, subjects))
    if total == 0:
        raise ScanproofError(
            "study must have validation subjects at a training site: settings are never compared on test subjects",
            key="data",
            hint="give the manifest rows with split val, or data.fractions a share for val",
        )
    if not 1 <= count <= total:
        raise ScanproofError(f"must be in [1, {total}], the number of validation slices", key="--slices", value=count)
    # an equal share for each, and what is left over from what subjects with more slices have
    shares = [0] * len(subjects)
    order = _spread(len(subjects), len(subjects))
    while sum(shares) < count:
        open_ = [n for n in order if shares[n] < len(subjects[n])]
        for n in _pick(open_, min(len(open_), count - sum(shares))):
            shares[n] += 1
    used = [n for n, share in enumerate(shares) if share]
    found: list[Slice] = []
    for rank, n in enumerate(used):
        size, share = len(subjects[n]), shares[n]
        # heights drift from subject to subject, so that single slices of several subjects cover the volume
        shift = (rank + 0.5) / len(used)
        found += [subjects[n][min(size - 1, int(size * (k + shift) / share))] for k in range(share)]
    return found


def _pick(values: Sequence[int], count: int) -> list[int]:
    """Some of several values, evenly."""
    return [values[n] for n in _spread(len(values), count)]


def _spread(size: int, count: int) -> list[int]:
    return [int((2 * k + 1) * size / (2 * count)) for k in range(count)]


def _places(subjects: pd.Series[Any]) -> dict[object, list[int]]:
    found: dict[object, list[int]] = {}
    for place, subject in enumerate(subjects):
        found.setdefault(subject, []).append(place)
    return found


def _has_validation(task: Task) -> bool:
    """Whether a site's cohort has validation subjects, as its task says before anything is computed."""
    params: Mapping[str, Any] = task.params
    if params["source"] == "demo":
        return bool(params["subjects"].get(SPLIT))
    return any(file["split"] == SPLIT for file in params["files"])


def _validation(store: Store, key: str) -> Cohort:
    from scanproof.study.tasks.cohort import read_cohort

    return read_cohort(store.get(key)).select(SPLIT)
