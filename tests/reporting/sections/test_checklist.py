from __future__ import annotations

from collections import Counter

import pytest
import yaml

from scanproof.reporting.embedding import resource
from scanproof.reporting.page import TITLES
from scanproof.reporting.sections.checklist import ANSWERS, checklist

#: how often an item is divided: STARD-AI has 40 items in 48 parts, TRIPOD+AI 27 in 52
ITEMS = {
    "claim": (44, {}),
    "stard": (40, {15: 4, 16: 3, 17: 2, 26: 2, 40: 2}),
    "tripod": (27, {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}),
}


def numbers(last: int, parts: dict[int, int]) -> list[str]:
    letters = {item: [f"{item}{'abcdefg'[i]}" for i in range(count)] for item, count in parts.items()}
    return [name for item in range(1, last + 1) for name in letters.get(item, [str(item)])]


@pytest.mark.parametrize("guideline", ITEMS)
def test_every_item_of_every_guideline_stands_exactly_once(guideline: str) -> None:
    found = Counter(item for one in checklist(TITLES) for item in one.items[guideline])
    assert found == Counter(numbers(*ITEMS[guideline]))


def test_the_numbers_of_parts_are_those_of_the_papers() -> None:
    assert [len(numbers(*ITEMS[name])) for name in ITEMS] == [44, 48, 52]


def test_sections_that_are_named_exist_and_answers_are_known() -> None:
    for entry in yaml.safe_load(resource("checklist.yaml")):
        assert entry["answer"] in ANSWERS
        assert set(entry.get("sections", ())) <= TITLES.keys()
        assert bool(entry.get("sections")) == (entry["answer"] in ("report", "partly")), entry["asks"]


def test_what_a_report_lacks_is_not_said_to_be_answered() -> None:
    full, bare = checklist(TITLES), checklist({"provenance": "Provenance"})
    for one, less in zip(full, bare, strict=True):
        assert {name for name, _ in less.sections} == {name for name, _ in one.sections} & {"provenance"}
        if one.answer in ("report", "partly") and not less.sections:
            assert less.answer == "site"
