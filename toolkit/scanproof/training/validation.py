"""Predictions on validation data, which processes make batch by batch in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from scanproof.data.keys import IMAGE, LABEL
from scanproof.training.batches import ShapeBatches, shapes_of
from scanproof.training.processes import Processes

if TYPE_CHECKING:
    from ignite.metrics import Metric
    from monai.engines import SupervisedEvaluator


def evaluator_of(
    network: nn.Module,
    data: Dataset[Mapping[str, Any]],
    *,
    score: Mapping[str, Metric],
    batch_size: int,
    device: torch.device,
    processes: Processes,
) -> SupervisedEvaluator:
    """What computes metrics of a network on validation data; see :func:`scanproof.training.engine.train`."""
    from monai.data import DataLoader as MonaiLoader
    from monai.engines import SupervisedEvaluator

    in_order = range(len(data))  # type: ignore[arg-type]
    batches = ShapeBatches(in_order, shapes_of(data), size=max(64, batch_size))
    loader = MonaiLoader(data, batch_sampler=batches, num_workers=0)
    return SupervisedEvaluator(
        device=device,
        val_data_loader=Predictions(network, loader, batches, device=device, processes=processes),
        network=network,
        iteration_update=lambda engine, output: output,
        key_val_metric=dict(score),
        decollate=False,
    )


class Predictions:
    """A network's predictions on validation data: what the evaluator goes through, the same in every process.

    Whole batches are dealt out, so that a prediction does not depend on how many processes there are, to the bit.

    Args:
        network: predicts.
        loader: gives batches.
        batches: how they were cut.
        device: where the network is.
        processes: who predicts.
    """

    def __init__(
        self,
        network: nn.Module,
        loader: DataLoader[Any],
        batches: ShapeBatches,
        *,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.network, self.loader, self.batches = network, loader, batches
        self.device, self.processes = device, processes

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """``pred``, ``label`` and ``weight``, what the batch counts in a mean over batches."""
        self.network.eval()
        if not self.processes.several:
            for batch in self.loader:
                inputs, label = on_device(batch, self.device)
                yield self._output(self._predict(inputs), label)
            return
        rank, count = self.processes.rank, self.processes.count
        labels: list[Tensor] = []
        mine: list[Tensor] = []
        with self.processes.together():
            for number, batch in enumerate(self.loader):
                inputs, label = on_device(batch, self.device)
                labels.append(label)
                if number % count == rank:
                    mine.append(self._predict(inputs).cpu())
        parts = self.processes.collect(mine)
        for number, label in enumerate(labels):
            yield self._output(parts[number % count][number // count].to(self.device), label)

    def _predict(self, inputs: Any) -> Tensor:
        with torch.no_grad():
            prediction: Tensor = self.network(inputs)
        return prediction

    def _output(self, prediction: Tensor, label: Tensor) -> dict[str, Any]:
        return {"pred": prediction, "label": label, "weight": self.batches.weight(len(label))}


def on_device(batch: Mapping[str, Any], device: torch.device) -> tuple[Any, Tensor]:
    """Inputs and target of a batch, on a device."""

    def move(value: Any) -> Any:
        return value.to(device) if isinstance(value, Tensor) else tuple(move(one) for one in value)

    return move(batch[IMAGE]), move(batch[LABEL])
