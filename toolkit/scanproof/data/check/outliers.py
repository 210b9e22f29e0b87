"""Files that are unlike the others of their site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from scanproof.data.check.inspect import FileFacts
from scanproof.data.check.intensity import Intensity
from scanproof.data.problems import Problem, Unit

#: sizes of voxels that are nearer than this share count as equal
TOLERANCE: Final = 0.02
#: a group with at most this share of its site's files is named, if another has more than half of them
RARE: Final = 0.1
#: fewer files of a site tell nothing of what is usual there
FEWEST: Final = 8
#: distance from the site's median, in standard deviations of a normal distribution of the same median deviation
FAR: Final = 6.0
#: share of clipped values that is named
CLIPPED: Final = 0.01
_NORMAL: Final = 1.4826


class Geometry(NamedTuple):
    """Files of a site with nearly the same matrix and voxel size; their numbers of slices may differ.

    Args:
        site: its name.
        format: of the files.
        shape: of one of them.
        spacing: of the same one, mm.
        slices: fewest and most; k-space and volumes alike.
        rows: numbers of the files in the table.
    """

    site: str
    format: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    slices: tuple[int, int]
    rows: tuple[int, ...]

    @property
    def words(self) -> str:
        """The geometry as a person would write it."""
        return geometry_words(self.shape, self.spacing)


def geometry_words(shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> str:
    """A shape and a voxel size as a person would write them.

    Example:
        >>> print(geometry_words((256, 192, 24), (0.9375, 0.9375, 5.0)))
        256 × 192 × 24, 0.938 × 0.938 × 5 mm
    """
    size = "" if spacing is None else f", {' × '.join(f'{mm:.3g}' for mm in spacing)} mm"
    return " × ".join(map(str, shape)) + size


def find_geometries(sites: pd.Series, facts: list[FileFacts]) -> list[Geometry]:
    """Groups of nearly the same geometry, by site, the largest first.

    Args:
        sites: of the files.
        facts: of the same files; those without a shape are left out.
    """
    groups: dict[tuple[object, ...], list[list[int]]] = {}
    for row, (site, fact) in enumerate(zip(sites, facts, strict=True)):
        if not fact.shape:
            continue
        key = (site, fact.gives, fact.format, _in_plane(fact))
        alike = groups.setdefault(key, [])
        fitting = next((group for group in alike if _near(facts[group[0]], fact)), None)
        if fitting is None:
            alike.append([row])
        else:
            fitting.append(row)
    found = []
    for (site, *_), alike in groups.items():
        for group in alike:
            counts = [_slices(facts[row]) for row in group]
            one = facts[group[0]]
            found.append(
                Geometry(
                    site=str(site),
                    format=str(one.format),
                    shape=one.shape,
                    spacing=one.spacing,
                    slices=(min(counts), max(counts)),
                    rows=tuple(group),
                )
            )
    return sorted(found, key=lambda group: (group.site, -len(group.rows), group.rows))


def odd_geometries(geometries: list[Geometry], files: pd.DataFrame, *, unit: Unit = "line") -> list[Problem]:
    """Notes about files whose geometry is rare at a site where another one is usual.

    Args:
        geometries: of all sites.
        files: columns ``line, listed``, of the same files.
        unit: what ``line`` counts.
    """
    notes = []
    for site in dict.fromkeys(group.site for group in geometries):
        groups = [group for group in geometries if group.site == site]
        total = sum(len(group.rows) for group in groups)
        usual = groups[0]
        if total < FEWEST or 2 * len(usual.rows) <= total:
            continue
        for group in groups[1:]:
            if len(group.rows) <= RARE * total:
                rule = f"geometry differs from the usual one of site {site} ({usual.words})"
                notes += [_note(rule, group.words, row, files, unit) for row in group.rows]
    return notes


class _Measure(NamedTuple):
    """A number of a file: its name, how it is had, the least spread between files, and whether ratios count."""

    words: str
    of: Callable[[Intensity], float | None]
    floor: float
    ratio: bool


_MEASURES: Final = (
    _Measure("99th percentile of its values", lambda found: found.high, 0.05, True),
    _Measure("signal-to-noise estimate", lambda found: found.snr, 0.05, True),
    _Measure("share of zeros", lambda found: found.zeros, 0.03, False),
)


def odd_intensities(files: pd.DataFrame, facts: list[FileFacts], *, unit: Unit = "line") -> list[Problem]:
    """Notes about files whose values are far from the median of their site, negative or clipped.

    Distances are in units of the median absolute deviation, scaled to a normal distribution's standard deviation
    (Rousseeuw and Croux, J Am Stat Assoc 88, 1993); percentiles and ratios are compared on a logarithmic scale.

    Args:
        files: columns ``site, line, listed``.
        facts: of the same files.
        unit: what ``line`` counts.
    """
    notes = []
    kinds = pd.Series([f"{fact.gives} {fact.format}" for fact in facts], index=range(len(facts)))
    sites = files["site"].fillna("").reset_index(drop=True)
    for measure in _MEASURES:
        found = [None if fact.intensity is None else measure.of(fact.intensity) for fact in facts]
        values = pd.Series(found, index=range(len(facts)), dtype="float64")
        scaled = values.where(values > 0).map(np.log10) if measure.ratio else values
        for (site, _), group in scaled.dropna().groupby([sites, kinds]):
            if len(group) < FEWEST:
                continue
            median = float(np.median(group))
            away = np.abs(group.to_numpy(np.float64) - median)
            spread = max(_NORMAL * float(np.median(away)), measure.floor)
            usual = 10**median if measure.ratio else median
            rule = f"{measure.words} is far from the median of site {site} ({usual:.3g})"
            far = group.index[away > FAR * spread]
            notes += [_note(rule, f"{values[row]:.3g}", int(row), files, unit) for row in far]
    for row, fact in enumerate(facts):
        if fact.intensity and fact.intensity.saturated > CLIPPED:
            share = f"{100 * fact.intensity.saturated:.1f} %"
            notes.append(_note("values equal to the greatest one were probably clipped", share, row, files, unit))
        if fact.intensity and fact.intensity.minimum < 0:
            value = f"{fact.intensity.minimum:.3g}"
            notes.append(_note("magnitudes are not negative; values below 0 are read as 0", value, row, files, unit))
    return sorted(notes, key=lambda note: note.line or 0)


def _note(rule: str, value: str, row: int, files: pd.DataFrame, unit: Unit) -> Problem:
    at = files.iloc[row]
    return Problem(rule=rule, line=int(at["line"]), column="path", found=(value,), path=str(at["listed"]), unit=unit)


def _in_plane(fact: FileFacts) -> tuple[int, ...]:
    return fact.shape[1:] if fact.gives == "kspace" else fact.shape[:2]


def _slices(fact: FileFacts) -> int:
    if fact.gives == "kspace":
        return fact.shape[0]
    return fact.shape[2] if len(fact.shape) > 2 else 1


def _near(one: FileFacts, other: FileFacts) -> bool:
    if one.spacing is None or other.spacing is None or len(one.spacing) != len(other.spacing):
        return one.spacing is None and other.spacing is None
    return bool(np.allclose(one.spacing, other.spacing, rtol=TOLERANCE, atol=0))
