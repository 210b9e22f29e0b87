"""Studies of volumes: the slices of a subject are acquired and reconstructed together, and measured one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scanproof.data.demo.generator import demo_cohort
from scanproof.errors import ScanproofError
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.acquire import AcquiredCohort, Changes, Sampling
from scanproof.study.load import load_study
from scanproof.study.run import Workspace, run_study

FULL = Sampling(mask="full", acceleration=1, center_fraction=0, dimensions=3)
HALF = Sampling(mask="random", acceleration=2, center_fraction=0.1, dimensions=3)


@pytest.fixture(scope="module")
def cohort():
    return demo_cohort("north", subjects={"test": 2}, slices=5, adjacent=True, matrix=(48, 40), seed=1)


@pytest.fixture
def study(small: dict) -> dict:
    small["data"] |= {
        "sites": ["north"],
        "slices": 4,
        "matrix": [32, 32],
        "subjects": {"train": 4, "val": 2, "test": 3},
    }
    small["acquisition"] = {"mask": "random", "accelerations": [2], "center_fraction": 0.1, "dimensions": 3}
    small["shifts"] = [
        {"name": "slice_thickness", "severities": [4]},
        {"name": "rigid_motion", "severities": [3]},
        {"name": "acceleration", "severities": [1]},
        {"name": "mask_type"},
        {"name": "adversarial", "severities": [2]},
    ]
    small["classification"] = []
    network = {"unrolls": 2, "features": 4, "epochs": 1}
    small["reconstruction"] = [
        {"name": "fully_sampled"},
        {"name": "cg_sense"},
        {"name": "greedy", "method": "proximal_gradient", "options": {**network, "training": "greedy"}},
    ]
    return small


def test_a_sample_is_a_volume(cohort) -> None:
    acquired = AcquiredCohort(cohort, sampling=HALF, seed=1)
    assert len(acquired) == 2
    assert [acquired.name(n) for n in range(2)] == ["north-test-000", "north-test-001"]
    first, second = acquired[:]
    assert first["kspace"].shape == first["sensitivities"].shape == (8, 5, 48, 40)
    assert first["mask"].shape == (1, 5, 1, 40)
    assert not first["kspace"][:, ~first["mask"].expand(1, 5, 48, 40)[0]].any()
    assert not torch.equal(first["mask"], second["mask"])
    np.testing.assert_array_equal(first["reference"][0], cohort.images[:5, 0])


def test_its_noise_is_the_sites(cohort) -> None:
    method = RECONSTRUCTORS.create("fully_sampled").in_dimensions(3)
    sample = AcquiredCohort(cohort, sampling=FULL, seed=1)[0]
    image = method(sample["kspace"], sample["mask"], sample["sensitivities"])
    reference = sample["reference"]
    inside = reference > 0.3 * reference.max()
    # of a magnitude far above the noise, the standard deviation is that of one part of it
    noise = float((image - reference)[inside].std())
    signal = float(reference[reference > 0.1 * reference.max()].mean())
    assert signal / noise == pytest.approx(cohort.acquisition.snr, rel=0.06)


def test_artifacts_know_the_distance_of_slices(cohort) -> None:
    """Thicker slices blur depth alone."""
    thick = Changes(artifacts=(("slice_thickness", 5),))
    method = RECONSTRUCTORS.create("fully_sampled").in_dimensions(3)
    clean, blurred = (
        method(sample["kspace"], sample["mask"], sample["sensitivities"])
        for sample in (AcquiredCohort(cohort, sampling=FULL, seed=1, changes=c)[0] for c in (Changes(), thick))
    )
    assert (blurred.diff(dim=1).norm() / clean.diff(dim=1).norm()) < 0.2
    assert (blurred[:, 2].diff(dim=-1).norm() / clean.mean(dim=1).diff(dim=-1).norm()) > 0.8


def test_slices_that_are_far_apart_are_no_volume() -> None:
    spread = demo_cohort("north", subjects={"test": 1}, slices=3, matrix=(32, 32), seed=1)
    with pytest.raises(ScanproofError, match="north: slices must be adjacent to be acquired as volumes"):
        AcquiredCohort(spread, sampling=HALF, seed=1)


def test_a_study_of_volumes_from_file_to_report(study, write_study, tmp_path) -> None:
    results = []
    for workers in (1, 2):
        finished = run_study(
            load_study(write_study(study)),
            Workspace(root=tmp_path / str(workers)),
            workers=workers,
            tracking_uri=None,
            command="test",
        )
        assert finished.report.is_file()
        results.append(finished.results)
    assert results[0].equals(results[1])
    cases = results[0][results[0]["case"].notna() & (results[0]["metric"] == "psnr")]
    assert cases["case"].nunique() == 3 * 4  # each slice is a case
    means = cases.groupby(["shift", "reconstruction"])["value"].mean().unstack()
    assert set(means.index) == {"none", "slice_thickness", "rigid_motion", "acceleration", "mask_type", "adversarial"}
    assert (means.drop(index="none").rsub(means.loc["none"]) >= 0)["cg_sense"].drop("mask_type").all()
    assert means.loc["none", "fully_sampled"] > means.loc["none", "cg_sense"]


@pytest.mark.parametrize(
    ("reconstruction", "message"),
    [
        ("cs_tv", r"reconstruction\[1\].name: cs_tv must work in volumes, which is what the study acquires"),
        ("conv_decoder", "conv_decoder must work in volumes"),
    ],
)
def test_what_does_not_work_in_volumes_is_refused(study, write_study, reconstruction, message) -> None:
    study["reconstruction"][1] = {"name": reconstruction}
    with pytest.raises(ScanproofError, match=message):
        load_study(write_study(study))


def test_what_needs_volumes_is_refused_in_slices(study, write_study) -> None:
    study["acquisition"]["dimensions"] = 2
    with pytest.raises(ScanproofError, match=r"shifts\[0\].name: shift must work in slices, .* got 'slice_thickness'"):
        load_study(write_study(study))
