"""Everything that a check of a site's files found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pandas as pd

from scanproof.data.check.balance import Balance, Share, balances, shares
from scanproof.data.check.duplicates import find_duplicates
from scanproof.data.check.inspect import FileFacts
from scanproof.data.check.outliers import Geometry, find_geometries, odd_geometries, odd_intensities
from scanproof.data.problems import Problem, Unit, from_error
from scanproof.errors import ScanproofError
from scanproof.intake.discover import Intake
from scanproof.intake.readiness import Readiness, readiness
from scanproof.intake.reading import Job, read_files

#: pictures on a page; of more files, evenly spaced ones are shown
MOST_PICTURES: Final = 240
#: what stands above everything that a check writes
LOCAL: Final = "For the site itself: holds images and local names. It must not leave the site."


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What was found.

    Args:
        origin: where it comes from whose the files are.
        files: one row a file: ``subject, site, split, line, listed, broken, size`` and labels.
        facts: of the same files.
        problems: rules that are broken, by line.
        notes: what is odd, by line.
        remarks: on all files together.
        shares: what each site has in each split.
        balances: how often each target is there.
        geometries: of each site, the most usual first.
        ready: what a study could do with it.
        unit: what lines are.
    """

    origin: str
    files: pd.DataFrame = field(repr=False)
    facts: list[FileFacts] = field(repr=False)
    problems: list[Problem]
    notes: list[Problem]
    remarks: tuple[str, ...]
    shares: list[Share]
    balances: list[Balance]
    geometries: list[Geometry]
    ready: Readiness
    unit: Unit = "line"

    @property
    def clean(self) -> bool:
        """Nothing is wrong; there may be notes."""
        return not self.problems and not self.ready.obstacles


def check_intake(
    intake: Intake,
    *,
    workers: int = 1,
    pictures: bool = False,
    on_done: Callable[[], None] = lambda: None,
) -> Checkup:
    """Read all files of a folder and say what is wrong with them; the number of processes changes nothing.

    Args:
        intake: whose files they are.
        workers: processes.
        pictures: whether pictures are wanted.
        on_done: told of every file.
    """
    unit = intake.examined.unit
    table = intake.examined.manifest.table.join(intake.examined.rows)
    files = table[table["path"].notna()].reset_index(drop=True)
    shown = chosen(len(files)) if pictures else set()
    jobs = [Job(str(path), row in shown) for row, path in enumerate(files["path"])]
    facts = read_files(jobs, workers=workers, on_done=on_done)
    broken = [
        _broken(fact.error, path=str(path), line=line, listed=str(listed), unit=unit)
        for fact, path, line, listed in zip(facts, files["path"], files["line"].tolist(), files["listed"], strict=True)
        if fact.error is not None
    ]
    files = files.assign(
        broken=[fact.error is not None for fact in facts],
        size=[fact.size for fact in facts],
        content=pd.array([fact.content for fact in facts], dtype="string"),
        pixels=pd.array([fact.pixels for fact in facts], dtype="string"),
    )
    copies, repeats = find_duplicates(files, unit=unit)
    geometries = find_geometries(files["site"], facts)
    odd = [*odd_geometries(geometries, files, unit=unit), *odd_intensities(files, facts, unit=unit)]
    whole = files[~files["broken"] & files["subject"].notna() & files["site"].notna()]
    if files["split"].notna().any():  # what has none although others have was named already
        whole = whole[whole["split"].notna()]
    return Checkup(
        origin=intake.origin,
        files=files.drop(columns=["content", "pixels"]),
        facts=facts,
        problems=_by_line([*intake.examined.problems, *broken, *copies]),
        notes=_by_line([*repeats, *odd]),
        remarks=intake.notes,
        shares=shares(files),
        balances=balances(files),
        geometries=geometries,
        ready=readiness(whole),
        unit=unit,
    )


def chosen(files: int, *, most: int = MOST_PICTURES) -> set[int]:
    """Numbers of the files that are pictured: all, or evenly spaced ones.

    Example:
        >>> sorted(chosen(10, most=3))
        [0, 4, 9]
    """
    if files <= most:
        return set(range(files))
    return {round(k * (files - 1) / (most - 1)) for k in range(most)}


def _broken(error: ScanproofError, *, path: str, line: int, listed: str, unit: Unit) -> Problem:
    problem = from_error(error, line=line, path=listed)
    problem = replace(problem, rule=problem.rule.replace(path, listed))  # libraries like to repeat it
    inner = error.file  # of a series, the file that is wrong
    if inner is not None and str(inner) != path and Path(path) in Path(inner).parents:
        problem = replace(problem, rule=f"{Path(inner).name}: {problem.rule}")
    return replace(problem, unit=unit)


def _by_line(problems: Sequence[Problem]) -> list[Problem]:
    """What is about the whole manifest first."""
    return sorted(problems, key=lambda problem: problem.line or 0)
