"""Sums that do not depend on the number of threads."""

from __future__ import annotations

import torch


def steady_sum(x: torch.Tensor, *, spatial_dims: int) -> torch.Tensor:
    """Sum over the last axes, with the same bits for any number of threads.

    The order in which several threads add up one number, hence its rounding, depends on how many there are. Here each
    row along the last axis is summed by one thread, and the rows, few by comparison, in double precision.

    Args:
        x: real, ``(..., *spatial)``, at least two axes.
        spatial_dims: how many of the last axes are summed.

    Returns:
        float64 ``(..., 1, ..., 1)``, all axes kept.

    Example:
        >>> steady_sum(torch.ones(2, 3, 4), spatial_dims=2).tolist()
        [[[12.0]], [[12.0]]]
    """
    rows = x.sum(dim=-1, keepdim=True).double()
    return rows.sum(dim=tuple(range(-spatial_dims, 0)), keepdim=True)
