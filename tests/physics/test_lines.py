from __future__ import annotations

import pytest
import torch

from scanproof.physics.fft import centred_fft, centred_ifft
from scanproof.physics.lines import part_length, weigh_lines


@pytest.mark.parametrize("shape", [(7, 8), (2, 9, 10), (1, 3, 6, 5), (300, 301, 30)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_weights_are_those_of_the_lines(shape, dtype):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(shape, generator=generator, dtype=torch.float64)
    for axis in (-1, -2):
        weights = torch.randn(shape[axis], generator=generator, dtype=dtype)
        there = centred_fft(image, axes=(axis,)) * weights.reshape(-1, *[1] * (-axis - 1))
        expected = centred_ifft(there, axes=(axis,)).abs()
        torch.testing.assert_close(weigh_lines(image, weights, axis=axis), expected)
        torch.testing.assert_close(
            weigh_lines(image.float(), weights, axis=axis), expected.float(), rtol=1e-4, atol=1e-5
        )


def test_unit_weights_change_nothing():
    image = torch.rand(2, 5, 6)
    torch.testing.assert_close(weigh_lines(image, torch.ones(6, dtype=torch.float64), axis=-1), image)


def test_gradient():
    image = torch.rand(1, 4, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(5, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(lambda x: weigh_lines(x, weights, axis=-1), (image,))


@pytest.mark.parametrize(("shape", "expected"), [((10, 4, 4), 65536), ((600, 256, 256), 16), ((3, 2048, 2048), 1)])
def test_part_length(shape, expected):
    assert part_length(torch.empty(shape, device="meta"), 0) == expected
