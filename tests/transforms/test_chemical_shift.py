from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import ChemicalShift
from scanproof.transforms.chemical_shift import displaced, estimated_fat, fat_displacement


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    pixels=st.floats(0.1, 7),
    axis=st.sampled_from([-1, -2]),
    imaginary=st.booleans(),
)
def test_displacement_agrees_with_scipy(shape, pixels, axis, imaginary):
    random = np.random.default_rng(sum(shape))
    x = random.normal(size=shape) + 1j * imaginary * random.normal(size=shape)
    shift = [pixels if i == axis else 0.0 for i in (-2, -1)]
    expected = np.fft.ifft2(scipy.ndimage.fourier_shift(np.fft.fft2(x), shift))
    size = shape[axis]
    if size % 2 == 0:
        # SciPy turns the sample at the Nyquist frequency by one of its two signs, which leaves real signals complex
        nyquist = (np.exp(1j * np.pi * np.arange(size)) / size).reshape([-1 if i == axis else 1 for i in (-2, -1)])
        part = (x * nyquist).sum(axis=axis, keepdims=True) * nyquist * size
        expected += part * (np.cos(np.pi * pixels) - np.exp(1j * np.pi * pixels))
    given_x = torch.from_numpy(x if imaginary else x.real)
    np.testing.assert_allclose(displaced(given_x, pixels, axis=axis), expected, atol=1e-9)


@pytest.mark.parametrize("axis", [-1, -2, 0])
def test_whole_pixels_are_the_limit_of_fractions(axis):
    x = torch.rand(9, 8, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(displaced(x, 3, axis=axis), displaced(x, 3 + 1e-9, axis=axis), atol=1e-7, rtol=0)


@pytest.mark.parametrize("readout_axis", [0, 1, 2])
def test_dark_and_bright_bands_at_the_interfaces(readout_axis):
    """A block of fat in water leaves a void behind it and piles up in front of it."""
    water = torch.ones(1, 20, 20, 20)
    fat = torch.zeros(20, 20, 20)
    fat[8:12, 8:12, 8:12] = 1
    result = ChemicalShift(displacement=2, readout_axis=readout_axis, fat=fat)(water)[0].movedim(readout_axis, 0)
    assert result[:, 9, 9].tolist() == [1] * 8 + [0, 0] + [1] * 2 + [2, 2] + [1] * 6
    assert (result[:, 5, 5] == 1).all()
    torch.testing.assert_close(result.sum(), water.sum())


def test_all_fat_is_a_phase_ramp_in_kspace(kspace):
    """Known displacement, known phase: 2 pi d k / n at the k-space position k along the readout."""
    result = ChemicalShift(displacement=1.25, fat=torch.ones(24, 26))(kspace)
    turns = torch.arange(24).sub(12) * 1.25 / 24
    ramp = torch.polar(torch.ones(24), -2 * torch.pi * turns)[:, None]
    torch.testing.assert_close(result[:, 1:], (kspace * ramp)[:, 1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pixels", [2, 1.5])
def test_kspace_and_image_agree(brain, pixels):
    options = {"displacement": pixels, "fat": torch.rand(brain.shape[1:], generator=torch.Generator().manual_seed(1))}
    from_kspace = kspace_to_image(ChemicalShift(**options)(image_to_kspace(brain))).abs()
    torch.testing.assert_close(from_kspace, ChemicalShift(**options)(brain), rtol=1e-4, atol=1e-5)


def head(shape=(120, 100), spacing=(1.5, 2.0)):
    """Scalp of 4 mm, skull of 6 mm, brain."""
    grids = np.meshgrid(*[(np.arange(n) - n / 2) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij")
    radius = np.hypot(*grids)
    image = np.select([radius < 60, radius < 66, radius < 70], [0.6, 0.02, 1.0], 0.0)
    return torch.from_numpy(image.astype("float32"))[None], torch.from_numpy((radius >= 66) & (radius < 70))


def test_scalp_is_found_in_millimetres():
    image, scalp = head()
    found = estimated_fat(image, spacing=(1.5, 2.0))[0] > 0.5
    overlap = 2 * (found & scalp).sum() / (found.sum() + scalp.sum())
    assert overlap > 0.9


def test_a_cut_object_has_no_skin_at_the_cut():
    image, _ = head()
    cut = image[:, :60]
    inside = estimated_fat(cut, spacing=(1.5, 2.0))[0, 55:, 30:70]
    assert (inside == 0).all()
    full = estimated_fat(torch.ones(1, 30, 30), spacing=(2.0, 2.0))[0]
    assert (full[:2] > 0.5).all()
    assert (full[10:20, 10:20] == 0).all()


def test_fat_displacement_at_clinical_fields():
    # Brown et al., Magnetic Resonance Imaging (2014), chapter 17: about 220 Hz at 1.5 T
    assert fat_displacement(tesla=1.5, bandwidth=1) == pytest.approx(220, rel=0.03)
    assert fat_displacement(tesla=3, bandwidth=100) == pytest.approx(2 * fat_displacement(tesla=3, bandwidth=200))


@pytest.mark.parametrize(
    "fat", [torch.ones(4, 4, dtype=torch.bool), torch.full((4, 4), 1.1), torch.full((4, 4), torch.nan), -torch.ones(4)]
)
def test_bad_fat(fat):
    with pytest.raises(ScanproofError, match=r"chemical_shift: fat must be a floating-point tensor with values in"):
        ChemicalShift(severity=1, fat=fat)


def test_fat_of_another_shape(image):
    with pytest.raises(ScanproofError, match=r"fat must have the spatial shape \(24, 26\), got \(24, 24\)"):
        ChemicalShift(severity=1, fat=torch.ones(24, 24))(image)


def test_bad_options(image):
    with pytest.raises(ScanproofError, match="chemical_shift: displacement must be positive and finite, got 0"):
        ChemicalShift(displacement=0)
    with pytest.raises(ScanproofError, match="chemical_shift: axis must be in"):
        ChemicalShift(severity=1, readout_axis=2)(image)
