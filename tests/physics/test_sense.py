from __future__ import annotations

import numpy as np
import pytest
import sigpy.mri
import torch
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities
from scanproof.physics.sense import SenseOperator

# sensitivities, mask, image, spatial_dims
CASES = [
    ((4, 6, 8), (1, 1, 8), (1, 6, 8), 2),
    ((4, 5, 7), (5, 7), (3, 2, 1, 5, 7), 2),
    ((1, 6, 8), (1, 6, 8), (2, 1, 6, 8), 2),
    ((2, 4, 6, 7), (2, 1, 1, 7), (2, 1, 6, 7), 2),
    ((2, 4, 6, 7), (7,), (3, 2, 1, 6, 7), 2),
    ((4, 6, 7), (2, 1, 1, 7), (2, 1, 6, 7), 2),
    ((3, 4, 5, 6), (1, 1, 5, 6), (1, 4, 5, 6), 3),
    ((2, 3, 4, 5, 6), (2, 1, 1, 1, 6), (2, 1, 4, 5, 6), 3),
]


@pytest.fixture(params=CASES, ids=str)
def case(request, complex_normal):
    maps, mask, image, dims = request.param
    sampled = torch.rand(mask, generator=torch.Generator().manual_seed(3)) < 0.6
    return SenseOperator(complex_normal(*maps), sampled, spatial_dims=dims), complex_normal(*image)


def test_shapes_and_dot_product(case, complex_normal):
    sense, x = case
    k = sense.forward(x)
    dims = sense.spatial_dims
    assert k.shape == (*x.shape[: -dims - 1], sense.coils, *x.shape[-dims:])
    y = complex_normal(*k.shape)
    assert sense.adjoint(y).shape == x.shape
    torch.testing.assert_close(
        torch.vdot(y.flatten(), k.flatten()), torch.vdot(sense.adjoint(y).flatten(), x.flatten())
    )
    torch.testing.assert_close(sense.normal(x), sense.adjoint(k))
    assert k[~sense.mask.expand(k.shape)].abs().sum() == 0


def test_isometry_with_full_mask_and_normalised_maps(complex_normal):
    maps = birdcage_sensitivities(6, (9, 12)).to(torch.complex128)
    sense = SenseOperator(maps, torch.ones(1, 1, 12, dtype=torch.bool))
    x = complex_normal(2, 1, 9, 12)
    torch.testing.assert_close(sense.forward(x).norm(), x.norm(), rtol=1e-6, atol=0)
    torch.testing.assert_close(sense.normal(x), x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 10), (7, 9), (4, 5, 6)])
def test_agrees_with_sigpy(complex_normal, shape):
    maps, x = complex_normal(3, *shape), complex_normal(1, *shape)
    mask = torch.arange(shape[-1]) % 2 == 0
    sense = SenseOperator(maps, mask, spatial_dims=len(shape))
    reference = sigpy.mri.linop.Sense(maps.numpy(), weights=mask.double().expand(3, *shape).numpy())
    np.testing.assert_allclose(sense.forward(x).numpy(), reference * x[0].numpy(), atol=1e-12)
    y = complex_normal(3, *shape)
    np.testing.assert_allclose(sense.adjoint(y)[0].numpy(), reference.H * y.numpy(), atol=1e-12)


def test_gradients(complex_normal):
    sense = SenseOperator(complex_normal(2, 3, 4), torch.tensor([True, False, True, True]))
    assert torch.autograd.gradcheck(sense.forward, (complex_normal(1, 3, 4).requires_grad_(),))
    assert torch.autograd.gradcheck(sense.adjoint, (complex_normal(2, 3, 4).requires_grad_(),))


MAPS = torch.ones(4, 6, 8, dtype=torch.complex64)
MASK = torch.ones(1, 1, 8, dtype=torch.bool)


