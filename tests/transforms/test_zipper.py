from __future__ import annotations

import math
from itertools import pairwise

import pytest
import scipy.stats
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import Zipper
from scanproof.transforms.zipper import interference, zipper_positions


@settings(max_examples=30, deadline=None)
@given(size=st.integers(24, 400), lines=st.integers(1, 8), start=st.floats(0, 1, exclude_max=True))
def test_positions(size, lines, start):
    positions = zipper_positions(size, lines, start=start)
    assert all(0 <= p < size for p in positions)
    assert all(abs((p + 0.5) / size - 0.5) > 0.05 - 1 / size for p in positions)
    assert positions[:-1] == zipper_positions(size, lines, start=start)[: lines - 1]
    gaps = [abs(p - q) for i, p in enumerate(positions) for q in positions[:i]]
    assert min(gaps, default=size) >= size / 40


def lines_changed(result, image, axis):
    return (result != image)[0].movedim(axis, 0).flatten(1).any(dim=1).nonzero().flatten().tolist()


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(40, 44), (20, 21, 22)])
def test_severities_nest_and_leave_the_rest_alone(shape, axis):
    image = torch.ones(1, *shape)
    changed = [lines_changed(Zipper(severity=s, readout_axis=axis, seed=4)(image), image, axis) for s in range(1, 6)]
    assert [len(rows) for rows in changed] == [1, 1, 2, 3, 4]
    assert all(set(few) <= set(many) for few, many in pairwise(changed))


@pytest.mark.parametrize("amplitude", [0.1, 0.8])
def test_amplitude_is_the_root_mean_square_in_image_maxima(brain_kspace, amplitude):
    images = kspace_to_image(brain_kspace)
    peak = root_sum_of_squares(images, 0).max()
    added = kspace_to_image(Zipper(lines=1, amplitude=amplitude, seed=2)(brain_kspace)) - images
    along = added.abs().square().mean(dim=(0, 2))
    torch.testing.assert_close(along.max().sqrt(), amplitude * peak, rtol=1e-4, atol=0)
    assert along.sort().values[-2] < 1e-9


def test_kspace_samples_are_those_of_one_frequency(kspace):
    """At every phase-encode line: one magnitude per coil, a phase that advances steadily along the readout."""
    added = Zipper(lines=1, amplitude=0.5, seed=3)(kspace) - kspace
    magnitude = added.abs()
    torch.testing.assert_close(magnitude, magnitude[:, :1, :1].expand_as(magnitude), rtol=1e-3, atol=1e-4)
    steps = added[:, 1:] / added[:, :-1]
    torch.testing.assert_close(steps, steps[0, 0, 0].expand_as(steps), rtol=1e-3, atol=1e-3)
    whole = torch.angle(steps[0, 0, 0]) / (2 * math.pi) * 24
    assert abs(whole - whole.round()) < 1e-2
    # from line to line the phase is uniform, and the same in all coils
    turns = torch.angle(added[0, 0, 1:] / added[0, 0, :-1]) / (2 * math.pi) % 1
    assert scipy.stats.kstest(turns.numpy(), "uniform").pvalue > 0.01
    relative = added / added[:1]
    torch.testing.assert_close(relative, relative[:, :1, :1].expand_as(relative), rtol=1e-3, atol=1e-3)


def test_noise_along_a_line_is_complex_gaussian():
    noise = interference(1, [4000], generator=torch.Generator().manual_seed(1))[0]
    for part in (noise.real, noise.imag):
        assert scipy.stats.kstest(part.numpy() * math.sqrt(2), "norm").pvalue > 0.01


def test_lines_of_more_are_those_of_fewer(image):
    few, many = (Zipper(lines=n, amplitude=0.4, seed=5)(image) for n in (1, 3))
    row = lines_changed(few, image, -2)[0]
    assert torch.equal(few[0, row], many[0, row])


def test_kspace_and_image_agree(brain):
    from_kspace = kspace_to_image(Zipper(severity=5, seed=1)(image_to_kspace(brain))).abs()
    torch.testing.assert_close(from_kspace, Zipper(severity=5, seed=1)(brain), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lines": 0, "amplitude": 0.5}, "zipper: lines must be at least 1, got 0"),
        ({"lines": 1.5, "amplitude": 0.5}, "zipper: lines must be a whole number, got 1.5"),
        ({"lines": 1, "amplitude": 0}, r"zipper: amplitude must be positive and finite, got 0 \(severity=0 is"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        Zipper(**options)


def test_too_many_lines(image):
    with pytest.raises(ScanproofError, match=r"zipper: lines must be few .*, got 30 \(24 readout positions\)"):
        Zipper(lines=30, amplitude=1)(image)
