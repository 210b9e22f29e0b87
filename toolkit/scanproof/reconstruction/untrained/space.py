"""What of a method can be tuned, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included.

    Args:
        kind: of the numbers.
        low: smallest.
        high: largest.
        log: searched by ratio, not by difference.
    """

    kind: Literal["int", "float"]
    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choices:
    """Some values."""

    values: tuple[object, ...]


#: option name to what it may be
SearchSpace = Mapping[str, Range | Choices]

#: of every un-trained method
FITTING: SearchSpace = {
    "output": Choices(("image", "coils")),
    "learning_rate": Range("float", 1e-3, 2e-2, log=True),
    "iterations": Range("int", 100, 2000, log=True),
    "optimiser": Choices(("adam", "adamw", "nadam", "rmsprop")),
    "schedule": Choices(("constant", "cosine")),
    "loss": Choices(("mse", "l1", "log_mse")),
    "amplitude": Range("float", 0.3, 100.0, log=True),
    "averaging": Choices((0.0, 0.9, 0.98)),
    "weight_decay": Choices((0.0, 1e-6, 1e-5, 1e-4, 1e-3)),
    "input_noise": Choices((0.0, 0.01, 0.03, 0.1)),
    "learn_input": Choices((False, True)),
    "norm": Choices(("batch", "group", "layer", "instance", "none")),
    "upsampling": Choices(("nearest", "bilinear")),
    "bias": Choices((False, True)),
}

#: of networks that start from a small input; ``None`` is a size that follows the image's
DECODER: SearchSpace = {
    "channels": Range("int", 32, 256, log=True),
    "layers": Range("int", 4, 10),
    "input_size": Choices((None, (4, 4), (8, 4), (10, 5), (16, 16))),
    "kernel": Choices((1, 3, 5)),
}
