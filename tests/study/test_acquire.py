from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.data.demo.generator import demo_cohort
from scanproof.errors import ScanproofError
from scanproof.physics.fft import kspace_to_image
from scanproof.seeds import derive_seed
from scanproof.study.acquire import (
    AcquiredCohort,
    Changes,
    Sampling,
    ScanMemory,
    collate,
    quantise,
    restore,
    working_coils,
)
from scanproof.transforms import SHIFTS

FULL = Sampling(mask="full", acceleration=1, center_fraction=0)
THIRD = Sampling(mask="equispaced", acceleration=3, center_fraction=0.08)
MOTION = Changes(artifacts=(("rigid_motion", 3),))


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
    whole = AcquiredCohort(cohort, sampling=THIRD, seed=1, changes=MOTION)
    tail = demo_cohort("north", subjects={"test": 3}, slices=3, matrix=(64, 56), seed=1)
    tail = type(tail)(
        site=tail.site,
        images=tail.images[5:],
        cases=tail.cases[5:].reset_index(drop=True),
        acquisition=tail.acquisition,
        targets=tail.targets,
    )
    alone = AcquiredCohort(tail, sampling=THIRD, seed=1, changes=MOTION)
    assert torch.equal(alone[0]["kspace"], whole[5]["kspace"])


def test_noise_and_mask_are_paired_over_severities(cohort) -> None:
    clean = AcquiredCohort(cohort, sampling=THIRD, seed=1)
    shifted = [
        AcquiredCohort(cohort, sampling=THIRD, seed=1, changes=Changes(artifacts=(("ghosting", s),))) for s in (1, 4)
    ]
    # lines that ghosting leaves alone differ by nothing, noise included
    alike = [(s[2]["kspace"] == clean[2]["kspace"]).all(dim=(0, 1)).sum() for s in shifted]
    assert min(alike) > 0.6 * 56
    assert all(torch.equal(clean[2]["mask"], s[2]["mask"]) for s in shifted)


def test_cases_meet_different_noise_and_phase(cohort) -> None:
    acquired = AcquiredCohort(cohort, sampling=FULL, seed=1)
    noise = [acquired[i]["kspace"][:, :4, :4].angle() for i in range(2)]
    assert not torch.allclose(noise[0], noise[1], atol=0.1)


def test_memory_gives_the_same_scans_and_keeps_its_bound(cohort) -> None:
    memory = ScanMemory(most_bytes=4 * 8 * 64 * 56 * 8)
    options = {"seed": 1, "changes": MOTION}
    fresh = AcquiredCohort(cohort, sampling=THIRD, **options)
    remembered = AcquiredCohort(cohort, sampling=FULL, **options, memory=memory, identity="a")
    for _ in remembered:
        pass
    again = AcquiredCohort(cohort, sampling=THIRD, **options, memory=memory, identity="a")
    assert all(torch.equal(again[i]["kspace"], fresh[i]["kspace"]) for i in range(len(cohort.cases)))
    assert memory.held_bytes <= memory.most_bytes
    other = AcquiredCohort(cohort, sampling=THIRD, seed=2, memory=memory, identity="a")
    assert not torch.equal(other[8]["kspace"], AcquiredCohort(cohort, sampling=THIRD, seed=1)[8]["kspace"])


def noise(cohort, changes: Changes, *, index: int = 0) -> torch.Tensor:
    """Noise of the fully sampled, coil-combined image: the difference to the same scan without noise."""
    silent = replace(cohort, acquisition=replace(cohort.acquisition, snr=1e9))
    noisy, clean = (AcquiredCohort(c, sampling=FULL, seed=1, changes=changes)[index] for c in (cohort, silent))
    difference = kspace_to_image(noisy["kspace"] - clean["kspace"])
    return (noisy["sensitivities"].conj() * difference).sum(dim=0)


@pytest.mark.parametrize("divisor", [1.5, 6.0])
def test_a_lower_snr_is_the_same_noise_at_a_larger_scale(cohort, divisor: float) -> None:
    usual, more = noise(cohort, Changes()), noise(cohort, Changes(snr=divisor))
    torch.testing.assert_close(more, divisor * usual, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("share", "left"), [(0.75, 6), (0.5, 4), (0.375, 3), (0.125, 1), (0.01, 1)])
def test_fewer_coils_keep_signal_and_noise_of_those_that_are_left(cohort, share: float, left: int) -> None:
    changed = AcquiredCohort(cohort, sampling=THIRD, seed=1, changes=Changes(coils=share))
    sample, usual = changed[1], AcquiredCohort(cohort, sampling=THIRD, seed=1)[1]
    assert sample["kspace"].shape == sample["sensitivities"].shape == (left, 64, 56)
    assert torch.equal(sample["mask"], usual["mask"])
    rss = sample["sensitivities"].abs().square().sum(dim=0).sqrt()
    torch.testing.assert_close(rss, torch.ones(64, 56))
    # up to the normalisation, each is the element that it was
    ratio = sample["sensitivities"] / usual["sensitivities"][changed.coils]
    torch.testing.assert_close(ratio.imag, torch.zeros_like(ratio.imag), rtol=0, atol=1e-5)
    torch.testing.assert_close(ratio.real, ratio.real[:1].expand_as(ratio.real), rtol=1e-4, atol=0)
    # and the signal-to-noise ratio falls as the root of their number
    fewer = noise(cohort, Changes(coils=share))
    expected = (8 / left) ** 0.5
    assert float(fewer.abs().std() / noise(cohort, Changes()).abs().std()) == pytest.approx(expected, rel=0.05)


def test_elements_that_work_stand_evenly_around_the_array() -> None:
    assert working_coils(8, share=0.5) == [0, 2, 4, 6]
    assert working_coils(12, share=0.25) == [0, 4, 8]
    assert working_coils(4, share=0.375) == [0, 2]
    for share in (0, -1, 1.5, float("nan")):
        with pytest.raises(ScanproofError, match=r"share of the coils that work must be in \(0, 1\]"):
            working_coils(8, share=share)


def test_artifacts_act_in_their_order_with_the_patterns_that_they_have_alone(cohort) -> None:
    case = ("north", str(cohort.cases["case"].iloc[4]))
    silent = replace(cohort, acquisition=replace(cohort.acquisition, snr=1e30))
    both = (("rigid_motion", 2), ("ghosting", 3))
    expected = AcquiredCohort(silent, sampling=FULL, seed=1)[4]["kspace"]
    for name, severity in both:
        seed = derive_seed(1, "shift", name, *case)
        expected = SHIFTS.create(name, {"severity": severity})(expected, spacing=(2, 2), seed=seed)
    found, turned = (
        AcquiredCohort(silent, sampling=FULL, seed=1, changes=Changes(artifacts=parts))[4]["kspace"]
        for parts in (both, both[::-1])
    )
    torch.testing.assert_close(found, expected)
    assert float((turned - found).norm() / found.norm()) > 0.005


def test_an_artifact_that_comes_twice_has_two_patterns(cohort) -> None:
    silent = replace(cohort, acquisition=replace(cohort.acquisition, snr=1e30))
    once, twice = (("complex_noise", 1),), (("complex_noise", 1), ("complex_noise", 1))
    clean, one, two = (
        AcquiredCohort(silent, sampling=FULL, seed=1, changes=Changes(artifacts=parts))[0]["kspace"]
        for parts in ((), once, twice)
    )
    ratio = float((two - clean).norm() / (one - clean).norm())
    assert ratio == pytest.approx(2**0.5, rel=0.05)  # 2 if the noise were the same


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
