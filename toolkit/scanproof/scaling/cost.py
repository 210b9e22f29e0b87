"""What a larger training costs, from what the trainings of a sweep took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.scaling.table import TRAINING


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What examples and computing cost, in any one currency.

    Args:
        example: of one more example.
        hour: of one CPU hour.

    Raises:
        ScanproofError: a price below 0.
    """

    example: float = 0.0
    hour: float = 0.0

    def __post_init__(self) -> None:
        for key, price in (("--data-cost", self.example), ("--hour-cost", self.hour)):
            if not 0 <= price < float("inf"):
                raise ScanproofError("price must be finite and not negative", key=key, value=price)


@dataclass(frozen=True, kw_only=True)
class Duration:
    """CPU time of a training: ``scale · N^examples · width^width``.

    Attributes:
        scale: in seconds.
        examples: exponent of the number of examples.
        width: exponent of the width.
    """

    scale: float
    examples: float
    width: float

    def hours(self, examples: float, width: float) -> float:
        """CPU hours of one training."""
        return float(self.scale * examples**self.examples * width**self.width / 3600)


def duration(rows: pd.DataFrame) -> Duration | None:
    """Fit the CPU time of the trainings of one sweep, by least squares of logarithms.

    An exponent that the sweep does not vary is 0.

    Args:
        rows: of one task and data set.

    Returns:
        ``None`` where no training says how long it took.

    Example:
        >>> rows = [(10, 4, 1.0), (20, 4, 2.0), (10, 8, 4.0), (20, 8, 8.0)]
        >>> table = pd.DataFrame(rows, columns=["examples", "width", "seconds"]).assign(seed=0)
        >>> fitted = duration(table)
        >>> round(fitted.examples, 6), round(fitted.width, 6), round(3600 * fitted.hours(40, 16), 6)
        (1.0, 2.0, 64.0)
    """
    trainings = rows.drop_duplicates(list(TRAINING))
    trainings = trainings[trainings["seconds"] > 0]
    if trainings.empty:
        return None
    columns = [np.ones(len(trainings))]
    names = [name for name in ("examples", "width") if trainings[name].nunique() > 1]
    columns += [np.log(trainings[name].to_numpy(np.float64)) for name in names]
    found = np.linalg.lstsq(np.stack(columns, axis=1), np.log(trainings["seconds"].to_numpy(np.float64)), rcond=None)[0]
    exponents = dict(zip(names, (float(one) for one in found[1:]), strict=True))
    return Duration(
        scale=float(np.exp(found[0])), examples=exponents.get("examples", 0.0), width=exponents.get("width", 0.0)
    )
