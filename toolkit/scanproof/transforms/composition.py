"""Several shifts at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from scanproof.errors import ScanproofError
from scanproof.seeds import derive_seed
from scanproof.transforms.base import Shift


class Composition(Shift):
    """Several shifts, one after the other, in one acquisition.

    Model: the shifts act in the order in which they are listed, each on the complex k-space that the one before it
    left. A magnitude image is taken to k-space once, before the first, and its magnitude is taken once, after the last:
    unlike in a chain of transforms of images, the second shift meets the phase that the first one made.

    Every shift has a pattern of its own, of a seed that is derived from the composition's, from the name of the shift
    and from how many of that name stand before it; the seeds that the shifts were built with are not used. So adding a
    shift leaves the patterns of the others as they are.

    Differs from MONAI's ``Compose`` in these points, and in being deterministic.

    Args:
        shifts: deterministic shifts, at least one.
        seed: of the patterns, at least 0; a call may name another.

    Raises:
        ScanproofError: no shift, or something that is none.

    Example:
        >>> from scanproof.transforms import Ghosting, RigidMotion
        >>> both = Composition([RigidMotion(severity=2), Ghosting(severity=3)], seed=1)
        >>> both(torch.rand(1, 32, 32)).shape
        torch.Size([1, 32, 32])
    """

    name: ClassVar[str] = "composition"
    acts_on: ClassVar[Literal["kspace"]] = "kspace"

    def __init__(self, shifts: Sequence[Shift], *, seed: int = 0) -> None:
        super().__init__(None, seed=seed)
        if not shifts:
            raise ScanproofError("shifts must hold at least one shift", key=self.name)
        for shift in shifts:
            if not isinstance(shift, Shift):
                raise ScanproofError("shifts must be deterministic shifts", key=self.name, value=type(shift).__name__)
        self.shifts = tuple(shifts)

    def corrupt(self, data: torch.Tensor, *, generator: torch.Generator, spacing: tuple[float, ...]) -> torch.Tensor:
        """Apply the shifts to k-space ``(image, coil, *spatial)``."""
        return in_turn(data, self.shifts, seed=generator.initial_seed(), spacing=spacing)


def in_turn(kspace: torch.Tensor, shifts: Sequence[Shift], *, seed: int, spacing: tuple[float, ...]) -> torch.Tensor:
    """Apply shifts one after the other.

    Args:
        kspace: complex ``(image, coil, *spatial)``.
        shifts: in the order in which they act; each has a seed derived from its name and from how many of that name
            came before.
        seed: from which theirs are derived.
        spacing: voxel size along the spatial axes in mm.

    Returns:
        Of the same shape.
    """
    before: Counter[str] = Counter()
    for shift in shifts:
        pattern = derive_seed(seed, "shift", shift.name, before[shift.name])
        before[shift.name] += 1
        kspace = torch.stack([shift(image, spacing=spacing, seed=pattern) for image in kspace])
    return kspace
