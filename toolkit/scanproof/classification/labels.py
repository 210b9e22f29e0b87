"""Labels of one or several targets, and how much each counts in training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from scanproof.errors import ScanproofError


def as_targets(labels: npt.ArrayLike, *, split: str, exclusive: bool = False) -> np.ndarray:
    """Labels as a table, checked.

    Args:
        labels: 0 or 1, (N,) or (N, targets).
        split: name of the split, for errors.
        exclusive: every case has one of the targets, of which there are at least two.

    Returns:
        int64 (N, targets).

    Raises:
        ScanproofError: another shape, another value, a target that all cases of the split have or none; a case with
            none or several of exclusive targets.

    Example:
        >>> as_targets([0, 1], split="training").tolist()
        [[0], [1]]
    """
    table = np.asarray(labels)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or not table.size:
        rule = f"{split} labels must have shape (cases,) or (cases, targets)"
        raise ScanproofError(rule, value=np.shape(labels))
    for target, column in enumerate(table.T):
        found = sorted({value.item() for value in column})
        if found != [0, 1]:
            where = f"target {target}" if table.shape[1] > 1 else None
            raise ScanproofError(f"{split} split must hold cases of both labels 0 and 1", key=where, value=found)
    if exclusive:
        if table.shape[1] < 2:
            raise ScanproofError("exclusive targets must be at least two", key=split, value=table.shape[1])
        counts = table.sum(axis=1)
        if (counts != 1).any():
            case = int(np.flatnonzero(counts != 1)[0])
            rule = "a case must have exactly one of the exclusive targets"
            raise ScanproofError(rule, key=f"{split} case {case}", value=int(counts[case]))
    return table.astype(np.int64)


def balanced_loss(targets: np.ndarray, *, exclusive: bool = False) -> nn.Module:
    """The cross-entropy in which rare labels count as much as frequent ones.

    Args:
        targets: of the training split, as from :func:`as_targets`.
        exclusive: cross-entropy of the softmax, classes weighted by the inverse of their share; else binary
            cross-entropies, averaged over targets, of each of which positives count as much as negatives.

    Returns:
        A function of logits and labels, both float (batch, targets), the mean over the batch.
    """
    share = targets.mean(axis=0)
    if exclusive:
        weight = torch.tensor(1 / (len(share) * share), dtype=torch.float32)
        return nn.CrossEntropyLoss(weight=weight)
    return nn.BCEWithLogitsLoss(pos_weight=torch.tensor((1 - share) / share, dtype=torch.float32))


def chances(logits: Tensor, *, exclusive: bool = False) -> Tensor:
    """Probabilities (batch, targets) of logits: each target's sigmoid, or the softmax of exclusive ones."""
    return torch.softmax(logits, dim=1) if exclusive else torch.sigmoid(logits)
