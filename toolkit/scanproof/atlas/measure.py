"""How much every severity of a shift changes an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from scanproof.atlas.anatomy import Anatomy
from scanproof.atlas.sources import SEED, Anatomies
from scanproof.evaluation.image_metrics import image_metrics
from scanproof.seeds import derive_seed
from scanproof.transforms import SHIFTS
from scanproof.transforms.severity import GRADINGS, SEVERITIES

#: percentiles between which 90 % of the cases lie
LOW, HIGH = 5.0, 95.0
#: random patterns an image
PATTERNS = 4
#: decimals that are kept; what lies beyond may depend on the machine
DECIMALS = 5


class Spread(NamedTuple):
    """Mean over cases, and the range of 90 % of them."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Level:
    """A severity of a shift: what it sets and what it does.

    Args:
        shift: its name.
        severity: 1 to 5.
        parameters: physical parameters.
        cases: images × seeds that were measured.
        nrmse: against the clean image.
        ssim: likewise.
    """

    shift: str
    severity: int
    parameters: Mapping[str, float]
    cases: int
    nrmse: Spread
    ssim: Spread

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of every parameter; empty for shifts of other packages."""
        return GRADINGS[self.shift].units if self.shift in GRADINGS else {}

    @property
    def source(self) -> str:
        """Where the levels come from."""
        return GRADINGS[self.shift].source if self.shift in GRADINGS else ""


def measure_shift(name: str, anatomies: Anatomies, *, seeds: int = PATTERNS) -> list[Level]:
    """Measure all severities of one shift.

    All severities meet the same images with the same patterns, so that they differ by the severity alone.

    Args:
        name: of the shift.
        anatomies: the images.
        seeds: patterns an image.

    Returns:
        A level for each severity from 1 up.

    Raises:
        ScanproofError: unknown shift.

    Example:
        >>> from scanproof.atlas.anatomy import Slice
        >>> image = Slice(torch.rand(1, 32, 32), name="a", spacing=(1.0, 1.0), coils=2, seed=1)
        >>> levels = measure_shift("ghosting", Anatomies(slices=(image,), volumes=(), text=""), seeds=1)
        >>> levels[4].severity, levels[4].nrmse.mean > levels[0].nrmse.mean
        (5, True)
    """
    with _one_thread():
        return [_measure_level(name, severity, anatomies, seeds=seeds) for severity in SEVERITIES[1:]]


def _measure_level(name: str, severity: int, anatomies: Anatomies, *, seeds: int) -> Level:
    shift = SHIFTS.create(name, {"severity": severity})
    images, references = [], []
    for anatomy in anatomies.fitting(shift.dimensions):
        for repetition in range(seeds):
            images.append(anatomy.shifted(shift, seed=pattern_seed(name, anatomy, repetition)))
            references.append(anatomy.reference)
    values = quality(images, references)
    return Level(
        shift=name,
        severity=severity,
        parameters=shift.parameters,
        cases=len(values["nrmse"]),
        nrmse=_spread(values["nrmse"]),
        ssim=_spread(values["ssim"]),
    )


def pattern_seed(name: str, anatomy: Anatomy, repetition: int = 0) -> int:
    """Seed of a shift's pattern on an image, the same for all severities."""
    return derive_seed(SEED, "atlas", name, anatomy.name, repetition)


def quality(images: Sequence[torch.Tensor], references: Sequence[torch.Tensor]) -> dict[str, np.ndarray]:
    """Image metrics of stacks of images, each ``(N, 1, H, W)``; the stacks may differ in size."""
    values = [image_metrics(image, reference) for image, reference in zip(images, references, strict=True)]
    return {name: np.concatenate([value[name] for value in values]).round(DECIMALS) for name in values[0]}


def faults(levels: Iterable[Level]) -> dict[tuple[str, int], str]:
    """Severities that do not change the image more than the one below.

    Returns:
        Shift and severity to what is wrong; empty where mean NRMSE rises throughout.

    Example:
        >>> levels = [Level(shift="zipper", severity=s, parameters={}, cases=1, nrmse=Spread(v, v, v),
        ...     ssim=Spread(1, 1, 1)) for s, v in ((1, 0.2), (2, 0.1))]
        >>> faults(levels)
        {('zipper', 2): 'NRMSE 0.100 at severity 2 is not above 0.200 at severity 1'}
    """
    found = {}
    before: Level | None = None
    for level in levels:
        same = before is not None and before.shift == level.shift
        floor = before.nrmse.mean if before is not None and same else 0.0
        if not level.nrmse.mean > floor:
            found[level.shift, level.severity] = (
                f"NRMSE {level.nrmse.mean:.3f} at severity {level.severity} is not above {floor:.3f} "
                f"at severity {level.severity - 1}"
            )
        before = level
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """No threads for a while: images are small, and the metrics' sums come out the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _spread(values: np.ndarray) -> Spread:
    low, high = np.percentile(values, (LOW, HIGH))
    return Spread(*(round(float(value), DECIMALS) for value in (values.mean(), low, high)))
