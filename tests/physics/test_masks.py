from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.masks import cartesian_mask

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
