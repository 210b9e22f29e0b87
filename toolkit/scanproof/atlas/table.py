"""The severity table, written for readers and for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from scanproof.atlas.families import entry
from scanproof.atlas.measure import Level, Spread, faults
from scanproof.reporting.vocabulary import plain

METHOD = (
    "Synthetic multi-coil k-space without noise is made from each image, the shift acts on it, and the coil images "
    "are combined with their sensitivities. NRMSE is the norm of the difference to the clean image over the norm of "
    "the clean image, and SSIM its structural similarity to it (Gaussian window, Wang et al. 2004); both see the whole "
    "image, background included. Values are means over images and random patterns, in brackets the 5th and the 95th "
    "percentile. All severities of a shift meet the same patterns."
)


@dataclass(frozen=True, kw_only=True)
class SeverityTable:
    """Measured levels with what a reader must know about them.

    Args:
        levels: in reading order, those of one shift next to each other.
        anatomies: one sentence about the images.
        command: that made the table.
    """

    levels: Sequence[Level]
    anatomies: str
    command: str

    @property
    def faults(self) -> dict[tuple[str, int], str]:
        """See :func:`~scanproof.atlas.measure.faults`."""
        return faults(self.levels)


def frame(table: SeverityTable) -> pd.DataFrame:
    """A row each severity; parameters and units as ``name=value`` pairs, separated by semicolons."""
    wrong = table.faults
    rows = [
        {
            "family": entry(level.shift).family,
            "shift": level.shift,
            "severity": level.severity,
            "parameters": "; ".join(f"{name}={value:g}" for name, value in level.parameters.items()),
            "units": "; ".join(f"{name}={unit}" for name, unit in level.units.items()),
            "source": level.source,
            "cases": level.cases,
            "nrmse": level.nrmse.mean,
            "nrmse_p05": level.nrmse.low,
            "nrmse_p95": level.nrmse.high,
            "ssim": level.ssim.mean,
            "ssim_p05": level.ssim.low,
            "ssim_p95": level.ssim.high,
            "rises": (level.shift, level.severity) not in wrong,
            "command": table.command,
        }
        for level in table.levels
    ]
    return pd.DataFrame(rows)


def as_csv(table: SeverityTable) -> str:
    """Comma-separated values, see :func:`frame`."""
    return frame(table).to_csv(index=False, lineterminator="\n")


def as_json(table: SeverityTable) -> str:
    """The same with parameters as objects."""
    wrong = table.faults
    levels = [
        {
            "family": entry(level.shift).family,
            "shift": level.shift,
            "severity": level.severity,
            "parameters": dict(level.parameters),
            "units": dict(level.units),
            "source": level.source,
            "cases": level.cases,
            "nrmse": level.nrmse._asdict(),
            "ssim": level.ssim._asdict(),
            "rises": (level.shift, level.severity) not in wrong,
        }
        for level in table.levels
    ]
    head = {"command": table.command, "anatomies": table.anatomies, "method": METHOD}
    return json.dumps({**head, "levels": levels}, indent=2, ensure_ascii=False) + "\n"


def as_markdown(table: SeverityTable) -> str:
    """An overview, then a section a shift."""
    lines = [
        "# What the severities do",
        "",
        f"Made by `{table.command}`. Simulated, not scanner-acquired.",
        "",
        f"Images: {table.anatomies}. {METHOD}",
        "",
    ]
    wrong = table.faults
    if wrong:
        lines += ["**Not monotone:**", "", *(f"- **{shift}: {text}**" for (shift, _), text in wrong.items()), ""]
    shifts = [(name, list(levels)) for name, levels in groupby(table.levels, key=lambda level: level.shift)]
    lines += ["## Overview", "", "Mean NRMSE / SSIM at severity 1 to 5.", ""]
    lines += ["| family | shift | 1 | 2 | 3 | 4 | 5 |", "|---|---|--:|--:|--:|--:|--:|"]
    for name, levels in shifts:
        cells = [
            f"{level.nrmse.mean:.3f} / {level.ssim.mean:.2f}{_flag(level, wrong, '**not above**')}" for level in levels
        ]
        lines.append(f"| {entry(name).family} | [{plain(name)}](#{_anchor(name)}) | {' | '.join(cells)} |")
    for name, levels in shifts:
        lines += ["", f"## {_heading(name)}", "", *_section(name, levels, wrong)]
    return "\n".join(lines) + "\n"


def spread(value: Spread, *, digits: int = 3) -> str:
    """A mean with its range.

    Example:
        >>> spread(Spread(0.5, 0.25, 0.75))
        '0.500 (0.250–0.750)'
    """
    return f"{value.mean:.{digits}f} ({value.low:.{digits}f}–{value.high:.{digits}f})"


def _heading(name: str) -> str:
    return plain(name).capitalize()


def _anchor(name: str) -> str:
    return _heading(name).lower().replace(" ", "-")


def _section(name: str, levels: Sequence[Level], wrong: dict[tuple[str, int], str]) -> list[str]:
    first = levels[0]
    names = list(first.parameters)
    lines = [entry(name).cause, "", *(f"- {key}: {first.units.get(key, '')}" for key in names)]
    lines += [f"- source: {first.source}"] if first.source else []
    lines += ["", f"| severity | {' | '.join(names)} | NRMSE | SSIM |", "|--:" * (len(names) + 3) + "|"]
    for level in levels:
        values = " | ".join(f"{value:g}" for value in level.parameters.values())
        flag = _flag(level, wrong, "**not above the severity before**")
        lines.append(f"| {level.severity} | {values} | {spread(level.nrmse)}{flag} | {spread(level.ssim)} |")
    return [*lines, "", f"{first.cases} cases a severity."]


def _flag(level: Level, wrong: dict[tuple[str, int], str], text: str) -> str:
    return f" {text}" if (level.shift, level.severity) in wrong else ""
