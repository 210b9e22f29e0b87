from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, strategies as st

from scanproof.classification.moments import Moments


@given(
    space=st.sampled_from([(), (1, 1), (4, 2), (2, 3, 2)]),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    offset=st.floats(-100, 100),
    seed=st.integers(0, 99),
)
def test_moments_of_batches_are_numpys_of_all(
    sizes: list[int], offset: float, seed: int, space: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(seed)
    batches = [rng.normal(loc=offset, size=(size, 3, *space)) for size in sizes]
    moments = Moments()
    for batch in batches:
        moments.add(torch.from_numpy(batch))
    every = np.concatenate(batches)
    axes = (0, *range(2, every.ndim))
    np.testing.assert_allclose(moments.mean, every.mean(axis=axes), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moments.variance, every.var(axis=axes), rtol=1e-7)
