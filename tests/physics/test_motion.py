from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial.transform
import torch
from nilearn.datasets import load_mni152_template

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.physics.motion import acquire_moving, image_of_moving, rotation_matrix


def blobs(shape, spacing, *, turn=None, shift=None):
    """Three Gaussians, rotated about pixel ``n // 2`` and shifted, in mm: exact at every angle."""
    dims = len(shape)
    turn = np.eye(dims) if turn is None else np.asarray(turn)
    positions = [(np.arange(n) - n // 2) * d for n, d in zip(shape, spacing, strict=True)]
    grid = np.stack(np.meshgrid(*positions, indexing="ij"), axis=-1) - (np.zeros(dims) if shift is None else shift)
    # the object turns, so its coordinates are those of the grid turned back
    grid = grid @ turn
    image = np.zeros(shape)
    for number, (centre, width) in enumerate([(6.0, 3.0), (-5.0, 4.0), (1.0, 3.5)]):
        place = [centre * (1 if i == number % dims else 0.4) for i in range(dims)]
        image += np.exp(-((grid - place) ** 2).sum(-1) / (2 * width**2))
    return torch.from_numpy(image)[None]


@pytest.fixture(scope="module")
def head():
    """An axial slice of the MNI152 head, 2 mm, float64 ``(99, 117)``."""
    volume = load_mni152_template(resolution=2).get_fdata()
    return torch.from_numpy(volume[:, :, 45] / volume[:, :, 45].max())


def first_shot(lines, events):
    return math.ceil(lines / (events + 1))


@pytest.mark.parametrize("angles", [[0.3], [0.1, -0.2, 0.3]])
def test_rotation_matrix_agrees_with_scipy(angles):
    if len(angles) == 1:
        about_z = scipy.spatial.transform.Rotation.from_rotvec([0, 0, angles[0]])
        expected = about_z.as_matrix()[:2, :2]
    else:
        # extrinsic, one after the other; from the first axis to the last is against the sense about the second
        expected = scipy.spatial.transform.Rotation.from_euler("zyx", [angles[0], -angles[1], angles[2]]).as_matrix()
    np.testing.assert_allclose(rotation_matrix(angles), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(48, 48), (47, 51)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 1.5)])
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("degrees", [3.0, -7.5])
def test_motion_is_exact_for_a_smooth_object_within_the_field_of_view(shape, spacing, axis, degrees):
    pose = {"angles": torch.tensor([[math.radians(degrees)]], dtype=torch.float64), "shifts": torch.tensor([[1.5, -2]])}
    moved = acquire_moving(image_to_kspace(blobs(shape, spacing)), **pose, axis=axis, spacing=spacing)
    truth = image_to_kspace(blobs(shape, spacing, turn=rotation_matrix([math.radians(degrees)]), shift=[1.5, -2]))
    lines = slice(0, first_shot(shape[axis], 1))
    if shape[axis] % 2:  # the longer first shot has the centre line
        lines = slice(first_shot(shape[axis], 1), None)
    torch.testing.assert_close(moved.movedim(axis, 0)[lines], truth.movedim(axis, 0)[lines], atol=2e-5, rtol=0)


