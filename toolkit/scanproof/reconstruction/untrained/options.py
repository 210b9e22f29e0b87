"""How an un-trained network is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from scanproof.errors import ScanproofError, unknown_name
from scanproof.reconstruction.untrained.measurements import Loss

Optimiser = Literal["adam", "adamw", "nadam", "radam", "rmsprop", "sgd"]
Schedule = Literal["constant", "cosine"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a network is fitted; every value can be tuned.

    Args:
        iterations: most steps.
        learning_rate: of the optimiser.
        schedule: of the learning rate: ``"constant"``, or ``"cosine"``, falling to zero over ``iterations``.
        optimiser: by name.
        loss: see :class:`~scanproof.reconstruction.untrained.measurements.Measurements`.
        weight_decay: of the optimiser.
        input_noise: standard deviation of the noise that is added to the input in every step, drawn anew.
        held_out: share of the sampled k-space outside the centre that judges when to stop; 0 never stops early.
        warmup: steps before the first look. Until an image has formed, its error says nothing.
        check: steps between two looks at the judged error.
        window: steps over which the judged error is averaged.
        patience: steps without a lower averaged error after which a fit stops.
        averaging: weight of the past in the running mean of the generated images, in [0, 1); that mean is the result
            and is what is judged. 0 takes images as they are.
        refit: steps after stopping in which the held-out samples are fitted, too.
        consistency: weight of measured samples against generated ones at the end, in [0, 1]; 1 overwrites, as
            published.
        amplitude: root-mean-square to which the zero-filled image is scaled; without it, that of what the network
            generates at first (published). A larger one makes the last layer learn slowly beside the others.
        precision: of convolutions: ``"bfloat16"``, ``"float32"``, or ``"auto"``: bfloat16 where the processor
            computes with it. Weights, Fourier transform and loss are float32 always.
        batch: most networks that are computed at once; without it, one on a CPU, where more take as long as one
            after the other, and as many as fit into ``memory`` on a GPU.
        memory: MiB for activations when ``batch`` is not given.

    Raises:
        ScanproofError: a value out of range, an unknown name.

    Example:
        >>> FitOptions(iterations=0)
        Traceback (most recent call last):
        scanproof.errors.ScanproofError: iterations must be at least 1, got 0
    """

    iterations: int = 600
    learning_rate: float = 0.01
    schedule: Schedule = "constant"
    optimiser: Optimiser = "adam"
    loss: Loss = "l1"
    weight_decay: float = 0.0
    input_noise: float = 0.0
    held_out: float = 0.05
    warmup: int = 100
    check: int = 10
    window: int = 30
    patience: int = 100
    averaging: float = 0.98
    refit: int = 0
    consistency: float = 0.5
    amplitude: float | None = 30.0
    precision: Precision = "auto"
    batch: int | None = None
    memory: int = 4096

    def __post_init__(self) -> None:
        for name in ("iterations", "check", "window", "patience", "memory"):
            if getattr(self, name) < 1:
                raise ScanproofError(f"{name} must be at least 1", value=getattr(self, name))
        for name in ("learning_rate", "amplitude"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ScanproofError(f"{name} must be positive", value=getattr(self, name))
        for name in ("weight_decay", "input_noise", "refit", "warmup"):
            if not getattr(self, name) >= 0:
                raise ScanproofError(f"{name} must not be negative", value=getattr(self, name))
        for name in ("held_out", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise ScanproofError(f"{name} must be in [0, 1)", value=getattr(self, name))
        if not 0 <= self.consistency <= 1:
            raise ScanproofError("consistency must be in [0, 1]", value=self.consistency)
        if self.batch is not None and self.batch < 1:
            raise ScanproofError("batch must be at least 1", value=self.batch)
        for name, kind in _NAMES.items():
            if getattr(self, name) not in get_args(kind):
                raise unknown_name(name, getattr(self, name), get_args(kind), key=name)


_NAMES: dict[str, object] = {"schedule": Schedule, "optimiser": Optimiser, "loss": Loss, "precision": Precision}
