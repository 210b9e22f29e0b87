"""Batch normalization that keeps its statistics from some epoch of the training on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from scanproof.classification.norms import BATCH_LAYERS
from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from ignite.engine import Engine

#: share of the epochs after which ``batch_frozen`` keeps its statistics
FREEZE_AFTER = 0.5


class FreezeStatistics:
    """MONAI handler: after a share of the epochs, batch normalization trains with its running statistics.

    Until then, a training step normalizes by the statistics of its batch, a prediction by the running ones: two
    functions. From then on both are one, as where detectors are fine-tuned. Scale and offset go on learning.

    Args:
        network: being trained.
        share: of the epochs, in (0, 1): rounded up to whole epochs, at least one.
        epochs: of the training.

    Attributes:
        frozen: whether statistics are kept by now.

    Raises:
        ScanproofError: a share out of range, a network without batch normalization, or too few epochs to do both.
    """

    def __init__(self, network: nn.Module, *, share: float, epochs: int) -> None:
        if not 0 < share < 1:
            raise ScanproofError("must be a share of the epochs in (0, 1)", key="freeze_statistics", value=share)
        self._layers = [module for module in network.modules() if isinstance(module, BATCH_LAYERS)]
        if not self._layers:
            raise ScanproofError("needs a network with batch normalization", key="freeze_statistics", value=share)
        self._free = max(1, -int(-share * epochs // 1))
        if self._free >= epochs:
            raise ScanproofError("needs an epoch before and one after", key="freeze_statistics", value=share)
        self._hooks: list[Any] = []

    @property
    def frozen(self) -> bool:
        """Whether statistics are kept by now."""
        return bool(self._hooks)

    def attach(self, engine: Engine) -> None:
        """Register with the engine's events."""
        from ignite.engine import Events

        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)

    def release(self) -> None:
        """Let the layers be trained anew."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _begin_epoch(self, engine: Engine) -> None:
        if engine.state.epoch > self._free and not self._hooks:
            # the trainer puts the network in training mode before every step; a hook comes after that
            self._hooks = [layer.register_forward_pre_hook(_keep) for layer in self._layers]


def _keep(layer: nn.Module, inputs: object) -> None:
    layer.eval()
