from __future__ import annotations

import numpy as np
import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.transforms import RigidMotion


def moved(data, seed=1, spacing=None, **options):
    return RigidMotion(**options, seed=seed)(data, spacing=spacing)


@pytest.mark.parametrize("events", [1, 2, 4, 10])
def test_number_of_poses(kspace, events):
    """With translations alone, the ratio of k-spaces is a phase ramp for every shot."""
    ratio = moved(kspace, rotation=0, translation=0.8, events=events, axis=-2) / kspace
    torch.testing.assert_close(ratio.abs(), torch.ones_like(ratio.abs()), rtol=1e-4, atol=1e-4)
    # along the readout the phase grows by the same step from pixel to pixel: the shift of that line's shot
    steps = torch.angle(ratio[0, :, 1:] * ratio[0, :, :-1].conj()).mean(dim=1) * -26 / (2 * torch.pi)
    assert steps.abs().max() <= 0.8 + 1e-3
    changes = torch.nonzero(steps.diff().abs() > 1e-3).flatten() + 1
    expected = [-(-24 * (e + 1) // (events + 1)) for e in range(events)]
    assert changes.tolist() == expected
    assert steps[12].abs() < 1e-4


def test_object_is_not_displaced(brain):
    """The shot at rest fixes where the object is, though poses reach eight pixels away."""
    for seed in range(5):
        result = moved(brain, rotation=0, translation=16, events=4, spacing=(2, 2), seed=seed)
        correlation = torch.fft.ifft2(torch.fft.fft2(result) * torch.fft.fft2(brain).conj()).real
        row, column = np.unravel_index(int(correlation.argmax()), correlation.shape[1:])
        assert min(row, 99 - row) <= 1
        assert min(column, 117 - column) <= 1


def test_energy_is_kept_by_translations(brain_kspace):
    result = moved(brain_kspace, rotation=0, translation=10, events=7)
    torch.testing.assert_close(result.norm(), brain_kspace.norm())


@pytest.mark.parametrize("severity", [1, 5])
def test_energy_is_nearly_kept_by_rotations(brain_kspace, severity):
    result = moved(brain_kspace, severity=severity)
    torch.testing.assert_close(result.norm(), brain_kspace.norm(), rtol=0.02, atol=0)


def test_millimetres_are_millimetres(kspace):
    fine = moved(kspace, severity=3, spacing=(1.0, 1.0))
    coarse = moved(kspace, rotation=3, translation=12, events=6, spacing=(2.0, 2.0))
    torch.testing.assert_close(fine, coarse, rtol=1e-3, atol=1e-3)


def test_axis_names_the_phase_encode_axis(brain):
    """Motion ghosts spread along the phase-encode axis, so the background beside the head lights up there."""
    for axis in (-1, -2):
        error = (moved(brain, rotation=0, translation=6, events=6, axis=axis, spacing=(2, 2)) - brain)[0].abs()
        background = error * (brain[0] == 0)
        beside, above = background[30:70, :].sum(), background[:, 40:80].sum()
        assert (beside > above) == (axis == -1)


def test_same_seed_same_poses_on_all_coils(brain, brain_kspace):
    """A single coil of uniform sensitivity and the magnitude image move alike."""
    single = kspace_to_image(moved(image_to_kspace(brain), severity=3, spacing=(2, 2))).abs()
    torch.testing.assert_close(single, moved(brain, severity=3, spacing=(2, 2)), rtol=1e-3, atol=1e-5)


def test_poses_of_fewer_events_are_the_first_of_more(kspace):
    """The first lines see the same pose, whatever the number of events."""
    few, many = (moved(kspace, rotation=2, translation=3, events=events) for events in (2, 10))
    assert not torch.allclose(few, kspace)
    torch.testing.assert_close(few[..., :2], many[..., :2])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rotation": 0, "translation": 0, "events": 2}, "rigid_motion: rotation and translation must not both be 0"),
        (
            {"rotation": 1, "translation": float("inf"), "events": 2},
            "rigid_motion: translation must be finite and at least 0, got inf",
        ),
        ({"rotation": 31, "translation": 0, "events": 2}, r"rigid_motion: rotation must be in \[0, 30\], got 31"),
        ({"rotation": 1, "translation": 0, "events": 0}, "rigid_motion: events must be at least 1, got 0"),
        ({"rotation": 1, "translation": 0, "events": 1.5}, "rigid_motion: events must be a whole number, got 1.5"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(ScanproofError, match=text):
        RigidMotion(**options)


def test_too_few_lines(kspace):
    with pytest.raises(ScanproofError, match="events must be fewer than the 26 phase-encode lines, got 26"):
        moved(kspace, rotation=1, translation=1, events=26)
