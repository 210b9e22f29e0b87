from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from monai.apps.reconstruction.transforms.array import EquispacedKspaceMask, RandomKspaceMask

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import Undersampling
from scanproof.transforms.severity import parameters


def acquired(lines: int, **options) -> torch.Tensor:
    """Which lines are left of an image of that many."""
    return Undersampling(**options)(torch.ones(1, 2, lines, dtype=torch.complex64))[0, 0] != 0


@pytest.mark.parametrize(("mask", "sampler"), [("random", RandomKspaceMask), ("equispaced", EquispacedKspaceMask)])
def test_lines_are_those_of_monai(kspace, mask, sampler):
    """The mask is MONAI's, whose seed comes from the shift's generator."""
    seed = int(torch.randint(2**32, (), generator=torch.Generator().manual_seed(7)))
    theirs = sampler([0.2], [3]).set_random_state(seed=seed)
    expected, _ = theirs(torch.view_as_real(kspace))
    ours = Undersampling(acceleration=3, center_fraction=0.2, mask=mask, seed=7)(kspace)
    assert torch.equal(torch.view_as_real(ours), torch.as_tensor(expected))


@settings(max_examples=30, deadline=None)
@given(lines=st.integers(48, 400), seed=st.integers(0, 2**40))
def test_random_masks_are_nested_over_severities(lines, seed):
    masks = [acquired(lines, severity=s, seed=seed) for s in range(6)]
    assert masks[0].all()
    for milder, worse in itertools.pairwise(masks):
        assert not (worse & ~milder).any()


@pytest.mark.parametrize("mask", ["random", "equispaced"])
@pytest.mark.parametrize("severity", range(1, 6))
def test_share_of_lines(mask, severity):
    share = np.mean([float(acquired(320, severity=severity, mask=mask, seed=s).float().mean()) for s in range(40)])
    # 40 random masks of 320 lines: four standard errors are below 7 % of the share
    assert share * parameters("undersampling", severity)["acceleration"] == pytest.approx(1, abs=0.07)


@pytest.mark.parametrize("severity", range(1, 6))
def test_centre_is_kept(severity):
    width = round(100 * parameters("undersampling", severity)["center_fraction"])
    for seed in range(5):
        assert acquired(100, severity=severity, seed=seed)[50 - width // 2 : 50 + (width + 1) // 2].all()


@pytest.mark.parametrize("lines", [9, 12, 13])
def test_few_lines_keep_the_centre(lines):
    """The band of severity 5 would hold less than half a line."""
    assert acquired(lines, severity=5)[lines // 2]


def test_evenly_spaced_lines_alias():
    """Every fourth line, centre aside: copies of a point stand at quarters of the field of view."""
    size = 64
    point = torch.zeros(1, size, size, dtype=torch.float64)
    point[0, 20, 32] = 1
    # a centre of one line: the others are spaced by 4 * 63 / 60 = 4.2, that is at 15 per field of view
    row = Undersampling(acceleration=4, center_fraction=1 / 64, mask="equispaced")(point)[0, 20]
    copies = torch.topk(row, 3).indices.sort().values
    assert copies.tolist() == [32 - 15, 32, 32 + 15]
    assert row[32] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("axis", [0, 1, 2, -3])
def test_volumes_lose_lines_along_one_axis(axis):
    volume = torch.randn(2, 20, 22, 24, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    result = Undersampling(severity=3, axis=axis)(volume)
    lost = result == 0
    others = [a for a in range(4) if a != (axis + 1 if axis >= 0 else axis + 4)]
    assert torch.equal(lost.all(dim=others), lost.any(dim=others))
    assert 0 < int(lost.all(dim=others).sum()) < volume.shape[1:][axis]
    assert torch.equal(result[~lost], volume[~lost])


def test_image_and_kspace_agree(brain):
    for severity in (1, 5):
        shift = Undersampling(severity=severity, axis=0)
        single = kspace_to_image(shift(image_to_kspace(brain))).abs()
        torch.testing.assert_close(shift(brain), single, rtol=0, atol=1e-5)


def test_equispaced_damage_grows(brain):
    for seed in range(4):
        shifts = [Undersampling(severity=s, mask="equispaced", seed=seed) for s in range(1, 6)]
        assert np.all(np.diff([float((shift(brain) - brain).norm()) for shift in shifts]) > 0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"acceleration": 1, "center_fraction": 0.1}, "undersampling: acceleration must be above 1 and finite, got 1 "),
        ({"acceleration": np.inf, "center_fraction": 0.1}, "acceleration must be above 1 and finite, got inf"),
        ({"acceleration": 4, "center_fraction": 0}, r"undersampling: center_fraction must be in \(0, 1\), got 0"),
        ({"acceleration": 4, "center_fraction": 0.25}, "must be below 1 / acceleration = 0.25, got 0.25"),
        ({"severity": 1, "mask": "full"}, "undersampling: mask must be one of random, equispaced, got 'full'"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        Undersampling(**options)


def test_too_few_lines():
    with pytest.raises(ScanproofError, match=r"center_fraction: the centre alone \(1 of 8 lines\) must hold fewer"):
        acquired(8, severity=5)


@pytest.mark.parametrize("axis", [2, -3])
def test_bad_axis(kspace, axis):
    with pytest.raises(ScanproofError, match=rf"undersampling: axis must be in \[-2, 1\].*, got {axis}"):
        Undersampling(severity=1, axis=axis)(kspace)
