from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.physics.field_of_view import fit_field_of_view
from scanproof.physics.noise import complex_gaussian


def noise(*shape: int) -> torch.Tensor:
    return complex_gaussian(shape, std=1.0, generator=torch.Generator().manual_seed(1))


@given(st.integers(4, 20), st.integers(4, 20), st.integers(0, 9), st.integers(0, 9))
def test_an_object_that_fits_is_kept(rows: int, columns: int, above: int, left: int) -> None:
    kspace = image_to_kspace(noise(2, rows, columns))
    wide = fit_field_of_view(kspace, (rows + above, columns + left))
    image = kspace_to_image(wide)
    first, second = (rows + above) // 2 - rows // 2, (columns + left) // 2 - columns // 2
    torch.testing.assert_close(
        image[:, first : first + rows, second : second + columns], kspace_to_image(kspace), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(image.norm(), kspace.norm())
    torch.testing.assert_close(fit_field_of_view(wide, (rows, columns)), kspace, atol=1e-5, rtol=0)


def test_axes_that_fit_are_left_alone() -> None:
    kspace = noise(2, 12, 10)
    assert fit_field_of_view(kspace, (12, 10)) is kspace
    one = fit_field_of_view(kspace, (8, 10))
    # the phase encoding is untouched, so a line that is zero stays zero
    kspace[..., 3] = 0
    assert not fit_field_of_view(kspace, (8, 10))[..., 3].any()
    assert torch.equal(one[..., 4], fit_field_of_view(kspace, (8, 10))[..., 4])


def test_noise_keeps_its_level_where_images_are_cropped() -> None:
    cropped = fit_field_of_view(noise(4, 128, 96), (64, 80))
    assert float(torch.view_as_real(cropped).std()) == pytest.approx(1, rel=0.02)


def test_wrong_input() -> None:
    with pytest.raises(ScanproofError, match="kspace: must be complex"):
        fit_field_of_view(torch.ones(2, 4, 4), (2, 2))
    with pytest.raises(ScanproofError, match="matrix: must hold positive sizes"):
        fit_field_of_view(noise(2, 4, 4), (0, 2))
