"""The score by which an epoch is chosen where only some may be."""

from __future__ import annotations

from typing import Any

from monai.handlers import ROCAUC

from scanproof.classification.freezing import FreezeStatistics


class FrozenAUROC(ROCAUC):
    """Validation AUROC of epochs whose statistics are frozen; of those before, a rising negative number.

    So the best epoch is a frozen one, and patience does not end the training before.

    Args:
        freeze: says whether statistics are frozen.
        options: of MONAI's handler.
    """

    def __init__(self, freeze: FreezeStatistics, **options: Any) -> None:
        super().__init__(**options)
        self._freeze = freeze
        self._before = 0

    def compute(self) -> Any:
        """The score of the epoch."""
        if self._freeze.frozen:
            return super().compute()
        self._before += 1
        return -1 / self._before
