from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load, save
from torch import nn

from scanproof.classification import CLASSIFIERS
from scanproof.classification.classifier import normalise, probabilities
from scanproof.classification.layers import DRIFT_COLUMNS, EPS, drift, layer_statistics, watched
from scanproof.classification.networks import build_classifier
from scanproof.classification.norms import NORMS, Norm
from scanproof.errors import ScanproofError

from .small import LAYERS, OPTIONS, blobs


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_every_layer_is_seen_once_in_order_and_the_same_images_do_not_drift(name: str, norm: Norm) -> None:
    network, counts = build_classifier(name, norm=norm, seed=1, options=OPTIONS[name])
    images, _ = blobs(6, seed=1, size=(40, 32))
    found = layer_statistics(network, images, batch_size=4)
    table = drift(found, layer_statistics(network, images, batch_size=4))
    assert list(table.columns) == list(DRIFT_COLUMNS)
    assert list(table["layer"]) == list(range(LAYERS[name]))
    assert table["kind"].value_counts().to_dict() == counts
    measured = [column for column in DRIFT_COLUMNS[4:] if not column.startswith("running")]
    assert (table[measured] == 0).all(axis=None)
    assert table["running_mean_drift"].notna().all() == (norm == "batch")
    assert table["running_log_variance"].isna().all() == (norm != "batch")
    # the first is the stem's, the last stands before the head, whatever the module's definition says
    network.eval()
    with torch.no_grad():
        stem = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
        if name != "efficientnet_b0":  # whose padding is a module of its own
            before = stem(normalise(images))
            key = next(iter(found))
            np.testing.assert_allclose(found[key], before.mean(dim=(0, 2, 3)).numpy(), atol=1e-5)


def test_drift_is_as_computed_by_hand() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(2 * 36, 1))
    layer = network[0]
    assert isinstance(layer, nn.BatchNorm2d)
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2, 5, 2, 6, 6))
    features[1] = 3 * features[1] + 2
    layer.running_mean = torch.tensor([0.5, -0.5])
    layer.running_var = torch.tensor([4.0, 9.0])
    statistics = []
    for batch in features:
        with watched(network) as watch:
            network.eval()(torch.tensor(batch, dtype=torch.float32))
        statistics.append(watch.statistics())
    table = drift(*statistics).iloc[0]
    mean, variance = features.mean(axis=(1, 3, 4)), features.var(axis=(1, 3, 4)) + EPS
    assert table["channels"] == 2
    assert table["input_mean_drift"] == pytest.approx(
        np.mean(np.abs(mean[1] - mean[0]) / np.sqrt(variance[0])), rel=1e-4
    )
    assert table["input_log_variance"] == pytest.approx(np.mean(np.log(variance[1] / variance[0])), rel=1e-4)
    # batch normalization is linear here, and what it gives is seen before the activation overwrites it
    assert table["output_mean_drift"] == pytest.approx(table["input_mean_drift"], rel=1e-3)
    assert table["output_log_variance"] == pytest.approx(table["input_log_variance"], rel=1e-3)
    stored = np.array([2.0, 3.0])
    assert table["running_mean_drift"] == pytest.approx(np.mean(np.abs(mean[1] - [0.5, -0.5]) / stored), rel=1e-4)
    assert table["running_log_variance"] == pytest.approx(np.mean(np.log(variance[1] / stored**2)), rel=1e-4)


def test_normalizing_each_image_hides_a_change_of_scale_that_batch_norm_shows() -> None:
    rng = np.random.default_rng(1)
    features = torch.from_numpy(rng.normal(size=(6, 8, 5, 5))).float()
    found = {}
    for norm in ("batch", "layer"):
        layer: nn.Module = nn.BatchNorm2d(8) if norm == "batch" else nn.GroupNorm(1, 8)
        statistics = []
        for scale in (1, 4):
            with watched(layer.eval()) as watch:
                layer(scale * features)
            statistics.append(watch.statistics())
        found[norm] = drift(*statistics).iloc[0]
    for row in found.values():
        assert row["input_log_variance"] == pytest.approx(math.log(16), abs=1e-3)
    assert found["batch"]["output_log_variance"] == pytest.approx(math.log(16), abs=1e-3)
    assert found["layer"]["output_log_variance"] == pytest.approx(0, abs=1e-3)


def test_statistics_survive_a_file_in_any_order_and_watching_changes_nothing() -> None:
    network, _ = build_classifier("densenet121", norm="batch", seed=1, options=OPTIONS["densenet121"])
    images, _ = blobs(6, seed=1, size=(40, 32))
    plain = probabilities(network, images)
    with watched(network) as watch:
        np.testing.assert_array_equal(probabilities(network, images), plain)
    assert not any(module._forward_hooks for module in network.modules())
    reference = watch.statistics()
    kept = load(save(dict(sorted(reference.items(), reverse=True))))
    test = layer_statistics(network, 2 * images**2)
    pd.testing.assert_frame_equal(drift(kept, test), drift(reference, test))
    assert all(value.dtype == np.float64 for value in kept.values())


def test_what_cannot_be_compared_is_named() -> None:
    networks = [build_classifier("resnet18", norm=n, seed=1, options=OPTIONS["resnet18"])[0] for n in ("batch", "none")]
    images, _ = blobs(2, seed=1)
    with pytest.raises(ScanproofError, match="statistics must be of the same layers"):
        drift(*(layer_statistics(network, images) for network in networks))
    with pytest.raises(ScanproofError, match="network must have normalization layers"):
        layer_statistics(nn.Sequential(nn.Flatten(), nn.Linear(24 * 24, 1)), images)
