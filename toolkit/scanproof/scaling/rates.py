"""Finding a learning rate: it is doubled for as long as validation improves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scanproof.errors import ScanproofError


@dataclass(frozen=True)
class RateSearch:
    """What a search found.

    Args:
        rate: the best learning rate.
        tried: every rate and its score, in the order in which they were tried.
        at_edge: the search ended because it had tried as many as it may; a larger rate may be better.
    """

    rate: float
    tried: tuple[tuple[float, float], ...]
    at_edge: bool


def doubling_search(score: Callable[[float], float], *, start: float, most: int, factor: float = 2.0) -> RateSearch:
    """Multiply a learning rate by a factor while the score improves (Klug and Heckel, arXiv 2209.13435: 1e-4, 2).

    A score that is not finite (training diverged) is no improvement. Where not even the first is finite, the rate is
    divided by the factor until one is.

    Args:
        score: of a short training with a rate, smaller is better.
        start: the first rate, positive.
        most: rates that are tried at the most, at least one.
        factor: above one.

    Raises:
        ScanproofError: a value out of range, or no rate with a finite score.

    Example:
        >>> doubling_search(lambda rate: (rate - 0.5) ** 2, start=0.1, most=9).rate
        0.4
    """
    if not 0 < start < math.inf:
        raise ScanproofError("first learning rate must be positive", value=start)
    if most < 1:
        raise ScanproofError("must be at least 1", key="most", value=most)
    if not 1 < factor < math.inf:
        raise ScanproofError("factor must be above 1", value=factor)
    tried = [(start, score(start))]
    rising = math.isfinite(tried[0][1])
    while len(tried) < most:
        rate = tried[-1][0] * factor if rising else tried[-1][0] / factor
        tried.append((rate, score(rate)))
        found = tried[-1][1]
        if (rising and not found < tried[-2][1]) or (not rising and math.isfinite(found)):
            break
    finite = [one for one in tried if math.isfinite(one[1])]
    if not finite:
        raise ScanproofError("training must stay finite at one of the rates", value=[rate for rate, _ in tried])
    best = min(finite, key=lambda one: one[1])
    return RateSearch(rate=best[0], tried=tuple(tried), at_edge=rising and best is tried[-1])
