"""The best settings as a preset file, which study files and methods read."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from scanproof.tuning.search import Search
from scanproof.tuning.trials import Ranking, Record


def preset_text(search: Search, ranking: Ranking, *, trials: int, command: str) -> str:
    """A preset: every option of the best trial, under a comment that says where it comes from.

    Holds no time and, but for objectives that are one, no measured time: a search that is repeated gives the same text.

    Args:
        search: that was run.
        ranking: of its trials.
        trials: number of trials that were finished.
        command: that made the file.
    """
    best, start = ranking.best, ranking.start
    where = "; ".join(f"{site}: {', '.join(subjects)}" for site, subjects in search.slices.subjects.items())
    lines = [
        f"Settings of {search.settings.method}, found on validation slices of the study {search.study}.",
        command,
        f"Search {search.identity}: trial {best.number}, the best of {trials}.",
        f"{_values(search, best)} on {len(search.slices.chosen)} slices at R = {search.slices.acceleration:g}.",
        f"The search started from {_values(search, start)}."
        if start
        else "The settings it started from gave no result.",
        f"Subjects: {where}.",
    ]
    head = "".join(f"# {' '.join(line.split())}\n" for line in lines)
    options = {name: _plain(value) for name, value in sorted(search.settings.options(best.options).items())}
    return head + yaml.safe_dump(options, sort_keys=False, allow_unicode=True)


def _values(search: Search, record: Record) -> str:
    pairs = zip(search.objectives.names, record.values or (), strict=True)
    return ", ".join(f"{name} {value:.6g}" for name, value in pairs)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
