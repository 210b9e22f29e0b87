from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import GibbsPhaseEncode
from scanproof.transforms.gibbs_phase_encode import line_weights


def weights(lines, kept):
    distance = (torch.arange(lines, dtype=torch.float64) - lines // 2).abs()
    return line_weights(distance, lines=lines, kept=kept)


@pytest.mark.parametrize(
    ("lines", "kept", "expected"),
    [
        (5, 0.6, [0, 1, 1, 1, 0]),
        (5, 0.8, [0.5, 1, 1, 1, 0.5]),
        (4, 0.5, [0, 0.5, 1, 0.5]),
        (4, 0.875, [0.5, 1, 1, 1]),
        (5, 0.1, [0, 0, 1, 0, 0]),
    ],
)
def test_weights_of_few_lines(lines, kept, expected):
    torch.testing.assert_close(weights(lines, kept), torch.tensor(expected, dtype=torch.float64))


@settings(max_examples=30, deadline=None)
@given(lines=st.integers(2, 300), kept=st.floats(0.001, 0.999), more=st.floats(0, 1))
def test_weights(lines, kept, more):
    w = weights(lines, kept)
    assert float(w.sum()) == pytest.approx(max(kept * lines, 1))
    assert w[lines // 2] == 1
    assert ((w >= 0) & (w <= 1)).all()
    assert (weights(lines, kept + more * (0.999 - kept)) >= w - 1e-12).all()


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_lines_along_the_axis_are_weighted(kspace, axis):
    ratio = (GibbsPhaseEncode(kept=0.45, axis=axis)(kspace) / kspace).real
    expected = weights(kspace.shape[1:][axis], 0.45).float()
    expected = expected[:, None] if axis in (0, -2) else expected
    torch.testing.assert_close(ratio, expected.expand_as(ratio))


def test_agrees_with_numpy(brain):
    spectrum = np.fft.fftshift(np.fft.fft(brain[0].numpy().astype(float), axis=0), axes=0)
    kept = np.abs(np.arange(99) - 49) <= 24  # 49 whole lines
    expected = np.abs(np.fft.ifft(np.fft.ifftshift(spectrum * kept[:, None], axes=0), axis=0))
    np.testing.assert_allclose(GibbsPhaseEncode(kept=49 / 99, axis=0)(brain)[0], expected, atol=1e-5)


@pytest.mark.parametrize("axis", [-3, -2, -1])
@pytest.mark.parametrize("shape", [(2, 12, 9, 10), (1, 70, 3, 8)])
def test_volume_and_its_kspace_agree(shape, axis):
    volume = torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 4
    shift = GibbsPhaseEncode(severity=4, axis=axis)
    expected = kspace_to_image(shift(image_to_kspace(volume, spatial_dims=3)), spatial_dims=3)
    torch.testing.assert_close(shift(volume), expected.abs())


def test_edges_along_the_axis_stay_sharp():
    stripes = torch.zeros(1, 96, 32)
    stripes[:, 24:72] = 1
    torch.testing.assert_close(GibbsPhaseEncode(kept=0.3, axis=1)(stripes), stripes, atol=1e-5, rtol=0)
    assert GibbsPhaseEncode(kept=0.3, axis=0)(stripes).max() > 1.05


def test_coils_without_phase_agree_with_the_image(brain):
    coils = torch.stack([0.6 * brain[0], 0.8 * brain[0]])
    shift = GibbsPhaseEncode(severity=4)
    from_kspace = kspace_to_image(shift(image_to_kspace(coils)))
    torch.testing.assert_close(root_sum_of_squares(from_kspace, 0)[None], shift(brain), atol=1e-4, rtol=0)


def test_damage_grows_without_steps(brain):
    kept = np.linspace(0.95, 0.05, 181)  # half a line at a time
    errors = [float((GibbsPhaseEncode(kept=k)(brain) - brain).norm() / brain.norm()) for k in kept]
    assert (np.diff(errors) > 0).all()
    assert np.diff(errors).max() < 0.05


@pytest.mark.parametrize("kept", [0, 1, -1, 1.5, float("nan")])
def test_bad_options(kept):
    text = rf"gibbs_phase_encode: kept must be in \(0, 1\), got {kept} \(severity=0 is the identity\)"
    with pytest.raises(ScanproofError, match=text):
        GibbsPhaseEncode(kept=kept)


def test_bad_axis(image):
    with pytest.raises(ScanproofError, match=r"gibbs_phase_encode: axis must be in \[-2, 1\]"):
        GibbsPhaseEncode(severity=1, axis=2)(image)
