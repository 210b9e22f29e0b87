"""How a chain's AUROC falls with severity: what summaries and comparisons of chains are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scanproof.evaluation.bootstrap import FloatArray
from scanproof.evaluation.chains import Chain, Name, is_clean, is_shifted


@dataclass(frozen=True)
class Degradation:
    """AUROC of one chain under every condition, the mean over targets.

    Args:
        names: value of each column of :data:`~scanproof.evaluation.table.CHAIN`.
        conditions: shift and severity, one row a condition.
        trainings: of each training seed, ``(sites + 1, seeds, conditions, 1 + resamples)``; the last site is the mean.
        samples: mean over training seeds, ``(sites + 1, conditions, 1 + resamples)``.
        freedom: degrees of freedom of the mean over conditions, ``(sites + 1,)``.
    """

    names: dict[str, Name]
    conditions: pd.DataFrame
    trainings: FloatArray
    samples: FloatArray
    freedom: FloatArray

    @classmethod
    def of(cls, chain: Chain, samples: FloatArray) -> Degradation:
        """From the samples of a metric over all targets: of the AUROC, or of another one that claims are about."""
        shifted = is_shifted(chain.conditions)
        mean = samples[:, :, shifted if shifted.any() else slice(None)].mean(axis=2)
        return cls(
            names=chain.names,
            conditions=chain.conditions,
            trainings=samples,
            samples=chain.over_trainings(samples).samples,
            freedom=chain.over_trainings(mean).freedom,
        )

    @property
    def clean(self) -> FloatArray:
        """On clean images, ``(sites + 1, 1 + resamples)``."""
        return self.samples[:, is_clean(self.conditions)][:, 0]

    @property
    def shifted(self) -> FloatArray:
        """Under each shift of severity 1 or more that a scanner may cause, ``(sites + 1, those, 1 + resamples)``."""
        return self.samples[:, is_shifted(self.conditions)]

    @property
    def shifts(self) -> list[str]:
        """Shifts that a scanner may cause, in the order of the conditions."""
        return list(dict.fromkeys(self.conditions["shift"][is_shifted(self.conditions)]))

    def where(self, shift: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which conditions are this shift at severity 1 or more."""
        return is_shifted(self.conditions) & (self.conditions["shift"] == shift).to_numpy(bool)

    def severities(self, shift: str) -> list[int]:
        """Severities from 1 up at which a shift was tested, rising."""
        return [int(severity) for severity in self.conditions["severity"][self.where(shift)]]

    def under(self, shift: str) -> FloatArray:
        """Under a shift, ``(sites + 1, severities, 1 + resamples)`` in the order of :meth:`severities`."""
        return self.samples[:, self.where(shift)]
