"""Where trainings compute: on the CPU, or on a CUDA device for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from scanproof.errors import ScanproofError, unknown_name

_DEVICE: ContextVar[str] = ContextVar("training device", default="cpu")


def training_device() -> torch.device:
    """Where networks are trained now.

    Example:
        >>> training_device()
        device(type='cpu')
    """
    return torch.device(_DEVICE.get())


@contextmanager
def train_on(device: str, *, local_rank: int = 0) -> Iterator[None]:
    """Train on a device in a ``with`` block.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        local_rank: number of this process on its machine, which is the number of its CUDA device.

    Raises:
        ScanproofError: an unknown device, or one that is not there.
    """
    if device not in ("cpu", "cuda"):
        raise unknown_name("device", device, ("cpu", "cuda"), key="device")
    if device == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if local_rank >= found:
            raise ScanproofError(
                f"CUDA device {local_rank} must be there; PyTorch sees {found}",
                key="device",
                value=device,
                hint="start as many processes as there are devices" if found else "train on the CPU: --device cpu",
            )
        torch.cuda.set_device(local_rank)
        device = f"cuda:{local_rank}"
    token = _DEVICE.set(device)
    try:
        yield
    finally:
        _DEVICE.reset(token)
