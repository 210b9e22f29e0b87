"""Where a report answers what CLAIM 2024, STARD-AI and TRIPOD+AI ask for, and what those who did the study must add.

The items are those of Tejani et al., "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update"
(Radiol. Artif. Intell. 6(4):e240300, 2024), Sounderajah et al., "The STARD-AI reporting guideline for diagnostic
accuracy studies using artificial intelligence" (Nat. Med. 31:3283-3289, 2025) and Collins et al., "TRIPOD+AI statement"
(BMJ 385:e078378, 2024), each in short words of our own; the papers have the full text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, cast

import yaml

from scanproof.reporting.embedding import resource

#: whether the report answers, answers in part, leaves it to those who did the study, or does not need to
Answer = Literal["report", "partly", "site", "none"]
#: guidelines in the order of their columns: key in the file, and name
GUIDELINES = {"claim": "CLAIM 2024", "stard": "STARD-AI", "tripod": "TRIPOD+AI"}
ANSWERS: dict[Answer, str] = {
    "report": "in this report",
    "partly": "in part; to be completed",
    "site": "to be written by the study's authors",
    "none": "does not apply",
}


class Asked(NamedTuple):
    """One thing that guidelines ask for, its item numbers by guideline, and who answers where."""

    asks: str
    items: dict[str, tuple[str, ...]]
    answer: Answer
    sections: tuple[tuple[str, str], ...]
    note: str

    @property
    def words(self) -> str:
        """Who answers."""
        return ANSWERS[self.answer]


def checklist(present: Mapping[str, str]) -> list[Asked]:
    """What is asked, and where a report answers.

    An item is said to be answered only in sections that the report has; without any, it is left to the authors.

    Args:
        present: identifier to title of the report's sections.

    Example:
        >>> asked = {one.asks: one for one in checklist({"limits": "Limits"})}
        >>> asked["Limits"].sections, asked["Limits"].items["claim"], asked["Failures"].answer
        ((('limits', 'Limits'),), ('40',), 'site')
    """
    found = []
    for entry in _entries():
        sections = tuple((name, present[name]) for name in entry.get("sections", ()) if name in present)
        answer = cast("Answer", entry["answer"])
        found.append(
            Asked(
                entry["asks"],
                {key: tuple(entry[key]) for key in GUIDELINES},
                answer if sections or answer not in ("report", "partly") else "site",
                sections,
                entry.get("note", "") if sections or answer not in ("report", "partly") else "",
            )
        )
    return found


@cache
def _entries() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = yaml.safe_load(resource("checklist.yaml"))
    return entries
