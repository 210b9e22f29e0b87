from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms import RandBiasField
from numpy.polynomial import legendre

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import BiasField
from scanproof.transforms.bias_field import legendre_parts
from scanproof.transforms.severity import parameters


def legendre_field(shape, coefficients, *, order, length=None):
    return torch.cat(list(legendre_parts(shape, coefficients, order=order, length=length or shape[0])))


def biased(data, seed=1, **options):
    return BiasField(**options, seed=seed)(data)


@pytest.mark.parametrize("shape", [(9, 12), (5, 6, 7)])
def test_field_agrees_with_numpy(shape):
    order, dims = 3, len(shape)
    cube = np.zeros([order + 1] * dims)
    orders = [o for o in np.ndindex(cube.shape) if 1 <= sum(o) <= order]
    coefficients = np.random.default_rng(1).normal(size=len(orders))
    for o, c in zip(orders, coefficients, strict=True):
        cube[o] = c
    evaluate = legendre.leggrid2d if dims == 2 else legendre.leggrid3d
    reference = evaluate(*(np.linspace(-1, 1, n) for n in shape), cube)
    for length in (1, 2, shape[0], 99):
        field = legendre_field(shape, torch.from_numpy(coefficients), order=order, length=length)
        np.testing.assert_allclose(field, reference, atol=1e-12)


def test_field_agrees_with_monai():
    # MONAI takes the orders (i, j) with j <= i <= 3, ours those with 1 <= i + j <= 3: compare what both have
    shape, random = (11, 14), np.random.default_rng(2)
    both = {(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)}
    values = {order: random.normal() for order in sorted(both)}
    theirs = RandBiasField(degree=3)._generate_random_field(
        shape, 3, tuple(values.get((i, j), 0.0) for i in range(4) for j in range(i + 1))
    )
    ours = [values.get((i, j), 0.0) for i in range(4) for j in range(4) if 1 <= i + j <= 3]
    field = legendre_field(shape, torch.tensor(ours, dtype=torch.float64), order=3)
    np.testing.assert_allclose(field, theirs, atol=1e-6)


def test_field_has_no_constant_part():
    # Legendre polynomials are orthogonal to a constant; Gauss-Legendre nodes would make it exact
    field = legendre_field((2001, 2001), torch.ones(9, dtype=torch.float64), order=3)
    assert abs(float(field.mean())) < 0.01


@pytest.mark.parametrize("severity", [1, 5])
def test_mean_intensity_stays(brain, severity):
    result = biased(brain, severity=severity)
    torch.testing.assert_close(result.mean(), brain.mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(biased(3 * brain, severity=severity), 3 * result, rtol=1e-4, atol=1e-6)


def test_kspace_and_image_get_the_same_field(brain, brain_kspace):
    image = root_sum_of_squares(kspace_to_image(brain_kspace), 0)[None]
    from_kspace = root_sum_of_squares(kspace_to_image(biased(brain_kspace, severity=4)), 0)[None]
    torch.testing.assert_close(from_kspace, biased(image, severity=4), rtol=1e-3, atol=1e-4)


def test_phase_and_sensitivities_stay(brain):
    maps = birdcage_sensitivities(3, brain.shape[1:])
    images = kspace_to_image(biased(image_to_kspace(maps * (brain + 0.1)), severity=5))
    combined = (maps.conj() * images).sum(0)
    assert combined.imag.abs().max() < 1e-4
    assert combined.real.min() > 0


def test_severities_scale_one_logarithmic_field(brain):
    image = brain + 0.1
    weak, strong = (torch.log(biased(image, severity=s) / image) for s in (1, 5))
    contrast = [(x - x.mean()).flatten() for x in (weak, strong)]
    ratio = parameters("bias_field", 5)["coefficient"] / parameters("bias_field", 1)["coefficient"]
    torch.testing.assert_close(contrast[1], ratio * contrast[0], rtol=1e-3, atol=1e-4)
    assert strong.amax() - strong.amin() > 1


def test_volumes_are_done_in_parts():
    """The field and its mean are those of the whole volume."""
    volume = torch.rand(2, 40, 200, 190, generator=torch.Generator().manual_seed(1)) + 0.1
    result = biased(volume, coefficient=0.3, order=2)
    unit = 2 * torch.rand(9, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1
    field = legendre_field(volume.shape[1:], 0.3 * unit, order=2).exp()
    expected = volume * field * (volume.mean((1, 2, 3)) / (volume * field).mean((1, 2, 3)))[:, None, None, None]
    torch.testing.assert_close(result, expected.float(), rtol=1e-5, atol=1e-6)


def test_bad_order():
    with pytest.raises(ScanproofError, match="bias_field: order must be at least 1, got 0"):
        BiasField(severity=1, order=0)
