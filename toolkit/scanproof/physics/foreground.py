"""Where the object is in a magnitude image."""

from __future__ import annotations

import torch

from scanproof.errors import ScanproofError
from scanproof.physics.steady import steady_sum

#: pixels above this share of an image's maximum are object, the rest is background
OBJECT_SHARE = 0.1


def foreground(magnitude: torch.Tensor, *, spatial_dims: int, share: float = OBJECT_SHARE) -> torch.Tensor:
    """Pixels above a share of their image's maximum.

    Noise and artifacts that stay below the share are background, and so are dark parts of the object, such as air,
    bone and, in some contrasts, fluid.

    Args:
        magnitude: real, non-negative, ``(..., *spatial)``.
        spatial_dims: how many of the last axes are one image.
        share: of the maximum, in [0, 1).

    Returns:
        bool of the same shape; nothing is object in an image of zeros.

    Raises:
        ScanproofError: a share out of range.

    Example:
        >>> foreground(torch.tensor([[0.0, 0.05, 0.2, 1.0]]), spatial_dims=1)
        tensor([[False, False,  True,  True]])
    """
    if not 0 <= share < 1:
        raise ScanproofError("share must be in [0, 1)", value=share)
    return magnitude > share * magnitude.amax(dim=tuple(range(-spatial_dims, 0)), keepdim=True)


def foreground_mean(magnitude: torch.Tensor, mask: torch.Tensor, *, spatial_dims: int) -> torch.Tensor:
    """Mean of each image over its object.

    Args:
        magnitude: real, ``(..., *spatial)``.
        mask: bool of the same shape, as from :func:`foreground`.
        spatial_dims: how many of the last axes are one image.

    Returns:
        Of the magnitude's dtype, ``(..., 1, ..., 1)``; 0 where there is no object.

    Example:
        >>> image = torch.tensor([[0.0, 2.0, 4.0]])
        >>> foreground_mean(image, foreground(image, spatial_dims=1), spatial_dims=1)
        tensor([[3.]])
    """
    axes = tuple(range(-spatial_dims, 0))
    total = steady_sum(magnitude.masked_fill(~mask, 0), spatial_dims=spatial_dims)
    return (total / mask.sum(dim=axes, keepdim=True).clamp_min(1)).to(magnitude.dtype)
