from __future__ import annotations

import random

import pytest

from scanproof.atlas.families import FAMILIES, by_family, entry
from scanproof.errors import ScanproofError
from scanproof.transforms import SHIFTS


@pytest.mark.parametrize("name", list(SHIFTS))
def test_every_shift_has_a_family_and_a_cause_in_one_line(name):
    found = entry(name)
    assert found.family in FAMILIES[:-1]
    assert 20 < len(found.cause) < 90
    assert found.cause.endswith(".")


def test_families_stand_together_whatever_the_order_of_the_names():
    names = list(SHIFTS)
    random.Random(1).shuffle(names)
    ordered = by_family(names)
    assert ordered == by_family()
    assert sorted(ordered) == list(SHIFTS)
    families = [entry(name).family for name in ordered]
    assert [FAMILIES.index(family) for family in families] == sorted(FAMILIES.index(family) for family in families)


def test_unknown_names_list_the_known():
    with pytest.raises(
        ScanproofError, match=r"shift: unknown shift, got 'ghostin' \(did you mean 'ghosting'\? known: "
    ):
        by_family(["ghosting", "ghostin"])


def test_shifts_of_other_packages_come_last_with_their_own_first_line(monkeypatch):
    monkeypatch.setitem(SHIFTS._factories, "a_guest", "fractions:Fraction")
    assert by_family(["a_guest", "zipper"]) == ["zipper", "a_guest"]
    assert entry("a_guest").family == "Other"
    assert entry("a_guest").cause.startswith("This class implements rational numbers")
