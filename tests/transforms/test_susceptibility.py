from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scanproof.errors import ScanproofError
from scanproof.physics.coils import root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import Susceptibility


def blob(*shape, width=4.0):
    axes = torch.meshgrid(*(torch.arange(n).double() - n // 2 for n in shape), indexing="ij")
    return torch.exp(-sum(x**2 for x in axes) / (2 * width**2))[None]


@pytest.mark.parametrize("spatial", [(40, 48), (24, 40, 32)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_uniform_field_shifts_the_image(spatial, axis):
    image = blob(*spatial, width=2.0)
    shift = Susceptibility(displacement=3, field=torch.full(spatial, 170), axis=axis)
    expected = image.roll(3, axis + 1 if axis >= 0 else axis)
    torch.testing.assert_close(shift(image), expected, atol=1e-4, rtol=0)
    through = kspace_to_image(shift(image_to_kspace(image, spatial_dims=len(spatial))), spatial_dims=len(spatial))
    torch.testing.assert_close(through.real, expected, atol=1e-4, rtol=0)


def test_linear_field_stretches_and_darkens():
    # displaced by a tenth of the distance from the centre: 1 / 0.9 as wide, 0.9 as bright
    image = torch.zeros(1, 4, 101, dtype=torch.float64)
    image[..., 32:69] = 1
    ramp = (torch.arange(101) - 50).double().expand(4, 101)
    result = Susceptibility(displacement=5, field=ramp)(image)[0, 0]
    torch.testing.assert_close(result[35:66], torch.full((31,), 0.9, dtype=torch.float64))
    torch.testing.assert_close(result.sum(), image[0, 0].sum(), rtol=1e-2, atol=0)
    assert float((result > 0.45).sum()) == pytest.approx(37 / 0.9, abs=1)
    piled = Susceptibility(displacement=5, field=-ramp)(image)[0, 0]
    torch.testing.assert_close(piled[37:64], torch.full((27,), 1.1, dtype=torch.float64))


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("severity", [1, 5])
def test_amount_of_signal_is_kept(brain, brain_kspace, axis, severity):
    for seed in range(4):
        shift = Susceptibility(severity=severity, axis=axis, seed=seed)
        torch.testing.assert_close(shift(brain).sum(axis), brain.sum(axis), atol=0.6, rtol=0)
        torch.testing.assert_close(shift(brain).sum(), brain.sum(), rtol=5e-3, atol=0)
        images, results = kspace_to_image(brain_kspace), kspace_to_image(shift(brain_kspace))
        torch.testing.assert_close(results.sum(axis), images.sum(axis), atol=2e-3, rtol=0)


@pytest.mark.parametrize("pixels", [1.0, 6.0])
def test_nothing_moves_further_than_the_displacement(pixels):
    """Every line is displaced by its field; the largest one is found by where single points arrive."""
    size, moved = 96, []
    for place in range(24, 72, 4):
        image = torch.zeros(1, size, size, dtype=torch.float64)
        image[..., place] = 1
        field = torch.cos(torch.linspace(-1, 1, size).double() * 1.5)[:, None].expand(size, size)
        result = Susceptibility(displacement=pixels, field=field)(image)[0]
        moved.append((result * torch.arange(size)).sum(-1) / result.sum(-1) - place)
    largest = torch.stack(moved).abs().amax()
    assert float(largest) == pytest.approx(pixels, rel=0.02)


def test_severities_grow_one_pattern(brain):
    smooth = torch.nn.functional.avg_pool2d(brain, 9, stride=1, padding=4).double()
    first, second = (Susceptibility(displacement=d, seed=2)(smooth) - smooth for d in (0.05, 0.1))
    torch.testing.assert_close(second, 2 * first, atol=2e-3, rtol=0)
    assert np.corrcoef(first.flatten(), second.flatten())[0, 1] > 0.99


def test_the_image_does_not_fold_back():
    image = blob(16, 20) + 1
    for seed in range(10):
        far = Susceptibility(displacement=50, seed=seed)(image)
        assert torch.equal(far, Susceptibility(displacement=60, seed=seed)(image))
        images = kspace_to_image(Susceptibility(displacement=50, seed=seed)(image_to_kspace(image)))
        # the rest of a tenth of the brightness, but for the undershoot of the interpolation
        assert images.real[..., 2:-2].min() > -0.02


def test_all_coils_see_one_field(brain):
    maps = torch.tensor([0.6, 0.8j])[:, None, None]
    results = kspace_to_image(Susceptibility(severity=4, seed=3)(image_to_kspace(maps * brain)))
    expected = Susceptibility(severity=4, seed=3)(brain)
    torch.testing.assert_close(root_sum_of_squares(results, 0)[None], expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(results[1] * 0.6, results[0] * 0.8j, atol=1e-4, rtol=0)


def test_resolution_has_no_influence():
    coarse, fine = (blob(size, size, width=size / 8) for size in (64, 128))
    # blobs are centred on a pixel, half a coarse pixel from the centre of the field of view at most
    low = Susceptibility(displacement=2, seed=5)(coarse) - coarse
    high = torch.nn.functional.avg_pool2d(Susceptibility(displacement=4, seed=5)(fine) - fine, 2)
    assert np.corrcoef(low.flatten(), high.flatten())[0, 1] > 0.97
    assert float(high.norm() / low.norm()) == pytest.approx(1, abs=0.1)


def test_measured_field_is_taken_as_it_is(brain):
    field = torch.rand(brain.shape[1:], generator=torch.Generator().manual_seed(1))
    field = torch.nn.functional.avg_pool2d(field[None], 15, stride=1, padding=7)[0]
    shift = Susceptibility(severity=3, field=MetaTensor(field * 1e-9))
    result = shift(brain)
    torch.testing.assert_close(result, Susceptibility(severity=3, field=field)(brain), atol=1e-4, rtol=0)
    torch.testing.assert_close(result, shift(brain, seed=9))
    field += 1
    torch.testing.assert_close(result, shift(brain))


@pytest.mark.parametrize(
    "field",
    [torch.zeros(8, 8), torch.full((8, 8), torch.nan), torch.ones(8, 8, dtype=torch.complex64), torch.zeros(0)],
    ids=["zero", "nan", "complex", "empty"],
)
def test_bad_field(field):
    with pytest.raises(ScanproofError, match="susceptibility: field must be real, finite and not zero everywhere, got"):
        Susceptibility(severity=1, field=field)


def test_field_of_another_shape(brain):
    with pytest.raises(ScanproofError, match=r"field must have the spatial shape \(99, 117\), got \(117, 99\)"):
        Susceptibility(severity=1, field=torch.ones(117, 99))(brain)


@pytest.mark.parametrize("displacement", [0, -1, float("nan"), float("inf")])
def test_bad_displacement(displacement):
    with pytest.raises(
        ScanproofError, match=f"susceptibility: displacement must be positive and finite, got {displacement}"
    ):
        Susceptibility(displacement=displacement)
