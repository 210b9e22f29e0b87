"""What a shift does to the layers of a network: statistics around every normalization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from scanproof.classification.classifier import probabilities
from scanproof.classification.moments import FloatArray, Moments
from scanproof.classification.norms import BATCH_LAYERS, NORM_LAYERS
from scanproof.errors import ScanproofError

#: float64 (channels,) by ``"<number>/<name>/<kind>/<statistic>"``, ready for a safetensors file
LayerStatistics = dict[str, FloatArray]

#: added to variances, as normalizations do: a channel that is silent in the reference must not count without limit
EPS = 1e-5
DRIFT_COLUMNS = (
    "layer",
    "name",
    "kind",
    "channels",
    "input_mean_drift",
    "input_log_variance",
    "output_mean_drift",
    "output_log_variance",
    "running_mean_drift",
    "running_log_variance",
)


class Watch:
    """Statistics around the normalizations of a network while it predicts; made by :func:`watched`."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[nn.Module, Moments, Moments]] = {}

    def see(self, name: str, layer: nn.Module, features: Tensor, result: Tensor) -> None:
        """Take in what a layer did to a batch; layers are numbered as they come."""
        _, before, after = self._layers.setdefault(name, (layer, Moments(), Moments()))
        before.add(features)
        after.add(result)

    def statistics(self) -> LayerStatistics:
        """Mean and variance of input and output, and what batch normalization stores, in the order of execution.

        Raises:
            ScanproofError: nothing was predicted, or the network has no normalization.
        """
        if not self._layers:
            raise ScanproofError("network must have normalization layers and predict while it is watched")
        found: LayerStatistics = {}
        for number, (name, (layer, before, after)) in enumerate(self._layers.items()):
            values = {
                "input_mean": before.mean,
                "input_variance": before.variance,
                "output_mean": after.mean,
                "output_variance": after.variance,
            }
            if isinstance(layer, BATCH_LAYERS) and layer.running_mean is not None and layer.running_var is not None:
                values["running_mean"] = layer.running_mean.double().numpy().copy()
                values["running_variance"] = layer.running_var.double().numpy().copy()
            kind = type(layer).__name__
            found |= {f"{number:03d}/{name}/{kind}/{statistic}": value for statistic, value in values.items()}
        return found


@contextmanager
def watched(network: nn.Module) -> Iterator[Watch]:
    """Watch the normalizations of a network in a ``with`` block, so that one forward pass serves two ends.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(1))
        >>> with watched(network) as watch:
        ...     read = probabilities(network, np.random.default_rng(1).random((8, 1, 6, 6), np.float32))
        >>> list(watch.statistics())[0]
        '000/1/BatchNorm2d/input_mean'
    """
    watch = Watch()

    def hook(name: str) -> Any:
        # at once: an activation behind the layer may overwrite its output
        return lambda layer, inputs, result: watch.see(name, layer, inputs[0], result)

    hooks = [
        layer.register_forward_hook(hook(name))
        for name, layer in network.named_modules()
        if isinstance(layer, NORM_LAYERS)
    ]
    try:
        yield watch
    finally:
        for one in hooks:
            one.remove()


def layer_statistics(network: nn.Module, images: np.ndarray, *, batch_size: int = 64) -> LayerStatistics:
    """Statistics around the normalizations of a network in evaluation mode.

    Args:
        network: any of :data:`~scanproof.classification.CLASSIFIERS`.
        images: float32 (N, 1, *spatial), not normalised.
        batch_size: images read at once; without influence on the result but for rounding.

    Raises:
        ScanproofError: no normalization layer; images or outputs that are not finite.
    """
    with watched(network) as watch:
        probabilities(network, images, batch_size=batch_size)
    return watch.statistics()


def drift(reference: Mapping[str, FloatArray], test: Mapping[str, FloatArray]) -> pd.DataFrame:
    """How far the channels of every layer are from where they were.

    Args:
        reference: statistics of a network on images as it was trained for.
        test: those of the same network on others.

    Returns:
        One row a layer, in the order of execution, with the columns :data:`DRIFT_COLUMNS`:
        ``*_mean_drift``, the mean over channels of ``|mean_test - mean_reference| / sd_reference``, and
        ``*_log_variance``, the mean over channels of ``log(variance_test / variance_reference)``, positive where the
        spread has grown; :data:`EPS` is added to variances. ``running_*`` compare the input with the statistics that
        batch normalization stores; NaN in other layers.

    Raises:
        ScanproofError: statistics of different layers.
    """
    if list(_layers(reference)) != list(_layers(test)):
        raise ScanproofError("statistics must be of the same layers", key="drift", value=list(_layers(test)))
    rows = []
    for number, name, kind in _layers(reference):
        place = f"{number:03d}/{name}/{kind}"
        row: dict[str, object] = {
            "layer": number,
            "name": name,
            "kind": kind,
            "channels": len(reference[f"{place}/input_mean"]),
        }
        for side in ("input", "output"):
            row |= _compared(reference, test, place, side, side, named=side)
        if f"{place}/running_mean" in reference:
            row |= _compared(reference, test, place, "running", "input", named="running")
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=list(DRIFT_COLUMNS)).astype(dict.fromkeys(DRIFT_COLUMNS[4:], "float64"))


def _layers(statistics: Mapping[str, FloatArray]) -> dict[tuple[int, str, str], None]:
    """Number, name and kind of every layer, in order whatever a file did to it."""
    found = {(int(number), name, kind) for number, name, kind, _ in (key.split("/") for key in statistics)}
    return dict.fromkeys(sorted(found))


def _compared(
    reference: Mapping[str, FloatArray],
    test: Mapping[str, FloatArray],
    place: str,
    before: str,
    now: str,
    *,
    named: str,
) -> dict[str, float]:
    mean, variance = (reference[f"{place}/{before}_{what}"] for what in ("mean", "variance"))
    test_mean, test_variance = (test[f"{place}/{now}_{what}"] for what in ("mean", "variance"))
    return {
        f"{named}_mean_drift": float(np.mean(np.abs(test_mean - mean) / np.sqrt(variance + EPS))),
        f"{named}_log_variance": float(np.mean(np.log((test_variance + EPS) / (variance + EPS)))),
    }
