"""How a network is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from scanproof.errors import ScanproofError


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a network is trained.

    Args:
        epochs: most epochs to train.
        batch_size: samples a step.
        learning_rate: peak rate of AdamW; it falls to zero over the epochs along a cosine.
        weight_decay: of AdamW.
        patience: epochs without a better validation score after which training stops.
        clip: norm to which a larger gradient is cut; None leaves gradients as they are.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    patience: int = 8
    clip: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise ScanproofError("must be at least 1", key=f"training.{name}", value=getattr(self, name))
        if self.learning_rate <= 0:
            raise ScanproofError("must be positive", key="training.learning_rate", value=self.learning_rate)
        if self.clip is not None and not self.clip > 0:
            raise ScanproofError("must be positive", key="training.clip", value=self.clip)
        if self.weight_decay < 0:
            raise ScanproofError("must not be negative", key="training.weight_decay", value=self.weight_decay)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW on some parameters."""
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
