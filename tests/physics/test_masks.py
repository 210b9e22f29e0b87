from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.masks import cartesian_mask, plane_mask

OPTIONS = {"kind": "random", "acceleration": 4, "center_fraction": 0.08, "seed": 1}


@settings(max_examples=30, deadline=None)
@given(
    lines=st.integers(16, 200),
    kind=st.sampled_from(["random", "equispaced"]),
    acceleration=st.floats(1.5, 12),
    fill=st.floats(0.1, 0.9),
    seed=st.integers(0, 2**32 - 1),
)
def test_valid_masks_hold_the_centre_and_repeat(lines, kind, acceleration, fill, seed):
    center = max(1, int(fill * lines / acceleration))
    if center >= lines / acceleration:
        return
    options = {"kind": kind, "acceleration": acceleration, "center_fraction": center / lines, "seed": seed}
    mask = cartesian_mask(lines, **options)
    assert mask.shape == (1, 1, lines)
    assert mask.dtype == torch.bool
    start = (lines - center + 1) // 2
    assert mask[0, 0, start : start + center].all()
    assert mask[0, 0, lines // 2]
    assert torch.equal(mask, cartesian_mask(lines, **options))


@pytest.mark.parametrize(("lines", "worst"), [(96, 0.10), (320, 0.03)])
@pytest.mark.parametrize(("acceleration", "center_fraction"), [(2, 0.16), (4, 0.08), (8, 0.04)])
def test_equispaced_acceleration_is_realised(lines, worst, acceleration, center_fraction):
    for seed in range(20):
        mask = cartesian_mask(
            lines, kind="equispaced", acceleration=acceleration, center_fraction=center_fraction, seed=seed
        )
        assert abs(lines / mask.sum() / acceleration - 1) < worst


@pytest.mark.parametrize(("acceleration", "center_fraction"), [(2, 0.16), (4, 0.08), (8, 0.04)])
def test_random_lines_are_binomial(acceleration, center_fraction):
    lines, seeds = 96, 100
    counts = [
        int(
            cartesian_mask(
                lines, kind="random", acceleration=acceleration, center_fraction=center_fraction, seed=s
            ).sum()
        )
        for s in range(seeds)
    ]
    outside = lines - round(lines * center_fraction)
    p = (lines / acceleration - round(lines * center_fraction)) / outside
    # mean of the counts within four standard errors of lines / acceleration
    assert abs(np.mean(counts) - lines / acceleration) < 4 * np.sqrt(outside * p * (1 - p) / seeds)
    assert 0.6 < np.var(counts) / (outside * p * (1 - p)) < 1.6


@pytest.mark.parametrize("change", [{"kind": "full"}, {"acceleration": 1}, {"acceleration": 1, "kind": "equispaced"}])
def test_full_masks(change):
    assert cartesian_mask(7, **OPTIONS | change).all()


def test_seeds_differ():
    patterns = {tuple(cartesian_mask(96, **OPTIONS | {"seed": seed}).flatten().tolist()) for seed in range(20)}
    assert len(patterns) == 20


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "radial"}, "mask kind must be one of full, random, equispaced, got 'radial'"),
        ({"acceleration": 0.5}, "acceleration must be at least 1, got 0.5"),
        ({"acceleration": float("nan")}, "acceleration must be at least 1, got nan"),
        ({"center_fraction": 0.0}, r"center_fraction must be in \(0, 1\), got 0.0"),
        ({"center_fraction": 1.0}, r"center_fraction must be in \(0, 1\), got 1.0"),
        ({"center_fraction": 0.001}, "must leave at least one of 96 lines in the centre, got 0.001"),
        ({"center_fraction": 0.25}, r"the centre alone \(24 of 96 lines\) must hold fewer lines"),
        ({"center_fraction": 0.5}, r"acceleration 4 allows \(24.0\), got 0.5 \(use a center_fraction below 0.25\)"),
    ],
)
@pytest.mark.parametrize("kind", ["random", "equispaced"])
def test_bad_options(change, text, kind):
    with pytest.raises(ScanproofError, match=text):
        cartesian_mask(96, **OPTIONS | {"kind": kind} | change)


def test_no_lines():
    with pytest.raises(ScanproofError, match="lines must be at least 1, got 0"):
        cartesian_mask(0, **OPTIONS)


@settings(max_examples=25, deadline=None)
@given(
    depth=st.integers(1, 32),
    lines=st.integers(16, 100),
    acceleration=st.floats(2, 10),
    fill=st.floats(0.05, 0.8),
    seed=st.integers(0, 2**32 - 1),
)
def test_masks_in_the_plane_hold_the_centre_and_repeat(depth, lines, acceleration, fill, seed):
    share = fill / acceleration
    if round(depth * lines * share) < 1:
        return
    options = {"kind": "random", "acceleration": acceleration, "center_fraction": share, "seed": seed}
    mask = plane_mask((depth, lines), **options)
    assert mask.shape == (1, depth, 1, lines)
    assert mask.dtype == torch.bool
    assert mask[0, depth // 2, 0, lines // 2]
    assert torch.equal(mask, plane_mask((depth, lines), **options))


def test_lines_in_the_plane_are_as_many_as_asked_and_denser_in_the_middle():
    masks = torch.stack(
        [
            plane_mask((24, 80), kind="random", acceleration=4, center_fraction=0.04, seed=seed)[0, :, 0]
            for seed in range(200)
        ]
    ).double()
    chance = masks.mean(dim=0)
    assert float(chance.sum()) == pytest.approx(24 * 80 / 4, rel=0.01)
    # the centre takes about a fifth of each axis, the square root of its share
    assert (chance[10:15, 33:48] == 1).all()
    rings = [chance[12, 40 + r : 44 + r].mean() for r in (10, 18, 26, 34)]
    assert rings == sorted(rings, reverse=True)
    assert rings[0] > 2 * rings[-1]
    # draws are independent of each other: a binomial count
    assert masks.sum(dim=(1, 2)).std() == pytest.approx(float((chance * (1 - chance)).sum().sqrt()), rel=0.2)


def test_other_masks_are_alike_in_all_partitions():
    options = {"acceleration": 4, "center_fraction": 0.08, "seed": 3}
    equispaced = plane_mask((6, 48), kind="equispaced", **options)
    assert torch.equal(equispaced[0, 0], cartesian_mask(48, kind="equispaced", **options)[0])
    assert plane_mask((6, 48), kind="full", **options).all()
    with pytest.raises(ScanproofError, match="center_fraction"):
        plane_mask((6, 48), kind="random", acceleration=4, center_fraction=0.3, seed=1)
    with pytest.raises(ScanproofError, match="partitions must be at least 1, got 0"):
        plane_mask((0, 48), kind="random", **options)
