"""Seeds that depend on what is computed, never on when or where it is computed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *parts: str | int | float) -> int:
    """A 32-bit seed from a root seed and the names of what it is for.

    The same parts give the same seed on every machine and Python version; any other part gives an unrelated one.

    Args:
        seed: the study's seed.
        parts: names and numbers, e.g. ``"shift", "ghosting", "north", "case-003"``.

    Returns:
        An integer in [0, 2**32), which NumPy, PyTorch and MONAI all accept.

    Example:
        >>> derive_seed(1, "mask", "a") == derive_seed(1, "mask", "a")
        True
        >>> derive_seed(1, "mask", "a") == derive_seed(1, "mask", "b")
        False
    """
    text = json.dumps([seed, *parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def generator(seed: int, *parts: str | int | float) -> torch.Generator:
    """A CPU ``torch.Generator`` seeded by :func:`derive_seed`."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *parts))
