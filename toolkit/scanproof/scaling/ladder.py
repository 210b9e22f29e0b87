"""What networks of growing size, or of growing sets of examples, show on the same test cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.table import CLEAN
from scanproof.scaling.axes import Axis
from scanproof.seeds import derive_seed

FloatArray = npt.NDArray[np.float64]
#: what is drawn anew of the trainings: each on its own, or a seed with all sizes that were trained from it
Draw = Literal["training", "seed"]
Size = Literal["examples", "width"]


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Measured values at each size.

    Attributes:
        axis: on which they are.
        sizes: rising, shape ``(n,)``.
        values: of each size, shape ``(trainings, cases)``, in units of the axis and above 0.
        subjects: of each case.
    """

    axis: Axis
    sizes: FloatArray
    values: tuple[FloatArray, ...]
    subjects: npt.NDArray[np.object_]

    @property
    def trainings(self) -> npt.NDArray[np.intp]:
        """How many networks each size has, shape ``(n,)``."""
        return np.array([len(values) for values in self.values])

    @property
    def weights(self) -> FloatArray:
        """Weights of the sizes in a fit: their numbers of measured cases, of mean 1, shape ``(n,)``."""
        count = np.array([values.size for values in self.values], np.float64)
        return np.asarray(count / count.mean(), np.float64)

    @property
    def logs(self) -> list[FloatArray]:
        """Logarithm of the mean over cases of each training, an array a size."""
        return [np.log(values.mean(axis=1)) for values in self.values]

    @property
    def points(self) -> FloatArray:
        """Mean over trainings of :attr:`logs`, what a curve is fitted to, shape ``(n,)``."""
        return np.array([logs.mean() for logs in self.logs])

    def up_to(self, size: float) -> Ladder:
        """The part of no more than this size."""
        kept = self.sizes <= size
        values = tuple(values for values, keep in zip(self.values, kept, strict=True) if keep)
        return replace(self, sizes=self.sizes[kept], values=values)

    def by_subject(self, bootstrap: Bootstrap) -> list[FloatArray]:
        """:attr:`logs` as they are and with subjects drawn anew, of each size ``(trainings, 1 + resamples)``."""
        weights = bootstrap.weights("test", self.subjects)
        whole = weights.sum(axis=1)
        return [np.log(values @ weights.T / whole) for values in self.values]

    def samples(self, bootstrap: Bootstrap, *, draw: Draw = "training") -> FloatArray:
        """:attr:`points`, and replicates of them with subjects and trainings drawn anew, crossed.

        The test cases are those of all sizes: a drawn subject is drawn for all of them. Trainings that share nothing
        but the number of their seed are drawn size by size. Where a seed also draws the examples, its luck runs
        through all sizes, and whole seeds must be drawn, which need be many for a short interval.

        Args:
            bootstrap: how replicates are made.
            draw: what is drawn anew; ``"seed"`` needs the same number of trainings at each size.

        Returns:
            Shape ``(1 + resamples, n)``.

        Raises:
            ScanproofError: whole seeds of sizes that have different numbers of trainings.
        """
        if draw == "seed" and len(set(self.trainings.tolist())) > 1:
            rule = "draw must be 'training' where sizes have different numbers of trainings"
            raise ScanproofError(rule, value=self.trainings.tolist())
        columns = []
        for size, logs in zip(self.sizes, self.by_subject(bootstrap), strict=True):
            own = bootstrap if draw == "seed" else replace(bootstrap, seed=derive_seed(bootstrap.seed, float(size)))
            weights = own.training_weights(len(logs))
            columns.append((logs * weights.T).sum(axis=0) / weights.sum(axis=1))
        return np.stack(columns, axis=1)


def ladder(
    rows: pd.DataFrame, axis: Axis, widths: Sequence[tuple[int, int]], *, size: Size = "examples", shift: str = CLEAN
) -> Ladder:
    """The ladder of some networks of one sweep.

    Args:
        rows: of one task and data set of a table of a sweep.
        axis: what to hold against size.
        widths: number of examples and width of the networks of each rung.
        size: what grows.
        shift: condition; of a shift the mean over the severities that were tested.

    Raises:
        ScanproofError: a rung without test cases, trainings that were measured on different cases, or a value that
            has no logarithm.
    """
    tested = (rows["split"] == "test") & (rows["shift"] == shift) & (rows["metric"] == axis.metric)
    test = rows[tested]
    rungs: dict[float, FloatArray] = {}
    cases: pd.Index | None = None
    subjects = test.drop_duplicates("case").set_index("case")["subject"]
    for examples, width in widths:
        own = test[(test["examples"] == examples) & (test["width"] == width)]
        place = {"examples": examples, "width": width, "shift": shift}
        if own.empty:
            raise ScanproofError(f"sweep must have test cases with {axis.metric} of every network", value=place)
        wide = own.pivot(index="seed", columns=["case", "severity"], values="value").sort_index(axis=1)
        cases = wide.columns if cases is None else cases
        if not wide.columns.equals(cases) or wide.isna().any(axis=None):
            raise ScanproofError("all trainings must be measured on the same test cases", key="case", value=place)
        values = wide.to_numpy(np.float64)
        values = 1 - values if axis.complement else values
        if not (np.isfinite(values).all() and (values.mean(axis=1) > 0).all()):
            worst = float(np.nan_to_num(values, nan=-np.inf).mean(axis=1).min())
            raise ScanproofError(f"{axis.label} must be finite and above 0 for a power law", key="value", value=worst)
        rungs[float(examples if size == "examples" else width)] = values
    if cases is None:
        raise ScanproofError("a ladder must have sizes", value=0)
    order = sorted(rungs)
    return Ladder(
        axis=axis,
        sizes=np.array(order),
        values=tuple(rungs[one] for one in order),
        subjects=subjects.loc[cases.get_level_values("case")].to_numpy(object),
    )