@pytest.mark.parametrize("axis", [-1, -2, -3])
@pytest.mark.parametrize("angles", [[0.1, 0, 0], [0, -0.12, 0], [0, 0, 0.15], [0.1, -0.08, 0.12]])
def test_volumes_turn_about_all_axes(axis, angles):
    shape, spacing, shift = (24, 27, 28), (1.8, 1.5, 1.5), [1.0, -2.0, 0.5]
    k = image_to_kspace(blobs(shape, spacing), spatial_dims=3)
    pose = {"angles": torch.tensor([angles] * 4, dtype=torch.float64), "shifts": torch.tensor([shift] * 4)}
    moved = acquire_moving(k, **pose, axis=axis, spacing=spacing)
    truth = image_to_kspace(blobs(shape, spacing, turn=rotation_matrix(angles), shift=shift), spatial_dims=3)
    lines = shape[axis]
    still = [line for line in range(lines) if line * 5 // lines == lines // 2 * 5 // lines]
    expected = truth.movedim(axis, 0)
    expected[still] = k.movedim(axis, 0)[still]
    torch.testing.assert_close(moved.movedim(axis, 0), expected, atol=2e-3, rtol=0)
    assert (moved - k).abs().max() > 0.1


def test_rotation_agrees_with_scipy():
    image = blobs((49, 49), (1, 1))
    pose = {"angles": torch.tensor([[math.radians(5)]] * 2), "shifts": torch.zeros(2, 2)}
    ours = acquire_moving(image_to_kspace(image), **pose, axis=-1, spacing=(1, 1))
    # about the centre of the image, which is a pixel here as the size is odd
    theirs = scipy.ndimage.rotate(image[0].numpy(), 5, reshape=False, order=5)
    expected = image_to_kspace(torch.from_numpy(theirs))
    torch.testing.assert_close(ours[0, :, :17], expected[:, :17], atol=2e-3, rtol=0)


def test_lines_of_a_head_agree_with_the_sum_over_its_pixels(head):
    """The discrete Fourier transform at the turned frequencies, pixel by pixel."""
    angle, spacing = math.radians(4), (2.0, 2.0)
    rows, columns = head.shape
    pose = {"angles": torch.full((6, 1), angle), "shifts": torch.zeros(6, 2)}
    moved = acquire_moving(image_to_kspace(head[None]), **pose, axis=-1, spacing=spacing)[0]
    y, x = (np.arange(n) - n // 2 for n in head.shape)
    for line in (20, 35, 80):
        old = rotation_matrix([angle]).numpy().T @ np.stack([y / rows, np.full(rows, x[line] / columns)])
        kernel = np.exp(-2j * np.pi * (old[0][:, None, None] * y[:, None] + old[1][:, None, None] * x))
        expected = (kernel * head.numpy()).sum((1, 2)) / math.sqrt(rows * columns)
        # at the very edge, k-space that has not faded is interpolated across the edge, as by shears
        inside = np.abs(old[0]) < 0.45
        error = np.linalg.norm((moved[:, line].numpy() - expected)[inside])
        assert error < 0.02 * np.linalg.norm(expected[inside])


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


@pytest.mark.parametrize(("shape", "axis"), [((2, 12, 16), -1), ((2, 13, 15), -2), ((1, 6, 7, 9), -2)])
@pytest.mark.parametrize("events", [1, 2, 3, 4])
def test_every_shot_sees_its_pose(complex_normal, shape, axis, events):
    """Each shot is what it is when all shots but that at rest see its pose."""
    k, dims = complex_normal(*shape), len(shape) - 1
    g = torch.Generator().manual_seed(events)
    angles = 0.2 * torch.rand(events, math.comb(dims, 2), generator=g)
    shifts = torch.randn(events, dims, generator=g)
    options = {"axis": axis, "spacing": (1.0, 1.5, 2.0)[:dims]}
    moved = acquire_moving(k, angles=angles, shifts=shifts, **options).movedim(axis, 0)

    lines = shape[axis]
    shots = [line * (events + 1) // lines for line in range(lines)]
    alike = [
        acquire_moving(k, angles=angles[[e] * events], shifts=shifts[[e] * events], **options).movedim(axis, 0)
        for e in range(events)
    ]
    alike.insert(shots[lines // 2], k.movedim(axis, 0))
    expected = torch.stack([alike[shot][line] for line, shot in enumerate(shots)])
    torch.testing.assert_close(moved, expected)
    assert len({float(x.abs().sum()) for x in alike}) == events + 1


@pytest.mark.parametrize("shape", [(2, 12, 16), (1, 13, 15), (2, 6, 7, 9), (1, 8, 6, 5)])
@pytest.mark.parametrize("events", [1, 2, 5])
def test_image_of_moving_is_the_magnitude_of_its_kspace(complex_normal, shape, events):
    dims = len(shape) - 1
    g = torch.Generator().manual_seed(events)
    pose = {
        "angles": 0.2 * torch.randn(events, math.comb(dims, 2), generator=g),
        "shifts": torch.randn(events, dims, generator=g),
    }
    for image in (complex_normal(*shape), complex_normal(*shape).abs()):
        for axis in range(-dims, 0):
            if shape[axis] <= events:
                continue
            options = {**pose, "axis": axis, "spacing": (1.0, 1.5, 2.0)[:dims]}
            k = acquire_moving(image_to_kspace(image, spatial_dims=dims), **options)
            torch.testing.assert_close(
                image_of_moving(image, **options), kspace_to_image(k, spatial_dims=dims).abs(), atol=1e-9, rtol=1e-6
            )


def test_large_volumes_are_done_in_parts(complex_normal):
    image = complex_normal(70, 72, 66).to(torch.complex64)[None]
    pose = {"angles": torch.full((3, 3), 0.05), "shifts": torch.ones(3, 3), "axis": -2, "spacing": (1, 1, 1)}
    whole = acquire_moving(image_to_kspace(image.to(torch.complex128), spatial_dims=3), **pose)
    parts = acquire_moving(image_to_kspace(image, spatial_dims=3), **pose)
    torch.testing.assert_close(parts.to(torch.complex128), whole, atol=1e-4, rtol=1e-3)


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
    image = complex_normal(2, 3, 4).abs().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: image_of_moving(x, **options), (image,))


def test_bad_input(complex_normal):
    with pytest.raises(ScanproofError, match="rigid motion must have 2 or 3 spatial axes, got 1"):
        acquire_moving(complex_normal(2, 8), angles=torch.zeros(1, 0), shifts=torch.zeros(1, 1), axis=-1, spacing=(1,))
    with pytest.raises(ScanproofError, match="events must be fewer than the 4 phase-encode lines, got 4"):
        acquire_moving(
            complex_normal(2, 8, 4), angles=torch.zeros(4, 1), shifts=torch.zeros(4, 2), axis=-1, spacing=(1, 1)
        )
    with pytest.raises(ScanproofError, match=r"angles must be within 30 degrees, got 57.29"):
        acquire_moving(
            complex_normal(2, 8, 4), angles=-torch.ones(2, 1), shifts=torch.zeros(2, 2), axis=-1, spacing=(1, 1)
        )
