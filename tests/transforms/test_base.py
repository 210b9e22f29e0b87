from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from monai.data import MetaTensor

from scanproof.errors import ScanproofError
from scanproof.physics.fft import image_to_kspace
from scanproof.transforms.base import Shift, spatial_axis, voxel_size


class Recorder(Shift):
    """Doubles what it is given and keeps it."""

    name: ClassVar[str] = "recorder"
    acts_on = "kspace"

    def __init__(self, *, severity: int | None = None, gain: float | None = None, seed: int = 0) -> None:
        super().__init__(severity, seed=seed, gain=gain)

    @classmethod
    def graded(cls, severity: int) -> dict[str, float]:
        return {"gain": float(severity)}

    def corrupt(self, data, *, generator, spacing):
        self.seen, self.spacing = data, spacing
        return data * self.parameters["gain"]


class ImageRecorder(Recorder):
    acts_on = "image"


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


class LineRecorder(Recorder):
    acts_on = "lines"


class PlainRecorder(Recorder):
    acts_on = "any"


@pytest.mark.parametrize("axis", [-1, 0])
def test_line_shift(kspace, image, axis):
    shift = LineRecorder(gain=2)
    shift.axis = axis
    torch.testing.assert_close(shift(kspace), 2 * kspace)
    assert torch.equal(shift.seen[0], kspace)
    torch.testing.assert_close(shift(image), 2 * image)
    # k-space along the one axis, image along the other
    torch.testing.assert_close(
        image_to_kspace(image.movedim(axis % 2 + 1, -1), spatial_dims=1), shift.seen[0].movedim(axis % 2 + 1, -1)
    )


def test_shift_of_either(kspace, image):
    shift = PlainRecorder(gain=2)
    torch.testing.assert_close(shift(kspace), 2 * kspace)
    assert torch.equal(shift.seen[0], kspace)
    torch.testing.assert_close(shift(image), 2 * image)
    assert torch.equal(shift.seen[0], image)


def test_nothing_to_change_warns(image):
    with pytest.warns(UserWarning, match="recorder: there was nothing to change in this image"):
        Recorder(gain=1.0)(torch.zeros_like(image))


def test_seed_of_the_call_goes_before_that_of_the_constructor(image):
    class Noise(PlainRecorder):
        def corrupt(self, data, *, generator, spacing):
            return data + torch.rand(data.shape, generator=generator)

    assert torch.equal(Noise(gain=1, seed=4)(image), Noise(gain=1)(image, seed=4))
    assert not torch.equal(Noise(gain=1, seed=4)(image), Noise(gain=1, seed=4)(image, seed=5))


def test_whole_numbers(image):
    class Counter(Recorder):
        counts = frozenset({"gain"})

    assert Counter(gain=2.0).parameters == {"gain": 2.0}
    with pytest.raises(ScanproofError, match=r"recorder: gain must be a whole number, got 2\.5"):
        Counter(gain=2.5)


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
