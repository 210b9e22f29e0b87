from __future__ import annotations

from typing import ClassVar, Literal

import pytest
import torch

from scanproof.atlas.anatomy import Slice, Volume
from scanproof.errors import ScanproofError
from scanproof.transforms import SHIFTS
from scanproof.transforms.base import Shift


def test_the_clean_acquisition_gives_the_image_back(small):
    for anatomy in small.slices:
        clean = anatomy.shifted(SHIFTS.create("ghosting", {"severity": 0}), seed=3)
        torch.testing.assert_close(clean, anatomy.reference, atol=2e-6, rtol=0)


def test_a_shift_of_all_coils_alike_is_that_of_the_combined_image(small):
    """Fourfold noise-free signal in k-space is a fourfold image, and a spacing in mm is handed on."""
    anatomy = small.slices[1]
    seen = []

    class Brighter(Shift):
        name = "brighter"
        acts_on = "kspace"

        def corrupt(self, data, *, generator, spacing):
            seen.append((tuple(data.shape), spacing, generator.initial_seed()))
            return 4 * data

    result = anatomy.shifted(Brighter(None, factor=4.0), seed=9)
    torch.testing.assert_close(result, 4 * anatomy.reference, atol=1e-5, rtol=0)
    assert seen == [((1, 6, 32, 44), (1.0, 1.5), 9)]


class Numbered(Shift):
    """Puts the index along an axis into every voxel."""

    name: ClassVar[str] = "numbered"
    acts_on: ClassVar[Literal["image"]] = "image"

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        size = data.shape[int(self.parameters["axis"]) + 2]
        shape = [size if i == self.parameters["axis"] else 1 for i in range(len(spacing))]
        return torch.arange(size, dtype=data.dtype).reshape(1, 1, *shape).expand(data.shape).clone()


@pytest.mark.parametrize(
    ("spacing", "view", "pixel"),
    [((1.0, 2.0, 3.0), "sagittal", (3.0, 2.0)), ((1.0, 1.0, 1.0), "sagittal", (1.0, 1.0)),
     ((5.0, 1.0, 2.0), "coronal", (2.0, 5.0))],
)  # fmt: skip
def test_planes_lie_across_the_slices_with_superior_at_the_top(spacing, view, pixel):
    volume = Volume(torch.rand(20, 14, 16) + 1, name="v", spacing=spacing, count=2)
    assert (volume.view, volume.pixel) == (view, pixel)
    x, y, z = (volume.shifted(Numbered(None, axis=float(axis)), seed=0)[:, 0] for axis in range(3))
    assert torch.equal(z[0, :, 0], torch.arange(15.0, -1, -1))
    if view == "sagittal":
        # anterior on the left
        assert torch.equal(y[0, 0], torch.arange(13.0, -1, -1))
        assert x.amin((1, 2)).tolist() == x.amax((1, 2)).tolist() == [8, 11]
    else:
        assert torch.equal(x[0, 0], torch.arange(20.0))
        assert y.amin((1, 2)).tolist() == y.amax((1, 2)).tolist() == [5, 8]


def test_thick_slices_blur_the_plane_along_its_height_alone(small):
    """A volume that does not vary along its height stays as it is."""
    column = small.volumes[0].reference[0, 0, 10]
    data = column.flip(0).reshape(1, -1, 1).expand(20, -1, 30).contiguous()
    volume = Volume(data, name="v", spacing=(1.0, 1.0, 1.0), count=1)
    result = volume.shifted(SHIFTS.create("slice_thickness", {"severity": 5}), seed=0)
    torch.testing.assert_close(result, volume.reference, atol=1e-5, rtol=0)


def test_planes_without_signal_are_left_out():
    data = torch.zeros(30, 12, 12)
    data[15:] = 1
    assert len(Volume(data, name="v", spacing=(1.0, 1.0, 1.0), count=4).reference) == 2
    with pytest.raises(ScanproofError, match="v: volume must have signal in the middle"):
        Volume(data[:16], name="v", spacing=(1.0, 1.0, 1.0), count=4)


def test_phases_differ_from_case_to_case_and_not_from_time_to_time():
    image = torch.rand(1, 24, 24, generator=torch.Generator().manual_seed(1))
    shift = SHIFTS.create("ghosting", {"severity": 5})

    def result(name: str) -> torch.Tensor:
        return Slice(image, name=name, spacing=(1.0, 1.0), coils=4, seed=1).shifted(shift, seed=0)

    assert torch.equal(result("a"), result("a"))
    assert not torch.allclose(result("a"), result("b"), atol=1e-3)
