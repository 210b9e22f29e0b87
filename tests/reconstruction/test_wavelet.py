from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.reconstruction.wavelet import PeriodicWavelet, daubechies

moments = st.integers(1, 10)


@pytest.mark.parametrize("p", range(1, 11))
def test_filter_is_pywavelets(p: int) -> None:
    np.testing.assert_allclose(daubechies(p), pywt.Wavelet(f"db{p}").rec_lo, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), moments)
def test_perfect_reconstruction_and_orthonormality(rows: int, columns: int, levels: int, p: int) -> None:
    shape = (rows << levels, columns << levels)
    wavelet = PeriodicWavelet(shape, levels=levels, vanishing_moments=p)
    rng = torch.Generator().manual_seed(rows + 10 * columns)
    x, y = torch.randn(2, 3, *shape, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(wavelet.inverse(wavelet.forward(x)), x, atol=1e-10, rtol=0)
    torch.testing.assert_close(wavelet.forward(wavelet.inverse(x)), x, atol=1e-10, rtol=0)
    torch.testing.assert_close((wavelet.forward(x) * wavelet.forward(y)).sum(), (x * y).sum())


@pytest.mark.parametrize("p", [1, 2, 4, 7])
@pytest.mark.parametrize(("shape", "levels"), [((32, 48), 3), ((16, 16), 4), ((8, 40), 2)])
# the coarsest levels are meant to be shorter than the filter
@pytest.mark.filterwarnings("ignore:Level value of:UserWarning")
def test_coefficients_are_pywavelets(shape: tuple[int, int], levels: int, p: int) -> None:
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theirs = pywt.wavedec2(image.numpy(), f"db{p}", mode="periodization", level=levels)
    ours = PeriodicWavelet(shape, levels=levels, vanishing_moments=p).forward(image)
    np.testing.assert_allclose(ours.numpy(), pywt.coeffs_to_array(theirs)[0], atol=1e-10)


@pytest.mark.parametrize("p", [1, 2, 4])
def test_details_of_polynomials_vanish(p: int) -> None:
    """As many moments vanish as promised, away from where the image wraps around."""
    wavelet = PeriodicWavelet((2, 64), levels=1, vanishing_moments=p)
    ramp = torch.linspace(-1, 1, 64, dtype=torch.float64) ** (p - 1)
    details = wavelet.forward(ramp.expand(2, 64))[0, 32:]
    assert details[p:-p].abs().max() < 1e-10
    steeper = torch.linspace(-1, 1, 64, dtype=torch.float64) ** p
    assert wavelet.forward(steeper.expand(2, 64))[0, 32:][p:-p].abs().min() > 1e-8


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shape": (12, 16), "levels": 3}, r"shape must hold multiples of 2\*\*levels = 8, got \(12, 16\)"),
        ({"levels": 0}, "levels: must be at least 1, got 0"),
        ({"vanishing_moments": 11}, r"vanishing_moments: must be in \[1, 10\], got 11"),
    ],
)
def test_wrong_options_are_named(options, text) -> None:
    with pytest.raises(ScanproofError, match=text):
        PeriodicWavelet(**{"shape": (16, 16), "levels": 2, "vanishing_moments": 2, **options})