@pytest.mark.parametrize(
    ("maps", "mask", "text"),
    [
        (MAPS.real, MASK, r"sensitivities: must be complex, got 'torch.float32'"),
        (MAPS[0], MASK, r"sensitivities: must have a coil axis and 2 spatial axes, got \(6, 8\)"),
        (MAPS, MASK.float(), r"mask: must be bool, got 'torch.float32'"),
        (MAPS, MASK[..., :7], r"mask: must be broadcastable .*\(4, 6, 8\), got \(1, 1, 7\)"),
        (MAPS.expand(2, 4, 6, 8), MASK.expand(3, 1, 1, 8), r"mask: must have batch axes .*\(2,\), got \(3,\)"),
    ],
)
def test_bad_operators(maps, mask, text):
    with pytest.raises(ScanproofError, match=text):
        SenseOperator(maps, mask)


def test_bad_data():
    sense = SenseOperator(MAPS, MASK)
    with pytest.raises(ScanproofError, match=r"image: must have the shape \(\.\.\., 1, 6, 8\), got \(4, 6, 8\)"):
        sense.forward(MAPS)
    with pytest.raises(ScanproofError, match=r"kspace: must have the shape \(\.\.\., 4, 6, 8\), got \(1, 6, 8\)"):
        sense.adjoint(MAPS[:1])


def test_batch_only_in_the_operator_is_refused():
    sense = SenseOperator(MAPS.expand(2, 4, 6, 8), MASK)
    with pytest.raises(ScanproofError, match=r"image: must have the shape \(\.\.\., 2, 1, 6, 8\), got \(1, 6, 8\)"):
        sense.forward(MAPS[:1])


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 3),
    st.sampled_from(["lines", "rows", "both", "none", "batch"]),
    st.integers(0, 2**31),
)
def test_normal_is_adjoint_of_forward_for_every_kind_of_mask(
    height: int, width: int, coils: int, kind: str, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    shape = {"lines": (1, 1, width), "rows": (1, height, 1), "both": (1, height, width), "none": (1, 1, 1)}
    mask_shape = shape.get(kind, (2, 1, 1, width))
    mask = torch.rand(mask_shape, generator=rng) < 0.6
    maps = torch.randn(coils, height, width, generator=rng, dtype=torch.complex128)
    image = torch.randn(2, 1, height, width, generator=rng, dtype=torch.complex128)
    operator = SenseOperator(maps, mask)
    expected = operator.adjoint(operator.forward(image))
    torch.testing.assert_close(operator.normal(image), expected, atol=1e-12, rtol=1e-12)


def test_images_in_time_are_encoded_frame_by_frame(complex_normal):
    maps, x = complex_normal(3, 1, 6, 7), complex_normal(2, 1, 4, 6, 7)  # four frames seen by the same coils
    mask = torch.rand(1, 4, 1, 7, generator=torch.Generator().manual_seed(3)) < 0.5  # other lines in every frame
    cine = SenseOperator(maps.expand(3, 4, 6, 7), mask, spatial_dims=3, encoded_dims=2)
    kspace = cine.forward(x)
    for frame in range(4):
        flat = SenseOperator(maps[:, 0], mask[:, frame])
        torch.testing.assert_close(kspace[:, :, frame], flat.forward(x[:, :, frame]))
        torch.testing.assert_close(cine.adjoint(kspace)[:, :, frame], flat.adjoint(kspace[:, :, frame]))
        torch.testing.assert_close(cine.normal(x)[:, :, frame], flat.normal(x[:, :, frame]))
    y = complex_normal(*kspace.shape)
    torch.testing.assert_close(
        torch.vdot(y.flatten(), kspace.flatten()), torch.vdot(cine.adjoint(y).flatten(), x.flatten())
    )
    with pytest.raises(ScanproofError, match=r"encoded_dims: must be in \[1, 2\], got 3"):
        SenseOperator(maps[:, 0], mask[:, 0], encoded_dims=3)
