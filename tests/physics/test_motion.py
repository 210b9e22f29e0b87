from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.physics.motion import acquire_moving, rotate


def blobs(shape, spacing, *, angle=0.0, axes=(0, 1), shift=None):
    """Three Gaussians, rotated about pixel ``n // 2`` in a plane and shifted, in mm: exact at every angle."""
    shift = shift or [0.0] * len(shape)
    positions = [(np.arange(n) - n // 2) * d - t for n, d, t in zip(shape, spacing, shift, strict=True)]
    grids = list(np.meshgrid(*positions, indexing="ij"))
    # the object turns by the angle, so its coordinates are those of the grid turned back
    a, b = grids[axes[0]], grids[axes[1]]
    grids[axes[0]] = math.cos(angle) * a + math.sin(angle) * b
    grids[axes[1]] = -math.sin(angle) * a + math.cos(angle) * b
    image = np.zeros(shape)
    for number, (centre, width) in enumerate([(6.0, 3.0), (-5.0, 4.0), (1.0, 3.5)]):
        place = [centre * (1 if i == number % len(shape) else 0.4) for i in range(len(shape))]
        image += np.exp(-sum((g - p) ** 2 for g, p in zip(grids, place, strict=True)) / (2 * width**2))
    return torch.from_numpy(image)[None]


@pytest.mark.parametrize("shape", [(48, 48), (47, 51)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 1.5)])
@pytest.mark.parametrize("degrees", [3.0, -7.5])
def test_rotation_is_exact_for_a_band_limited_object(shape, spacing, degrees):
    angle = math.radians(degrees)
    rotated = rotate(blobs(shape, spacing) + 0j, angle, axes=(-2, -1), spacing=spacing)
    torch.testing.assert_close(rotated.real, blobs(shape, spacing, angle=angle), atol=1e-5, rtol=0)
    assert rotated.imag.abs().max() < 1e-5


def test_rotation_agrees_with_scipy():
    image = blobs((49, 49), (1, 1))
    ours = rotate(image + 0j, math.radians(5), axes=(-2, -1), spacing=(1, 1)).real[0].numpy()
    # about the centre of the image, which is a pixel here as the size is odd
    theirs = scipy.ndimage.rotate(image[0].numpy(), 5, reshape=False, order=5)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 12, 14), (3, 11, 9)])
def test_rotation_is_unitary(complex_normal, shape):
    x, y = complex_normal(*shape), complex_normal(*shape)
    there = rotate(x, 0.3, axes=(-2, -1), spacing=(1, 2))
    torch.testing.assert_close(there.norm(), x.norm())
    back = rotate(y, -0.3, axes=(-2, -1), spacing=(1, 2))
    torch.testing.assert_close(torch.vdot(y.flatten(), there.flatten()), torch.vdot(back.flatten(), x.flatten()))


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("shape", [(12, 16), (13, 15)])
def test_translation_by_whole_pixels_rolls_the_image(complex_normal, shape, axis):
    image = complex_normal(3, *shape)
    moved = acquire_moving(
        image_to_kspace(image),
        angles=torch.zeros(1, 1),
        shifts=torch.tensor([[3 * 1.5, -2 * 0.5]]),
        axis=axis,
        spacing=(1.5, 0.5),
    )
    rolled = image_to_kspace(torch.roll(image, (3, -2), dims=(-2, -1)))
    lines = shape[axis]
    first = math.ceil(lines / 2)  # lines before the event; the centre line belongs to the larger or the later part
    at_rest = slice(first, None) if lines % 2 == 0 else slice(0, first)
    in_motion = slice(0, first) if lines % 2 == 0 else slice(first, None)
    k = image_to_kspace(image).movedim(axis, 0)
    torch.testing.assert_close(moved.movedim(axis, 0)[in_motion], rolled.movedim(axis, 0)[in_motion])
    assert torch.equal(moved.movedim(axis, 0)[at_rest], k[at_rest])


