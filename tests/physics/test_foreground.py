from __future__ import annotations

import numpy as np
import pytest
import torch

from scanproof.errors import ScanproofError
from scanproof.physics.foreground import OBJECT_SHARE, foreground, foreground_mean


@pytest.mark.parametrize("dims", [2, 3])
def test_agrees_with_numpy(dims):
    images = np.random.default_rng(1).exponential(size=(3, 6, 7, 8)).astype("float32")
    batch = images.shape[:-dims]
    means = foreground_mean(
        torch.from_numpy(images), foreground(torch.from_numpy(images), spatial_dims=dims), spatial_dims=dims
    )
    assert means.shape == (*batch, *[1] * dims)
    expected = [image[image > OBJECT_SHARE * image.max()].mean() for image in images.reshape(-1, *images.shape[-dims:])]
    np.testing.assert_allclose(means.flatten(), expected, rtol=1e-6)


def test_nothing_is_object_in_an_empty_image():
    empty = torch.zeros(2, 4, 5)
    mask = foreground(empty, spatial_dims=2)
    assert not mask.any()
    assert foreground_mean(empty, mask, spatial_dims=2).flatten().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_bad_share(share):
    with pytest.raises(ScanproofError, match=r"share must be in \[0, 1\), got"):
        foreground(torch.ones(1, 2), spatial_dims=2, share=share)
