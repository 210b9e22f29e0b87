from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from scanproof.physics.steady import steady_sum


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(1, 9), min_size=2, max_size=4), data=st.data())
def test_agrees_with_numpy(shape, data):
    dims = data.draw(st.integers(1, len(shape)))
    values = np.random.default_rng(sum(shape)).normal(size=shape)
    expected = values.sum(axis=tuple(range(-dims, 0)), keepdims=True)
    np.testing.assert_allclose(steady_sum(torch.from_numpy(values), spatial_dims=dims), expected, atol=1e-12)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_bits_do_not_depend_on_the_number_of_threads(order):
    x = torch.rand(120, 90, 130, generator=torch.Generator().manual_seed(1)).permute(order)
    threads = torch.get_num_threads()
    sums = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            sums.append(steady_sum(x, spatial_dims=3))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(sums[0], sums[1])
    assert torch.equal(sums[0], sums[2])
    torch.testing.assert_close(sums[0], x.double().sum().reshape(1, 1, 1), rtol=1e-7, atol=0)
