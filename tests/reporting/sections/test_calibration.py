from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from scanproof.reporting.sections.calibration import calibration_figure, calibrations
from scanproof.reporting.vocabulary import Chain

LIKE = Chain("unet", 4.0, "resnet18")


def rows_of(predictions: Any, norm: str, *, severe: bool) -> Any:
    rows = predictions[(predictions["split"] == "test") & (predictions["norm"] == norm)]
    return rows[rows["severity"] == (5 if severe else 0)]


def test_bins_are_those_of_scikit_learn(compared: Any) -> None:
    found = calibrations(compared.predictions, like=LIKE)
    assert [one.chain.norm for one in found] == ["batch", "group", "layer"]
    for one in found:
        for severe, part in ((False, one.clean), (True, one.severe)):
            rows = rows_of(compared.predictions, str(one.chain.norm), severe=severe)
            observed, stated = calibration_curve(rows["label"].astype(int), rows["probability"], n_bins=10)
            assert part is not None
            assert [b.observed for b in part.bins] == pytest.approx(observed)
            assert [b.stated for b in part.bins] == pytest.approx(stated)
            assert sum(b.readings for b in part.bins) == len(rows)
            assert part.conditions == (3 if severe else 1)


def test_numbers_are_those_of_the_results_table(compared: Any) -> None:
    results = compared.results
    rows = results[(results["metric"] == "ece") & (results["site"] == "all") & results["seed"].isna()]
    for one in calibrations(compared.predictions, like=LIKE):
        own = rows[rows["norm"] == one.chain.norm]
        assert one.clean.ece == pytest.approx(own[own["shift"] == "none"]["value"].item())
        assert one.severe is not None
        assert one.severe.ece == pytest.approx(own[own["severity"] == 5]["value"].mean())
        clean = rows_of(compared.predictions, str(one.chain.norm), severe=False)
        scores = [
            brier_score_loss(part["label"].astype(int), part["probability"])
            for _, part in clean.groupby(["site", "seed"])
        ]
        assert one.clean.brier == pytest.approx(np.mean(scores))


def test_the_figure_has_a_panel_a_norm_and_its_points(compared: Any) -> None:
    found = calibrations(compared.predictions, like=LIKE)
    figure = calibration_figure(found)
    assert figure is not None
    figure.canvas.draw()
    for axes, one in zip([a for a in figure.axes if a.get_visible()], found, strict=True):
        marks = [line for line in axes.lines if line.get_marker() not in ("None", None)]
        clean = [xy for line in marks[:2] for xy in zip(line.get_xdata(), line.get_ydata(), strict=True)]
        assert sorted(clean) == sorted((b.stated, b.observed) for b in one.clean.bins)
    assert calibration_figure([]) is None


def test_other_chains_and_untested_shifts_are_left_out(compared: Any) -> None:
    clean_only = compared.predictions[compared.predictions["severity"] == 0]
    assert [one.severe for one in calibrations(clean_only, like=LIKE)] == [None] * 3
    assert calibrations(compared.predictions, like=LIKE._replace(reconstruction="other")) == []
