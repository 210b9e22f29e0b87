from __future__ import annotations

from typing import ClassVar, Literal

import pytest
import torch
from monai.data import MetaTensor

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace
from scanproof.transforms.base import Shift, spatial_axis, voxel_size


class Recorder(Shift):
    """Doubles what it is given and keeps it."""

    name: ClassVar[str] = "recorder"
    acts_on: ClassVar[Literal["kspace", "image"]] = "kspace"

    def __init__(self, *, severity: int | None = None, gain: float | None = None) -> None:
        super().__init__(severity, gain=gain)

    @classmethod
    def graded(cls, severity: int) -> dict[str, float]:
        return {"gain": float(severity)}

    def corrupt(self, data, *, generator, spacing):
        self.seen, self.spacing = data, spacing
        return data * self.parameters["gain"]


class ImageRecorder(Recorder):
    acts_on: ClassVar[Literal["kspace", "image"]] = "image"


def test_kspace_shift(kspace, image):
    shift = Recorder(gain=2)
    torch.testing.assert_close(shift(kspace), 2 * kspace)
    assert torch.equal(shift.seen[0], kspace)
    channels = torch.cat([image, image + 1])
    torch.testing.assert_close(shift(channels), 2 * channels)
    torch.testing.assert_close(shift.seen, image_to_kspace(channels)[:, None])


def test_image_shift(kspace, image):
    shift = ImageRecorder(gain=2)
    torch.testing.assert_close(shift(kspace), 2 * kspace)
    torch.testing.assert_close(image_to_kspace(shift.seen)[0], kspace)
    torch.testing.assert_close(shift(image), 2 * image)
    assert torch.equal(shift.seen[0], image)


def test_magnitude_is_taken_not_the_real_part(image):
    torch.testing.assert_close(Recorder(gain=-1.0)(image), image)


def test_own_severities():
    assert Recorder(severity=3).parameters == {"gain": 3.0}


def test_half_precision_is_computed_in_single(image):
    shift = Recorder(gain=2)
    assert shift(image.bfloat16()).dtype == torch.bfloat16
    assert shift.seen.dtype == torch.complex64


def test_voxel_size():
    oblique = torch.eye(4, dtype=torch.float64)
    oblique[:3, 0] = torch.tensor([3.0, 0.0, 4.0])
    oblique[:3, 1] = torch.tensor([0.0, 2.0, 0.0])
    assert voxel_size(torch.zeros(1, 4, 4)) == (1.0, 1.0)
    assert voxel_size(MetaTensor(torch.zeros(1, 4, 4), affine=oblique)) == (5.0, 2.0)
    assert voxel_size(MetaTensor(torch.zeros(1, 4, 4, 4), affine=oblique)) == (5.0, 2.0, 1.0)
    assert voxel_size(MetaTensor(torch.zeros(1, 4, 4), affine=oblique), (1, 7)) == (1.0, 7.0)
    assert voxel_size(MetaTensor(torch.zeros(1, 4, 4))) == (1.0, 1.0)


def test_spatial_axis():
    assert [spatial_axis(a, 2, shift="x") for a in (-2, -1, 0, 1)] == [-2, -1, -2, -1]
    with pytest.raises(ScanproofError, match=r"ghosting: axis must be in \[-2, 1\] for 2 spatial axes, got 2"):
        spatial_axis(2, 2, shift="ghosting")
