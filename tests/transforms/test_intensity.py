from __future__ import annotations

import pytest
import torch
from monai.transforms import NormalizeIntensity, ScaleIntensity

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import IntensityDown, IntensityUp

CASES = [(IntensityUp, 1.1), (IntensityUp, 3.0), (IntensityDown, 0.9), (IntensityDown, 0.3)]


@pytest.mark.parametrize(("shift", "factor"), CASES)
def test_agrees_with_monai(brain, shift, factor):
    theirs = ScaleIntensity(minv=None, maxv=None, factor=factor - 1)(brain).as_tensor()
    torch.testing.assert_close(shift(factor=factor)(brain), theirs)


@pytest.mark.parametrize(("shift", "factor"), CASES)
def test_kspace_and_image_are_scaled_alike(brain, brain_kspace, shift, factor):
    torch.testing.assert_close(shift(factor=factor)(brain_kspace), factor * brain_kspace)
    through = kspace_to_image(shift(factor=factor)(image_to_kspace(brain))).real
    torch.testing.assert_close(through, shift(factor=factor)(brain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [IntensityUp, IntensityDown])
def test_normalisation_hides_it(brain, shift):
    normalise = NormalizeIntensity()
    seen = [normalise(shift(severity=s)(brain).clone()) for s in (0, 5)]
    torch.testing.assert_close(*seen, rtol=1e-4, atol=1e-4)
    assert "normalises" in shift.note


@pytest.mark.parametrize("factor", [1, 0.5, -1, float("nan"), float("inf")])
def test_bad_factor_up(factor):
    with pytest.raises(ScanproofError, match=f"intensity_up: factor must be above 1 and finite, got {factor}"):
        IntensityUp(factor=factor)


@pytest.mark.parametrize("factor", [1, 1.5, 0, -1, float("nan")])
def test_bad_factor_down(factor):
    with pytest.raises(ScanproofError, match=rf"intensity_down: factor must be in \(0, 1\), got {factor}"):
        IntensityDown(factor=factor)
