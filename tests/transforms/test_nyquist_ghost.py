from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchio
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import NyquistGhost

SHAPES = [(16, 18), (15, 17), (16, 17), (15, 18)]


def fourier(positions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Rows sample the transform of an image at frequencies that need not be whole."""
    size = len(positions)
    return np.exp(-2j * np.pi * np.outer(frequencies, positions) / size) / math.sqrt(size)


def centred(size: int) -> np.ndarray:
    return np.arange(size) - size // 2


@pytest.mark.parametrize("shape", SHAPES)
def test_is_an_acquisition_at_delayed_samples(shape):
    """Against a direct sum that samples every other line earlier in k-space, as a late echo is seen."""
    delay, phase = 0.55, 0.4
    rng = np.random.default_rng(1)
    image = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    reading, encoding = map(centred, shape)
    encoded = image @ fourier(encoding, encoding).T
    in_time, late = (fourier(reading, reading - d) @ encoded for d in (0, delay))
    odd = encoding % 2 != 0
    expected = np.where(odd, np.exp(1j * phase) * late, in_time)
    shift = NyquistGhost(delay=delay, phase=phase)
    result = shift(torch.from_numpy(in_time)[None])[0].numpy()
    np.testing.assert_allclose(result, expected, atol=1e-9)


@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_image_and_kspace_agree(shape, axes):
    image = torch.rand(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    shift = NyquistGhost(severity=5, axis=axes[0], readout_axis=axes[1])
    through = torch.stack([kspace_to_image(shift(image_to_kspace(channel[None])))[0].abs() for channel in image])
    torch.testing.assert_close(shift(image), through)


@settings(max_examples=20, deadline=None)
@given(
    spatial=st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(2, 9)),
    axes=st.permutations([0, 1, 2]),
    delay=st.floats(0.05, 3),
    phase=st.floats(0, math.pi),
)
def test_volumes_of_any_shape(spatial, axes, delay, phase):
    image = torch.rand(1, *spatial, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    shift = NyquistGhost(delay=delay, phase=phase, axis=axes[0], readout_axis=axes[1])
    through = kspace_to_image(shift(image_to_kspace(image, spatial_dims=3)), spatial_dims=3).abs()
    torch.testing.assert_close(shift(image), through)


def test_ghost_stands_half_a_field_of_view_away():
    """Its strength is the sine of half the angle, which grows along the readout."""
    delay, phase, size = 0.5, 0.3, 40
    point = torch.zeros(1, size, size, dtype=torch.float64)
    rows = torch.tensor([5, 20, 33])
    point[0, rows, 12] = 1
    result = NyquistGhost(delay=delay, phase=phase)(point)[0]
    half = (phase + 2 * math.pi * delay * (rows - 20) / size) / 2
    torch.testing.assert_close(result[rows, 32], half.sin().abs().double())
    torch.testing.assert_close(result[rows, 12], half.cos().abs().double())
    assert int((result > 1e-12).sum()) == 6


def test_severity_tells_the_strength_of_the_ghost():
    point = torch.zeros(1, 40, 40)
    point[0, 20, 12] = point[0, 30, 12] = 1
    results = [NyquistGhost(severity=s)(point)[0] for s in range(1, 6)]
    np.testing.assert_allclose([r[20, 32] for r in results], [0.05, 0.10, 0.17, 0.25, 0.34], atol=0.005)
    np.testing.assert_allclose([r[30, 32] for r in results], [0.13, 0.25, 0.40, 0.57, 0.73], atol=0.005)


def test_agrees_with_two_ghosts_of_torchio():
    """Lines turned by half a turn are lines of intensity -1: what TorchIO makes of two ghosts that lose twice."""
    # TorchIO starts at line 0 and spares the centre, so that its comb is ours where the centre line is an odd one
    image = torch.rand(1, 32, 34, generator=torch.Generator().manual_seed(1))
    theirs = torchio.Ghosting(num_ghosts=2, axis=1, intensity=2, restore=None)(image[..., None])[..., 0]
    ours = NyquistGhost(delay=0, phase=math.pi)(image)
    torch.testing.assert_close(ours, theirs.abs(), atol=1e-5, rtol=0)


def test_centre_line_and_its_even_neighbours_stay(kspace):
    result = NyquistGhost(severity=5)(kspace)
    assert torch.equal(result[..., 1::2], kspace[..., 1::2])
    assert not torch.isclose(result[..., ::2], kspace[..., ::2]).all(dim=-2).any()
    torch.testing.assert_close(result.norm(dim=-2), kspace.norm(dim=-2))


def test_whole_samples_are_moved(kspace):
    """A delay of one sample is that: the k-space of odd lines moves by one sample."""
    result = NyquistGhost(delay=1, phase=0)(kspace)
    torch.testing.assert_close(result[..., ::2], kspace[..., ::2].roll(1, dims=-2), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("axis", "readout"), [(0, 2), (1, 2), (2, 1), (-1, -2)])
def test_default_readout_axis(axis, readout):
    volume = torch.rand(1, 6, 7, 8, generator=torch.Generator().manual_seed(1))
    explicit = NyquistGhost(severity=3, axis=axis, readout_axis=readout)
    assert torch.equal(NyquistGhost(severity=3, axis=axis)(volume), explicit(volume))


@pytest.mark.parametrize("lines", [116, 117])
def test_bits_of_images_depend_neither_on_threads_nor_on_gradients(brain, lines):
    image = brain[..., :lines].repeat(5, 1, 1).contiguous()
    shift, threads = NyquistGhost(severity=4), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = shift(image)
        torch.set_num_threads(2)
        assert torch.equal(shift(image), single)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(shift(image.clone().requires_grad_()).detach(), single)


def test_gradient_is_finite_where_the_image_is_empty(brain):
    image = brain.clone().requires_grad_()
    NyquistGhost(severity=3)(image).sum().backward()
    assert bool((image.detach() == 0).any())
    assert bool(torch.isfinite(image.grad).all())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delay": 0, "phase": 0}, r"nyquist_ghost: delay and phase must not both be 0 \(severity=0 is the identity\)"),
        ({"delay": math.inf, "phase": 0}, "nyquist_ghost: delay must be finite and at least 0, got inf"),
        ({"delay": 0, "phase": 3.2}, r"nyquist_ghost: phase must be in \[0, pi\], got 3.2"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        NyquistGhost(**options)


@pytest.mark.parametrize("readout_axis", [1, -1])
def test_one_axis_given_twice(image, readout_axis):
    with pytest.raises(ScanproofError, match=rf"readout_axis must be another axis than axis, got {readout_axis}"):
        NyquistGhost(severity=1, axis=-1, readout_axis=readout_axis)(image)


def test_unknown_readout_axis(image):
    with pytest.raises(ScanproofError, match=r"nyquist_ghost: axis must be in \[-2, 1\] for 2 spatial axes, got 2"):
        NyquistGhost(severity=1, readout_axis=2)(image)
