from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.study.acquisition_shifts import severities
from scanproof.study.conditions import Condition, Part
from scanproof.study.load import load_study

MIXED = {
    "name": "hurried",
    "compose": [
        {"name": "acceleration", "severity": 2},
        {"name": "rigid_motion", "severity": 4},
        {"name": "ghosting", "severity": 1},
    ],
}


@pytest.fixture
def conditions(small, write_study):
    def read(*shifts: object, **changes: object) -> list[Condition]:
        study = load_study(write_study({**small, **changes, "shifts": list(shifts)}))
        return [condition for plan in study.shifts for condition in plan.conditions()]

    return read


def test_a_shift_without_severities_has_all_of_them(conditions) -> None:
    assert [c.severity for c in conditions({"name": "ghosting"})] == [1, 2, 3, 4, 5]
    assert conditions({"name": "mask_type"}) == [Condition("mask_type", 1, (Part("mask_type", 1),))]


def test_a_fixed_composition_is_one_condition_at_its_largest_severity(conditions) -> None:
    (condition,) = conditions(MIXED)
    assert (condition.shift, condition.severity) == ("hurried", 4)
    assert condition.artifacts == (Part("rigid_motion", 4), Part("ghosting", 1))
    assert condition.acceleration == 1.5
    assert (condition.coils, condition.snr, condition.other_mask, condition.rendering) == (1, 1, False, {})


def test_a_graded_composition_gives_its_severity_to_parts_without_one(conditions) -> None:
    parts = [{"name": "snr"}, {"name": "mask_type", "severity": 1}, {"name": "anatomy"}, {"name": "bias_field"}]
    mild, severe = conditions({"name": "other_clinic", "compose": parts, "severities": [5, 1]})
    assert (mild.severity, severe.severity) == (1, 5)
    assert (mild.snr, severe.snr) == (1.5, 6)
    assert severe.other_mask
    assert severe.artifacts == (Part("bias_field", 5),)
    assert severe.rendering == {"anatomy": {"size": 0.71, "aspect": 1.15, "ventricles": 1.6}}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.sampled_from(["snr", "coil_count", "acceleration", "contrast"]))
def test_a_part_does_in_company_what_it_does_alone(severity: int, name: str) -> None:
    alone = Condition(name, severity, (Part(name, severity),))
    company = Condition("both", 5, (Part("ghosting", 5), Part(name, severity)))
    for fact in ("snr", "coils", "acceleration", "rendering", "other_mask"):
        assert getattr(alone, fact) == getattr(company, fact)
    assert alone != Condition()
    assert severity in severities(name)


COMPOSE = [{"name": "snr", "severity": 2}, {"name": "ghosting", "severity": 3}]


@pytest.mark.parametrize(
    ("shift", "message"),
    [
        ({"name": "mask_type", "severities": [2]}, r"shifts\[0\]: severity of mask_type must be one of \[1\], got 2"),
        (
            {"name": "slice_thickness"},
            r"shifts\[0\].name: shift must work in slices, .*got 'slice_thickness' \(acq",
        ),
        (
            {"name": "acceleratoin"},
            r"shifts\[0\].name: unknown shift, got 'acceleratoin' \(did you mean 'acceleration'",
        ),
        (
            {"name": "a", "compose": [COMPOSE[0], {"name": "ghostng", "severity": 1}]},
            r"shifts\[0\].compose\[1\].name: unknown shift, got 'ghostng' \(did you mean 'ghosting'",
        ),
        (
            {"name": "a", "compose": [{"name": "snr"}, COMPOSE[1]]},
            r"shifts\[0\]: every part of a composition without severities must have a severity, got 'snr'",
        ),
        (
            {"name": "a", "compose": COMPOSE, "severities": [1]},
            r"shifts\[0\]: a composition with severities must have a part without one, got 'a' \(leave out",
        ),
        (
            {"name": "a", "compose": [{"name": "mask_type"}, COMPOSE[0]], "severities": [1, 4]},
            r"shifts\[0\]: severity of mask_type must be one of \[1\], got 4",
        ),
        (
            {"name": "a", "compose": [*COMPOSE, COMPOSE[0]]},
            r"shifts\[0\]: change of the acquisition must be listed once, got 'snr' twice",
        ),
        (
            {"name": "a", "compose": [COMPOSE[0], {"name": "ghosting", "severty": 1}]},
            r"shifts\[0\].compose\[1\].severty: unknown key, got 'severty' \(did you mean 'severity'\? known: name,",
        ),
        (
            {"name": "a", "compose": COMPOSE, "severites": [1]},
            r"shifts\[0\].severites: unknown key, .*known: compose, name, severities\)",
        ),
        ({"name": "a", "compose": COMPOSE[:1]}, r"shifts\[0\].compose: .*at least 2 items"),
        ({"name": "snr", "compose": COMPOSE}, r"shifts\[0\].name: name of a composition must not be that of a shift"),
        ({"name": "none", "compose": COMPOSE}, r"shifts\[0\].name: must not be 'none' or 'all'"),
        ({"name": "a b", "compose": COMPOSE}, r"shifts\[0\].name: must start with a letter or digit .*got 'a b'"),
        (
            {"name": "a", "compose": [COMPOSE[0], {"name": "slice_thickness", "severity": 1}]},
            r"shifts\[0\].compose\[1\].name: shift must work in slices",
        ),
    ],
)
def test_wrong_shifts_are_named(conditions, shift: dict, message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        conditions(shift)


def test_names_of_shifts_and_compositions_stand_once(conditions) -> None:
    with pytest.raises(ScanproofError, match="name must be listed once, got 'hurried' twice"):
        conditions(MIXED, MIXED)


@pytest.mark.parametrize("name", ["contrast", "anatomy"])
def test_what_renders_subjects_again_is_refused_for_images_of_patients(conditions, name: str) -> None:
    data = {"kind": "volumes", "manifest": "cohort.csv"}
    own = rf"shifts\[1\]: needs the demo cohort: .*got '{name}' \(test another site of your own data"
    for shift in ({"name": name}, {"name": "a", "compose": [{"name": name, "severity": 1}, COMPOSE[0]]}):
        with pytest.raises(ScanproofError, match=own):
            conditions({"name": "ghosting"}, shift, data=data)


def test_too_fast_an_acquisition_is_refused_when_the_study_is_read(conditions) -> None:
    with pytest.raises(ScanproofError, match=r"shifts\[0\]: acceleration must leave lines outside .* 40 phase-enc"):
        conditions({"name": "acceleration"}, acquisition={"accelerations": [12], "center_fraction": 0.04})
