"""Which number format and memory layout convolutions are computed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from scanproof.reconstruction.untrained.options import Precision

#: names, among those that PyTorch gives a CPU's abilities, of instructions that multiply bfloat16 numbers
_CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")


def compute_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The number format of convolutions.

    ``auto`` takes bfloat16 where the processor has instructions for it: elsewhere it is emulated, and slow. Which one
    was taken changes an image in its third digit, so a study that must give the same numbers on every machine asks for
    ``float32``.

    Example:
        >>> compute_dtype("float32", torch.device("cpu"))
        torch.float32
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes with bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # PyTorch tells what a CPU can do since version 2.11
    ask = getattr(torch.cpu, "get_capabilities", None)
    if device.type != "cpu" or ask is None:
        return False
    abilities: Mapping[str, object] = ask()
    return any(bool(abilities.get(name)) for name in _CPU_BFLOAT16)


def layout(spatial_dims: Literal[2, 3]) -> torch.memory_format:
    """Channels last: what convolutions on CPUs with wide registers and on tensor cores are written for."""
    return torch.channels_last if spatial_dims == 2 else torch.channels_last_3d
