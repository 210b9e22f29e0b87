from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import PhaseDrift
from scanproof.transforms.phase_drift import line_phases


def phases(lines: int, **options) -> torch.Tensor:
    """Phases of the lines, modulo a turn."""
    return torch.angle(PhaseDrift(**options)(torch.ones(1, 2, lines, dtype=torch.complex128)))[0, 0]


@pytest.mark.parametrize("lines", [16, 17])
def test_drift_is_quadratic_in_time(lines):
    expected = 1.5 * ((torch.arange(lines, dtype=torch.float64) - lines // 2) / (lines // 2)) ** 2
    for seed in range(4):
        measured = phases(lines, drift=1.5, jitter=0, seed=seed)
        torch.testing.assert_close(measured * measured[0].sign(), expected)


def test_drift_has_either_sense():
    signs = {float(phases(16, drift=1, jitter=0, seed=seed)[0].sign()) for seed in range(20)}
    assert signs == {-1.0, 1.0}


def test_jitter_is_normal():
    measured = torch.cat([phases(128, drift=0, jitter=0.3, seed=seed) for seed in range(40)])
    count = len(measured)
    # four standard errors of mean and standard deviation; one line in 128 is the centre, without jitter
    assert abs(float(measured.mean())) < 4 * 0.3 / math.sqrt(count)
    assert float(measured.std()) == pytest.approx(0.3 * math.sqrt(127 / 128), abs=4 * 0.3 / math.sqrt(2 * count))


@settings(max_examples=30, deadline=None)
@given(
    lines=st.integers(1, 99),
    drift=st.floats(-9, 9),
    jitter=st.floats(0, 2),
    scale=st.floats(0.1, 5),
    seed=st.integers(0, 2**40),
)
def test_pattern_scales_and_the_centre_stays(lines, drift, jitter, scale, seed):
    noise = torch.randn(lines, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pattern = line_phases(noise, drift=drift, jitter=jitter)
    assert pattern[lines // 2] == 0
    torch.testing.assert_close(line_phases(noise, drift=scale * drift, jitter=scale * jitter), scale * pattern)
    still = line_phases(torch.zeros_like(noise), drift=drift, jitter=jitter)
    torch.testing.assert_close(still + line_phases(noise, drift=0, jitter=jitter), pattern)


def test_energy_is_kept(brain_kspace):
    result = PhaseDrift(severity=5)(brain_kspace)
    torch.testing.assert_close(result.abs(), brain_kspace.abs(), rtol=1e-5, atol=1e-6)


def test_details_move_as_documented():
    """A packet of waves around spatial frequency t moves by 2 drift |t| / pi pixels, in a sense given by t."""
    size, drift, t = 256, 40.0, 0.4
    position = torch.arange(size, dtype=torch.float64) - size // 2
    envelope = torch.exp(-((position / 12) ** 2) / 2)
    shift = PhaseDrift(drift=drift, jitter=0, seed=1)
    moved = []
    for sign in (1, -1):
        packet = envelope * torch.polar(torch.ones_like(position), sign * t * math.pi * position)
        result = kspace_to_image(shift(image_to_kspace(packet.expand(1, 4, -1))))[0, 0].abs() ** 2
        moved.append(float((result * position).sum() / result.sum()))
    assert moved[0] == pytest.approx(-moved[1], abs=1e-6)
    assert abs(moved[0]) == pytest.approx(2 * drift * t / math.pi, abs=0.02)


def test_jitter_scatters_the_documented_share():
    """The coherent part of a point keeps exp(-jitter**2) of its energy."""
    size, jitter = 128, 0.45
    point = torch.zeros(1, 1, size, dtype=torch.float64)
    point[..., 64] = 1
    kept = [
        float(PhaseDrift(drift=0, jitter=jitter, seed=seed, axis=-1)(point)[..., 64].square()) for seed in range(100)
    ]
    assert np.mean(kept) == pytest.approx(math.exp(-(jitter**2)), abs=0.01)


@pytest.mark.parametrize("axis", [0, 1, 2, -3])
def test_phase_changes_along_the_axis_alone(axis):
    volume = torch.ones(2, 10, 11, 12, dtype=torch.complex64)
    result = PhaseDrift(severity=4, axis=axis)(volume)
    moved = result.movedim(axis + 1 if axis >= 0 else axis, -1)
    assert torch.equal(moved, moved[:1, :1, :1].expand_as(moved))
    assert len(torch.unique(moved[0, 0, 0].real)) > 8


def test_image_and_kspace_agree(brain):
    for axis in (0, 1):
        shift = PhaseDrift(severity=4, axis=axis)
        single = kspace_to_image(shift(image_to_kspace(brain))).abs()
        torch.testing.assert_close(shift(brain), single, rtol=0, atol=1e-5)


def test_streaks_run_along_the_axis(brain):
    for axis in (-1, -2):
        added = (PhaseDrift(severity=4, axis=axis)(brain) - brain)[0].abs() * (brain[0] == 0)
        beside, above = added[30:70, :].sum(), added[:, 40:80].sum()
        assert (beside > above) == (axis == -1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drift": 0, "jitter": 0}, r"phase_drift: drift and jitter must not both be 0 \(severity=0 is the identity"),
        ({"drift": math.inf, "jitter": 0}, "phase_drift: drift must be finite and at least 0, got inf"),
        ({"drift": 0, "jitter": -0.1}, "phase_drift: jitter must be finite and at least 0, got -0.1"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        PhaseDrift(**options)
