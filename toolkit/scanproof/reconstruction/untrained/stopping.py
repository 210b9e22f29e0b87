"""When a fit has stopped learning the image and begins to learn the noise."""

from __future__ import annotations

import math
from collections import deque


class EarlyStop:
    """Stops when the mean of the latest held-out errors has not fallen for some time.

    Generalises the rule of Darestani, Liu and Heckel, arXiv 2204.07204, which stops once the mean over the last 100
    steps exceeds that over the 100 before: there, ``window`` and ``patience`` are 100 and every step is looked at.
    Deviation: the mean is compared with the lowest so far, so that a single rise does not stop a fit that still falls.

    Args:
        window: errors in the mean.
        patience: errors without a lower mean after which to stop.

    Example:
        >>> rule = EarlyStop(window=1, patience=2)
        >>> [rule.update(error) for error in (3.0, 2.0, 2.5, 2.1)]
        [False, False, False, True]
    """

    def __init__(self, *, window: int, patience: int) -> None:
        self.patience = patience
        self._recent: deque[float] = deque(maxlen=window)
        self._best = math.inf
        self._since = 0

    def update(self, error: float) -> bool:
        """Take note of the next error; whether to stop now."""
        self._recent.append(error)
        if len(self._recent) < (self._recent.maxlen or 1):
            return False
        mean = sum(self._recent) / len(self._recent)
        if mean < self._best:
            self._best, self._since = mean, 0
        else:
            self._since += 1
        return self._since >= self.patience
