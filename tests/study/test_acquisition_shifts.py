from __future__ import annotations

import math

import pytest
from hypothesis import given, settings, strategies as st

from scanproof.data.demo.scanner import SCANNERS
from scanproof.data.demo.shape import HeadShape
from scanproof.errors import ScanproofError
from scanproof.physics.masks import cartesian_mask
from scanproof.study.acquisition_shifts import (
    ACQUISITION_SHIFTS,
    ALONE,
    VOLUMES_ONLY,
    accelerate,
    check_dimensions,
    grading,
    severities,
    study_shifts,
)
from scanproof.transforms import SHIFTS
from scanproof.transforms.severity import GRADINGS


def test_one_table_holds_every_shift_once() -> None:
    assert not set(SHIFTS) & set(ACQUISITION_SHIFTS)
    for name in study_shifts():
        levels = grading(name)
        assert levels is not None
        assert levels.source
        assert len(levels.levels) == len(severities(name))
        assert all(level.keys() == levels.units.keys() for level in levels.levels)
    assert grading("ghosting") is GRADINGS["ghosting"]
    with pytest.raises(ScanproofError, match=r"unknown shift, got 'snrr' \(did you mean 'snr'"):
        grading("snrr")


@pytest.mark.parametrize("name", sorted(set(ACQUISITION_SHIFTS) - ALONE))
def test_levels_move_away_from_the_protocol(name: str) -> None:
    for parameter in ACQUISITION_SHIFTS[name].units:
        departure = [abs(math.log(level[parameter])) for level in ACQUISITION_SHIFTS[name].levels]
        assert departure == sorted(set(departure))


def test_shifts_that_need_a_volume_are_known_without_importing_them() -> None:
    for name in SHIFTS:
        location = SHIFTS.location(name)
        try:
            factory = SHIFTS.factory(name)
        except ModuleNotFoundError:
            continue
        assert (2 in factory.dimensions) == (name not in VOLUMES_ONLY), location
        assert 3 in factory.dimensions, location
    with pytest.raises(ScanproofError, match="shift must work in slices, which is what the study acquires, got 'slice"):
        check_dimensions("slice_thickness", 2)
    check_dimensions("slice_thickness", 3)


def test_shifts_of_other_packages_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flat:
        dimensions = (3,)

    monkeypatch.setattr(SHIFTS, "_factories", {**SHIFTS._factories, "theirs": "elsewhere:Flat"})
    monkeypatch.setattr(SHIFTS, "factory", lambda name: Flat)
    with pytest.raises(ScanproofError, match="shift must work in slices"):
        check_dimensions("theirs", 2)
    check_dimensions("theirs", 3)


@pytest.mark.parametrize("level", ACQUISITION_SHIFTS["contrast"].levels)
@pytest.mark.parametrize("site", SCANNERS)
def test_drifted_contrast_is_still_that_of_flair(site: str, level: dict[str, float]) -> None:
    """Lesions brightest, fluid darkest; the lesion's contrast falls, the fluid's signal rises."""
    usual, drifted = SCANNERS[site], SCANNERS[site].drifted(**level)
    fluid, white, grey, lesion = (drifted.signal(tissue) for tissue in ("fluid", "white", "grey", "lesion"))
    assert fluid < min(white, grey)
    assert lesion > 1.1 * max(white, grey)
    assert lesion / white < usual.signal("lesion") / usual.signal("white")
    assert fluid > usual.signal("fluid")


def test_levels_of_anatomy_are_heads() -> None:
    assert [HeadShape(**level).size for level in ACQUISITION_SHIFTS["anatomy"].levels[1:]] == pytest.approx(
        [50.7 / 57, 48.3 / 57, 46.1 / 57, 40.5 / 57], abs=0.005
    )


@settings(max_examples=30, deadline=None)
@given(
    nominal=st.floats(1.1, 8),
    center=st.floats(0.02, 0.12),
    severity=st.integers(1, 5),
    lines=st.integers(64, 320),
    seed=st.integers(0, 1000),
)
def test_faster_sampling_is_allowed_or_refused_with_a_reason(
    nominal: float, center: float, severity: int, lines: int, seed: int
) -> None:
    factor = ACQUISITION_SHIFTS["acceleration"].levels[severity - 1]["factor"]
    if round(lines * max(center / factor, 1 / lines)) >= lines / (nominal * factor):
        with pytest.raises(ScanproofError, match="acceleration must leave lines outside the k-space centre of"):
            accelerate(nominal, center, factor=factor, lines=lines)
        return
    faster, narrower = accelerate(nominal, center, factor=factor, lines=lines)
    assert faster == nominal * factor
    mask = cartesian_mask(lines, kind="equispaced", acceleration=faster, center_fraction=narrower, seed=seed)
    assert 1 <= mask.sum() <= lines
