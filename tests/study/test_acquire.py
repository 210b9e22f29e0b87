from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scanproof.data.demo.generator import demo_cohort
from scanproof.physics.fft import kspace_to_image
from scanproof.study.acquire import AcquiredCohort, Sampling, ScanMemory, collate, quantise, restore

FULL = Sampling(mask="full", acceleration=1, center_fraction=0)
THIRD = Sampling(mask="equispaced", acceleration=3, center_fraction=0.08)


@pytest.fixture(scope="module")
def cohort():
    return demo_cohort("north", subjects={"test": 3}, slices=3, matrix=(64, 56), seed=1)


def test_sample_keeps_the_contract(cohort) -> None:
    sample = AcquiredCohort(cohort, sampling=THIRD, seed=1)[0]
    assert sample["kspace"].shape == sample["sensitivities"].shape == (8, 64, 56)
    assert sample["kspace"].dtype == torch.complex64
    assert sample["mask"].dtype == torch.bool
    assert not sample["kspace"][:, :, ~sample["mask"][0, 0]].any()
    np.testing.assert_array_equal(sample["reference"], cohort.images[0])


def test_signal_to_noise_ratio_is_the_sites(cohort) -> None:
    """Noise measured in the coil-combined image, as the difference to the same scan without noise."""
    silent = replace(cohort, acquisition=replace(cohort.acquisition, snr=1e9))
    pairs = zip(*(AcquiredCohort(c, sampling=FULL, seed=1) for c in (cohort, silent)), strict=True)
    for noisy, clean in pairs:
        image = (noisy["sensitivities"].conj() * kspace_to_image(noisy["kspace"] - clean["kspace"])).sum(dim=0)
        reference = noisy["reference"][0]
        signal = reference[reference > 0.1 * reference.max()].mean()
        assert float(signal / torch.view_as_real(image).std()) == pytest.approx(cohort.acquisition.snr, rel=0.03)


def test_a_case_does_not_depend_on_its_neighbours(cohort) -> None:
    whole = AcquiredCohort(cohort, sampling=THIRD, seed=1, shift="rigid_motion", severity=3)
    tail = demo_cohort("north", subjects={"test": 3}, slices=3, matrix=(64, 56), seed=1)
    tail = type(tail)(
        site=tail.site,
        images=tail.images[5:],
        cases=tail.cases[5:].reset_index(drop=True),
        acquisition=tail.acquisition,
    )
    alone = AcquiredCohort(tail, sampling=THIRD, seed=1, shift="rigid_motion", severity=3)
    assert torch.equal(alone[0]["kspace"], whole[5]["kspace"])


def test_noise_and_mask_are_paired_over_severities(cohort) -> None:
    clean = AcquiredCohort(cohort, sampling=THIRD, seed=1)
    shifted = AcquiredCohort(cohort, sampling=THIRD, seed=1, shift="complex_noise", severity=0)
    assert torch.equal(clean[2]["kspace"], shifted[2]["kspace"])
    assert torch.equal(
        clean[2]["mask"], AcquiredCohort(cohort, sampling=THIRD, seed=1, shift="ghosting", severity=4)[2]["mask"]
    )


def test_cases_meet_different_noise_and_phase(cohort) -> None:
    acquired = AcquiredCohort(cohort, sampling=FULL, seed=1)
    noise = [acquired[i]["kspace"][:, :4, :4].angle() for i in range(2)]
    assert not torch.allclose(noise[0], noise[1], atol=0.1)


def test_memory_gives_the_same_scans_and_keeps_its_bound(cohort) -> None:
    memory = ScanMemory(most_bytes=4 * 8 * 64 * 56 * 8)
    options = {"seed": 1, "shift": "rigid_motion", "severity": 5}
    fresh = AcquiredCohort(cohort, sampling=THIRD, **options)
    remembered = AcquiredCohort(cohort, sampling=FULL, **options, memory=memory, identity="a")
    for _ in remembered:
        pass
    again = AcquiredCohort(cohort, sampling=THIRD, **options, memory=memory, identity="a")
    assert all(torch.equal(again[i]["kspace"], fresh[i]["kspace"]) for i in range(len(cohort.cases)))
    assert memory.held_bytes <= memory.most_bytes
    other = AcquiredCohort(cohort, sampling=THIRD, seed=2, memory=memory, identity="a")
    assert not torch.equal(other[8]["kspace"], AcquiredCohort(cohort, sampling=THIRD, seed=1)[8]["kspace"])


def test_collate_stacks(cohort) -> None:
    batch = collate(AcquiredCohort(cohort, sampling=THIRD, seed=1)[:3])
    assert batch["kspace"].shape == (3, 8, 64, 56)
    assert batch["sensitivities"].shape == (8, 64, 56)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-6, 1e6))
def test_sixteen_bits_lose_half_a_step_at_most(seed: int, scale: float) -> None:
    images = (scale * np.random.default_rng(seed).random((3, 1, 5, 4))).astype(np.float32)
    images[1] = 0
    integers, slopes = quantise(images)
    back = restore(integers, slopes)
    assert (np.abs(back - images) <= 0.5001 * slopes[:, None, None, None] + 1e-6 * images).all()
    assert not back[1].any()
