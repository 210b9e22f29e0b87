from __future__ import annotations

import numpy as np
import pytest
import torch
import torchio
from hypothesis import given, settings, strategies as st
from torch.nn import functional

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import SliceThickness
from scanproof.transforms.slice_thickness import thick_slices, thickest_axis


def volume(*shape, dtype=torch.float64):
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


@settings(max_examples=30, deadline=None)
@given(slices=st.integers(1, 60), factor=st.floats(1.01, 80))
def test_matrix(slices, factor):
    matrix = thick_slices(slices, factor=factor)
    assert matrix.shape == (slices, slices)
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(slices, dtype=torch.float64))
    # symmetric about the middle of the volume
    torch.testing.assert_close(matrix, matrix.flip(0, 1))


@pytest.mark.parametrize(("slices", "factor"), [(12, 2), (12, 3), (15, 5), (12, 12)])
def test_agrees_with_pooling_and_interpolation(slices, factor):
    x = volume(1, 3, slices)
    pooled = functional.avg_pool1d(x, factor)
    expected = functional.interpolate(pooled, size=slices, mode="linear", align_corners=False)
    torch.testing.assert_close(x @ thick_slices(slices, factor=factor).mT, expected)


def test_outermost_slices_average_what_lies_inside():
    # 5 slices in thick ones of 2: from -0.5 to 1.5, to 3.5 and to 5.5
    average = torch.tensor([[2, 1, 0, 0, 0], [0, 1, 2, 1, 0], [0, 0, 0, 1, 2]], dtype=torch.float64)
    average = average / average.sum(dim=1, keepdim=True)
    # centres at 0.5, 2.5 and 4.5; those of the slices at 0.5, 1.5 and so on
    expected = torch.stack(
        [average[0], (average[0] + average[1]) / 2, average[1], (average[1] + average[2]) / 2, average[2]]
    )
    torch.testing.assert_close(thick_slices(5, factor=2), expected)


def test_factor_of_the_whole_volume_gives_the_mean():
    x = volume(1, 4, 5, 6)
    result = SliceThickness(factor=50)(x)
    torch.testing.assert_close(result, x.mean(dim=-1, keepdim=True).expand_as(x))


@pytest.mark.parametrize("axis", [-3, -2, -1, 0, 1, 2])
@pytest.mark.parametrize("shape", [(2, 9, 8, 10), (1, 6, 70, 5)])
def test_acts_along_the_axis_alone(shape, axis):
    x = volume(*shape)
    along = axis - 3 if axis >= 0 else axis
    matrix = thick_slices(shape[along], factor=2.5)
    expected = np.moveaxis(np.tensordot(matrix.numpy(), x.numpy(), axes=(1, along)), 0, along)
    result = SliceThickness(factor=2.5, slice_axis=axis)(x)
    np.testing.assert_allclose(result, expected, atol=1e-12)
    assert result.is_contiguous()


@pytest.mark.parametrize("axis", [-3, -2, -1])
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_kspace_is_that_of_the_thick_slices(axis, severity):
    phase = 6 * volume(3, 7, 8, 9)
    coils = torch.polar(volume(3, 7, 8, 9) + 1, phase)
    shift = SliceThickness(severity=severity, slice_axis=axis)
    result = kspace_to_image(shift(image_to_kspace(coils, spatial_dims=3)), spatial_dims=3)
    # the matrix is real: the parts of the complex signal are averaged alike
    matrix = thick_slices(coils.shape[axis], factor=shift.parameters["factor"])
    parts = [torch.tensordot(part, matrix, dims=([axis], [1])).movedim(-1, axis) for part in (coils.real, coils.imag)]
    torch.testing.assert_close(result, torch.complex(*parts))


def test_coils_without_phase_agree_with_the_image():
    x = volume(1, 8, 9, 10)
    coils = torch.cat([0.6 * x, 0.8 * x])
    shift = SliceThickness(severity=4)
    from_kspace = kspace_to_image(shift(image_to_kspace(coils, spatial_dims=3)), spatial_dims=3)
    torch.testing.assert_close(root_sum_of_squares(from_kspace, 0)[None], shift(x))


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((1, 1, 1), -1), ((3, 1, 1), -3), ((1, 3, 1), -2), ((2, 2, 1), -2), ((1.00001, 1, 1), -1), ((1.1, 1, 1), -3)],
)
def test_slices_lie_along_the_largest_voxel_size(spacing, axis):
    assert thickest_axis(tuple(map(float, spacing))) == axis
    x = volume(1, 8, 9, 10)
    expected = SliceThickness(severity=3, slice_axis=axis)(x)
    assert torch.equal(SliceThickness(severity=3)(x, spacing=spacing), expected)


def test_torchio_takes_single_slices():
    # a bright slice between two that are taken is lost there, and spread here
    x = torch.zeros(1, 4, 4, 12)
    x[..., 5] = 1
    theirs = torchio.RandomAnisotropy(axes=2, downsampling=3)(x)
    ours = SliceThickness(factor=3)(x)
    torch.testing.assert_close(ours[0, 0, 0].sum(), torch.tensor(1.0))
    assert abs(float(theirs[0, 0, 0].sum()) - 1) > 0.3


def test_oblique_edges_get_blurred_more_than_flat_ones():
    i, k = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    oblique = (i < k).float()[None, :, None].expand(1, 24, 4, 24)
    along = (i < 12).float()[None, :, None].expand(1, 24, 4, 24)
    with pytest.warns(UserWarning, match="nothing to change"):
        result = SliceThickness(factor=4)(along)
    assert torch.equal(result, along)
    partial = SliceThickness(factor=4)(oblique)
    assert ((partial > 0.1) & (partial < 0.9)).float().mean() > 0.1


def test_slices_need_a_volume():
    with pytest.raises(ScanproofError, match="slice_thickness: data must have 3 spatial axes"):
        SliceThickness(severity=1)(torch.ones(1, 8, 8))


@pytest.mark.parametrize("factor", [1, -1, float("nan"), float("inf")])
def test_bad_options(factor):
    text = rf"slice_thickness: factor must be above 1 and finite, got {factor} \(severity=0 is the identity\)"
    with pytest.raises(ScanproofError, match=text):
        SliceThickness(factor=factor)


def test_bad_axis():
    with pytest.raises(ScanproofError, match=r"slice_thickness: axis must be in \[-3, 2\]"):
        SliceThickness(severity=1, slice_axis=3)(volume(1, 8, 8, 8))
