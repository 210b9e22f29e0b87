from __future__ import annotations

import pytest
import torch

from scanproof.physics.off_resonance import off_resonance


def ellipse(*shape):
    axes = torch.meshgrid(*((torch.arange(n).double() + 0.5) / n - 0.5 for n in shape), indexing="ij")
    return (sum((x / 0.35) ** 2 for x in axes) < 1).double()[None, None]


def field(image, seed=1, axis=-1):
    return off_resonance(image, axis=axis, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(40, 50), (16, 20, 24)])
def test_same_field_along_every_axis(shape):
    image = ellipse(*shape)
    fields = [field(image, axis=axis) for axis in range(-len(shape), 0)]
    assert fields[0].shape == image.shape
    for other in fields[1:]:
        torch.testing.assert_close(other, fields[0])


@pytest.mark.parametrize("seed", range(5))
def test_same_field_at_every_resolution(seed):
    coarse, fine = field(ellipse(40, 60), seed), field(ellipse(160, 240), seed)
    averaged = torch.nn.functional.avg_pool2d(fine, 4)
    torch.testing.assert_close(averaged, coarse, atol=0.06, rtol=0)


def test_cavity_is_at_the_edge_of_the_object():
    image = torch.zeros(1, 1, 80, 80, dtype=torch.float64)
    image[..., 10:30, 40:70] = 1
    moved = image.roll((40, -20), (-2, -1))
    for seed in range(10):
        # the smooth part belongs to the field of view, so only the cavity moves along with the object
        difference = field(image, seed) - field(moved, seed)
        peak = divmod(int(difference.abs().flatten().argmax()), 80)
        peak = (peak[0] - 40, peak[1] + 20) if peak[0] >= 40 else peak
        towards = torch.tensor([(peak[0] + 0.5 - 20) / 10, (peak[1] + 0.5 - 55) / 15])
        assert 0.8 < towards.norm() < 0.9


def test_magnitude_and_signs():
    fields = [field(ellipse(48, 48), seed) for seed in range(20)]
    assert all(0.5 < f.abs().max() <= 2 for f in fields)
    assert {bool(f.flatten()[f.abs().flatten().argmax()] > 0) for f in fields} == {True, False}


def test_every_image_has_its_own_cavity():
    both = torch.cat([ellipse(32, 32), torch.ones(1, 1, 32, 32).double()])
    assert torch.equal(field(both)[:1], field(both[:1]))
    assert torch.equal(field(both)[1:], field(both[1:]))
    assert field(both[:, :, :, :8].float()).dtype == torch.float32
