from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from scanproof.atlas.measure import PATTERNS, Level, Spread, faults, measure_shift, pattern_seed
from scanproof.atlas.sources import SEED
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.simulate import synthetic_kspace
from scanproof.seeds import generator
from scanproof.transforms.ghosting import Ghosting
from scanproof.transforms.severity import parameters


def reference_quality(image: np.ndarray, clean: np.ndarray) -> tuple[float, float]:
    """NRMSE by its formula and SSIM by sewar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of sewar's own imports
        from sewar.full_ref import ssim
        from sewar.utils import Filter
    window = {"fltr": Filter.GAUSSIAN, "ws": 11, "sigma": 1.5}
    nrmse = np.sqrt(np.sum((image - clean) ** 2) / np.sum(clean**2))
    return float(nrmse), float(ssim(clean, image, MAX=clean.max(), fltr_specs=window)[0])


def test_numbers_are_those_of_a_calculation_by_hand(small):
    """NumPy's FFT, a sum over coils, formulas and sewar in place of everything but the shift itself."""
    level = measure_shift("ghosting", small)[2]
    found = []
    for anatomy, coils in zip(small.slices, (4, 6), strict=True):
        clean = anatomy.reference[0]
        maps = birdcage_sensitivities(coils, clean.shape[1:])
        kspace = synthetic_kspace(clean, maps, generator=generator(SEED, "phase", anatomy.name))
        for repetition in range(PATTERNS):
            seed = pattern_seed("ghosting", anatomy, repetition)
            shifted = Ghosting(severity=3)(kspace, spacing=anatomy.pixel, seed=seed).numpy()
            images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(shifted, axes=(1, 2)), norm="ortho"), axes=(1, 2))
            combined = np.abs(np.sum(np.conj(maps.numpy()) * images, axis=0))
            found.append(reference_quality(combined.astype(np.float64), clean[0].numpy().astype(np.float64)))
    nrmse, ssim = np.array(found).T
    assert level.parameters == {"ghosts": 5, "intensity": 0.6}
    assert level.cases == 2 * PATTERNS == len(nrmse)
    for spread, values in ((level.nrmse, nrmse), (level.ssim, ssim)):
        expected = (values.mean(), *np.percentile(values, (5, 95)))
        assert spread == pytest.approx(expected, abs=3e-5)
    assert level.nrmse.low < level.nrmse.mean < level.nrmse.high


@pytest.mark.parametrize("name", ["complex_noise", "rigid_motion"])
def test_the_same_numbers_come_every_time_with_any_number_of_threads(small, name):
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(measure_shift(name, small))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
    assert [level.severity for level in found[0]] == [1, 2, 3, 4, 5]
    assert [level.parameters for level in found[0]] == [parameters(name, s) for s in range(1, 6)]


def test_shifts_of_volumes_are_measured_on_volumes(small):
    levels = measure_shift("slice_thickness", small, seeds=1)
    assert {level.cases for level in levels} == {2}
    assert levels[4].nrmse.mean > levels[0].nrmse.mean > 0


def test_patterns_differ_between_images_and_repetitions_but_not_between_severities(small):
    a, b = small.slices
    seeds = {pattern_seed("spike", a, 0), pattern_seed("spike", a, 1), pattern_seed("spike", b, 0)}
    assert len(seeds | {pattern_seed("zipper", a, 0)}) == 4


def level_of(severity: int, nrmse: float, shift: str = "spike") -> Level:
    spread = Spread(nrmse, nrmse, nrmse)
    return Level(shift=shift, severity=severity, parameters={}, cases=1, nrmse=spread, ssim=spread)


def test_faults_are_severities_that_change_no_more_than_the_one_below():
    rising = [level_of(s, 0.1 * s) for s in range(1, 6)]
    assert faults(rising) == {}
    stalled = [level_of(s, v, "zipper") for s, v in zip(range(1, 6), (0.1, 0.2, 0.2, 0.15, 0.3), strict=True)]
    assert list(faults([*rising, *stalled])) == [("zipper", 3), ("zipper", 4)]
    # a shift is compared with itself, and its first severity with no change at all
    assert faults([level_of(1, 0.9), level_of(1, 0.1, "zipper")]) == {}
    assert list(faults([level_of(1, 0.0)])) == [("spike", 1)]
    assert list(faults([level_of(1, float("nan"))])) == [("spike", 1)]
