"""What a search makes better, and which trial it recommends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from scanproof.errors import ScanproofError, unknown_name

#: how good images are: ``held_out`` needs no reference, the others compare with one
Quality = Literal["held_out", "psnr", "ssim", "nrmse"]
Direction = Literal["minimize", "maximize"]
SECONDS = "seconds"

_LARGER_IS_BETTER = ("psnr", "ssim")


@dataclass(frozen=True)
class Objectives:
    """Quality of images alone, or quality and time.

    Args:
        quality: mean over slices.
        seconds: the mean time of a slice is a second objective.
    """

    quality: Quality = "held_out"
    seconds: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of a trial's values."""
        return (self.quality, SECONDS) if self.seconds else (self.quality,)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Whether more or less is better, in the same order."""
        return tuple("maximize" if name in _LARGER_IS_BETTER else "minimize" for name in self.names)

    def costs(self, values: Sequence[float]) -> tuple[float, ...]:
        """Values with such signs that less is better.

        Example:
            >>> Objectives("ssim", seconds=True).costs([0.9, 12.0])
            (-0.9, 12.0)
        """
        signs = (-1 if direction == "maximize" else 1 for direction in self.directions)
        return tuple(sign * value for sign, value in zip(signs, values, strict=True))


def read_objectives(names: Sequence[str]) -> Objectives:
    """Objectives from their names.

    Args:
        names: a quality, and perhaps ``"seconds"``.

    Raises:
        ScanproofError: an unknown name; not exactly one quality.

    Example:
        >>> read_objectives(["ssim", "seconds"])
        Objectives(quality='ssim', seconds=True)
    """
    qualities: list[Quality] = []
    for name in names:
        known = [quality for quality in get_args(Quality) if quality == name]
        if not known and name != SECONDS:
            raise unknown_name("objective", name, [*get_args(Quality), SECONDS], key="--objective")
        qualities += known
    if len(qualities) != 1 or len(set(names)) < len(names):
        raise ScanproofError(
            f"must name one of {', '.join(get_args(Quality))}, and perhaps seconds",
            key="--objective",
            value=", ".join(names),
        )
    return Objectives(qualities[0], seconds=SECONDS in names)


def pareto_front(costs: Sequence[tuple[float, ...]]) -> list[int]:
    """Places of those that no other one beats in one cost without losing in another; of equal ones all.

    Example:
        >>> pareto_front([(1, 5), (2, 2), (3, 3)])
        [0, 1]
    """
    return [
        n
        for n, mine in enumerate(costs)
        if not any(other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in costs)
    ]


def recommend(costs: Sequence[tuple[float, ...]], *, start: int | None) -> int:
    """Which of several trials is recommended.

    With one objective, the best. With time as the second one, the quickest of those whose quality is at least that of
    the settings that the search started from; where these gave no result, the one of the best quality. Ties go to the
    earlier trial.

    Args:
        costs: of every trial that gave a result, see :meth:`Objectives.costs`; not empty.
        start: place of the trial with the settings that the search started from.

    Example:
        >>> recommend([(0.20, 9.0), (0.10, 8.0), (0.19, 3.0), (0.21, 1.0)], start=0)
        2
    """
    if len(costs[0]) == 1 or start is None:
        return min(range(len(costs)), key=lambda n: (costs[n], n))
    good = [n for n, cost in enumerate(costs) if cost[0] <= costs[start][0]]
    return min(good, key=lambda n: (costs[n][1], costs[n][0], n))
