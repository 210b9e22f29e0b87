from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scanproof.reporting.sections.layers import MEASURES, drifts, layers_figure
from scanproof.reporting.vocabulary import Chain

LIKE = Chain("unet", 4.0, "resnet18")


def test_drift_is_the_mean_size_at_the_highest_severity(compared: Any) -> None:
    found = drifts(compared.layers, like=LIKE)
    assert [one.chain.norm for one in found] == ["batch", "group", "layer"]
    for one in found:
        rows = compared.layers[(compared.layers["norm"] == one.chain.norm) & (compared.layers["severity"] == 5)]
        for measure in MEASURES:
            for layer, value in one.by_layer[measure].items():
                assert value == pytest.approx(np.abs(rows.loc[rows["layer"] == layer, measure]).mean())
            for shift, value in one.by_shift[measure].items():
                assert value == pytest.approx(np.abs(rows.loc[rows["shift"] == shift, measure]).mean())


def test_rows_may_carry_any_index(compared: Any) -> None:
    twice = compared.layers.set_index(np.zeros(len(compared.layers), int))
    for one, other in zip(drifts(twice, like=LIKE), drifts(compared.layers, like=LIKE), strict=True):
        assert one.by_layer.equals(other.by_layer)


def test_the_figure_has_a_line_a_norm_and_shares_axes_of_one_kind(compared: Any) -> None:
    found = drifts(compared.layers, like=LIKE)
    figure = layers_figure(found)
    assert figure is not None
    figure.canvas.draw()
    for axes, measure in zip(figure.axes, MEASURES, strict=True):
        assert [list(line.get_ydata()) for line in axes.lines] == [list(one.by_layer[measure]) for one in found]
    limits = [axes.get_ylim() for axes in figure.axes]
    assert limits[0] == limits[1]
    assert limits[2] == limits[3]


def test_nothing_measured_is_nothing_drawn(compared: Any) -> None:
    assert drifts(None, like=LIKE) == []
    assert drifts(compared.layers, like=LIKE._replace(classifier="other")) == []
    assert layers_figure([]) is None