def test_translation_is_a_known_phase_ramp(complex_normal):
    k = complex_normal(1, 4, 6)
    moved = acquire_moving(k, angles=torch.zeros(1, 1), shifts=torch.tensor([[0.0, 0.75]]), axis=-1, spacing=(1.0, 1.0))
    u = torch.tensor([-3.0, -2.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(moved[..., :3], k[..., :3] * torch.exp(-2j * torch.pi * u * 0.75 / 6), atol=1e-6, rtol=0)


def apart(image, angles, shift, *, axis, spacing):
    """The slow way: rotate in every plane, then shift, on whole images."""
    dims = len(spacing)
    planes = [(a, b) for a in range(-dims, 0) for b in range(a + 1, 0)]
    for (a, b), angle in zip(planes, angles, strict=True):
        if (a, b) == planes[-1] and b == axis:
            # the same turn; which axis is sheared twice matters only to images that are not smooth
            a, b, angle = b, a, -angle
        image = rotate(image, angle, axes=(a, b), spacing=(spacing[a], spacing[b]))
    k = image_to_kspace(image, spatial_dims=dims)
    for a in range(-dims, 0):
        n = k.shape[a]
        ramp = torch.exp(-2j * torch.pi * (torch.arange(n, dtype=torch.float64) - n // 2) * shift[a] / spacing[a] / n)
        k = k * ramp.reshape(-1, *[1] * (-a - 1))
    return k


@pytest.mark.parametrize(
    ("shape", "axis", "spacing"),
    [
        ((2, 12, 16), -1, (1.0, 1.3)),
        ((2, 13, 15), -1, (2.0, 1.0)),
        ((2, 13, 15), -2, (2.0, 1.0)),
        ((2, 12, 16), -2, (0.7, 1.0)),
        ((1, 6, 7, 9), -1, (1.0, 1.5, 2.0)),
    ],
)
@pytest.mark.parametrize("events", [1, 2, 3])
def test_every_shot_sees_its_pose(complex_normal, shape, axis, spacing, events):
    dims = len(spacing)
    image = complex_normal(*shape)
    g = torch.Generator().manual_seed(events)
    angles = 0.2 * torch.randn(events, math.comb(dims, 2), generator=g)
    shifts = torch.randn(events, dims, generator=g)
    k = image_to_kspace(image, spatial_dims=dims)
    moved = acquire_moving(k, angles=angles, shifts=shifts, axis=axis, spacing=spacing).movedim(axis, 0)

    lines = shape[axis]
    shots = [line * (events + 1) // lines for line in range(lines)]
    rest = shots[lines // 2]
    poses = [
        apart(image, *pose, axis=axis, spacing=spacing) for pose in zip(angles.tolist(), shifts.tolist(), strict=True)
    ]
    poses.insert(rest, k)
    expected = torch.stack([poses[shot].movedim(axis, 0)[line] for line, shot in enumerate(shots)])
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=0)


def test_volumes_turn_in_the_named_plane():
    shape, spacing, angle = (20, 24, 26), (2.0, 1.5, 1.5), 0.1
    for column, plane in enumerate([(0, 1), (0, 2), (1, 2)]):
        angles = torch.zeros(1, 3)
        angles[0, column] = angle
        k = image_to_kspace(blobs(shape, spacing), spatial_dims=3)
        moved = acquire_moving(k, angles=angles, shifts=torch.tensor([[1.0, -2.0, 0.5]]), axis=-1, spacing=spacing)
        truth = blobs(shape, spacing, angle=angle, axes=plane, shift=[1.0, -2.0, 0.5])
        expected = image_to_kspace(truth, spatial_dims=3)
        torch.testing.assert_close(moved[..., :13], expected[..., :13], atol=5e-3, rtol=0)


def test_parseval_under_translation(complex_normal):
    k = complex_normal(4, 15, 16)
    g = torch.Generator().manual_seed(1)
    moved = acquire_moving(k, angles=torch.zeros(5, 1), shifts=torch.randn(5, 2, generator=g), axis=-1, spacing=(1, 1))
    torch.testing.assert_close(moved.abs(), k.abs())
    torch.testing.assert_close(kspace_to_image(moved).norm(), k.norm())
    assert not torch.allclose(moved, k)


def test_no_motion_changes_nothing(complex_normal):
    k = complex_normal(4, 15, 16)
    still = acquire_moving(k, angles=torch.zeros(6, 1), shifts=torch.zeros(6, 2), axis=-1, spacing=(1, 1))
    torch.testing.assert_close(still, k)


def test_gradient(complex_normal):
    options = {"angles": torch.tensor([[0.1], [0.2]]), "shifts": torch.ones(2, 2), "axis": -1, "spacing": (1, 2)}
    k = complex_normal(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: acquire_moving(x, **options), (k,))


def test_bad_input(complex_normal):
    with pytest.raises(ScanproofError, match="rigid motion must have 2 or 3 spatial axes, got 1"):
        acquire_moving(complex_normal(2, 8), angles=torch.zeros(1, 0), shifts=torch.zeros(1, 1), axis=-1, spacing=(1,))
    with pytest.raises(ScanproofError, match="events must be fewer than the 4 phase-encode lines, got 4"):
        acquire_moving(
            complex_normal(2, 8, 4), angles=torch.zeros(4, 1), shifts=torch.zeros(4, 2), axis=-1, spacing=(1, 1)
        )
