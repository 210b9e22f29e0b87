"""A small study with every kind of shift, from its definition to its report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from scanproof.study.load import load_study
from scanproof.study.run import Finished, Workspace, plan_study, run_study

ROOT = Path(__file__).resolve().parents[2]

SHIFTS = [
    {"name": "ghosting", "severities": [2]},
    {"name": "acceleration", "severities": [3]},
    {"name": "mask_type"},
    {"name": "coil_count", "severities": [5]},
    {"name": "snr", "severities": [5]},
    {"name": "contrast", "severities": [5]},
    {"name": "anatomy", "severities": [5]},
    {
        "name": "motion_then_ghosting",
        "compose": [{"name": "rigid_motion", "severity": 4}, {"name": "ghosting", "severity": 2}],
    },
    {
        "name": "other_place",
        "compose": [{"name": "anatomy"}, {"name": "acceleration"}, {"name": "ghosting"}],
        "severities": [1, 2],
    },
    {"name": "noisy_clinic", "severities": [3]},
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> Finished:
    folder = tmp_path_factory.mktemp("shifts")
    small = yaml.safe_load(small_text)
    classifier = {**small["classification"][0], "norms": ["batch"], "seeds": [1]}
    content = {
        **small,
        "name": "shifts",
        "data": {**small["data"], "sites": ["north"]},
        "shifts": SHIFTS,
        "reconstruction": [{"name": "fully_sampled"}, {"name": "zero_filled"}],
        "classification": [classifier],
    }
    (folder / "shifts.yaml").write_text(yaml.safe_dump(content))
    study = load_study(folder / "shifts.yaml")
    return run_study(study, Workspace(root=folder), workers=1, tracking_uri=None, command="test")


@pytest.fixture(scope="module")
def quality(finished: Finished) -> pd.Series:
    """Mean NRMSE by shift, severity and method."""
    rows = finished.results.query("metric == 'nrmse' and site == 'north' and subject.isna()")
    return rows.set_index(["shift", "severity", "reconstruction"])["value"]


def test_every_condition_is_in_the_results_under_its_name_and_nominal_acceleration(finished: Finished) -> None:
    conditions = finished.predictions.query("split == 'test'")[["shift", "severity"]].drop_duplicates()
    assert sorted(conditions.itertuples(index=False, name=None)) == [
        ("acceleration", 3),
        ("anatomy", 5),
        ("coil_count", 5),
        ("contrast", 5),
        ("ghosting", 2),
        ("mask_type", 1),
        ("motion_then_ghosting", 4),
        ("noisy_clinic", 3),
        ("none", 0),
        ("other_place", 1),
        ("other_place", 2),
        ("snr", 5),
    ]
    speeds = finished.results.groupby("reconstruction")["acceleration"].unique().map(list).to_dict()
    assert speeds == {"fully_sampled": [1.0], "zero_filled": [2.0]}


def test_every_condition_has_the_same_cases_and_labels(finished: Finished) -> None:
    tests = finished.predictions.query("split == 'test'")
    groups = [
        group.set_index("case")[["subject", "label"]].sort_index()
        for _, group in tests.groupby(["shift", "severity", "reconstruction"])
    ]
    assert len(groups) == 24
    assert all(group.equals(groups[0]) for group in groups)
    assert 0 < groups[0]["label"].mean() < 1


def test_what_a_shift_cannot_reach_is_left_as_it_is(quality: pd.Series) -> None:
    clean = quality["none", 0]
    for name, severity in (("acceleration", 3), ("mask_type", 1)):
        assert quality[name, severity]["fully_sampled"] == pytest.approx(clean["fully_sampled"], rel=1e-6)
    assert quality["acceleration", 3]["zero_filled"] > 1.2 * clean["zero_filled"]
    assert quality["mask_type", 1]["zero_filled"] != pytest.approx(clean["zero_filled"], rel=1e-3)
    # noise alone separates the fully sampled image from its reference: six times as much, and sqrt(8) times
    assert quality["snr", 5]["fully_sampled"] == pytest.approx(6 * clean["fully_sampled"], rel=0.15)
    assert quality["coil_count", 5]["fully_sampled"] == pytest.approx(8**0.5 * clean["fully_sampled"], rel=0.15)


def test_subjects_that_are_rendered_again_are_their_own_reference(quality: pd.Series) -> None:
    for name in ("contrast", "anatomy"):
        assert quality[name, 5]["fully_sampled"] < 1.5 * quality["none", 0]["fully_sampled"]


def test_a_composition_does_more_than_its_part(quality: pd.Series) -> None:
    ghosts, both = quality["ghosting", 2]["fully_sampled"], quality["motion_then_ghosting", 4]["fully_sampled"]
    assert both > 1.2 * ghosts
    assert quality["other_place", 2]["fully_sampled"] > quality["other_place", 1]["fully_sampled"]


def test_the_report_and_the_panels_show_them(finished: Finished) -> None:
    report = finished.report.read_text()
    for name in ("motion then ghosting", "noisy clinic", "coil count", "other place"):
        assert name in report
    assert (finished.folder / "figures" / "overview.png").stat().st_size > 10_000


def test_panels_compare_with_the_subject_as_it_was_rendered(finished: Finished) -> None:
    from scanproof.study.examples import image_panels

    workspace = Workspace(root=finished.folder.parents[1])
    panels = image_panels(plan_study(finished.study, workspace), workspace.store)
    reference = {panel.shift: panel.images["reference"] for panel in panels}
    assert (reference["ghosting"] == reference["none"]).all()
    assert (reference["anatomy"] == reference["other_place"]).mean() < 0.9  # other severities
    for name in ("contrast", "anatomy"):
        assert (reference[name] != reference["none"]).any()
        (own,) = [p for p in panels if p.shift == name and p.reconstruction == "fully_sampled"]
        assert own.images["error"].mean() < 0.5 * abs(own.images["reconstruction"] - reference["none"]).mean()


def test_the_committed_study_uses_every_shift_of_the_acquisition() -> None:
    from scanproof.study.acquisition_shifts import ACQUISITION_SHIFTS, ALONE

    study = load_study(ROOT / "studies" / "distribution_shifts.yaml")
    conditions = [condition for plan in study.shifts for condition in plan.conditions()]
    listed = {part.name for condition in conditions for part in condition.parts}
    assert listed >= {*ACQUISITION_SHIFTS, "noisy_clinic"} - ALONE
    assert sum(len(condition.parts) > 1 for condition in conditions) >= 2
