"""How far stated probabilities can be believed, without shift and under the most severe shifts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanproof.evaluation.classification_metrics import CALIBRATION_BINS, brier, expected_calibration_error
from scanproof.evaluation.table import ADVERSARIAL, CLEAN
from scanproof.reporting.curves import stated
from scanproof.reporting.drawing import sheet
from scanproof.reporting.sections.vector import dress
from scanproof.reporting.style import COLOURS, GREY
from scanproof.reporting.vocabulary import Chain, norm_label, norm_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: readings below which the frequency of a bin is drawn hollow
FEW = 20
#: panels in a row
COLUMNS = 4


class Bin(NamedTuple):
    """Readings with probabilities in one tenth: their mean, how often the finding is there, and how many they are."""

    stated: float
    observed: float
    readings: int


class Reliability(NamedTuple):
    """Calibration of a chain under a group of conditions; ``ece`` and ``brier`` as in the results table."""

    bins: list[Bin]
    ece: float
    brier: float
    conditions: int


class Calibration(NamedTuple):
    """A chain without shift and under the highest severity of every shift, ``None`` where none was tested."""

    chain: Chain
    clean: Reliability
    severe: Reliability | None


def calibrations(predictions: pd.DataFrame, *, like: Chain) -> list[Calibration]:
    """Calibration of a chain and of its sisters with other norms, from the test cases.

    The two numbers are computed for each site, training, finding and condition and then averaged, as the results
    table does: the calibration error of a larger set of cases is smaller by itself.

    Args:
        predictions: per-case probabilities.
        like: reconstruction, acceleration and classifier; its norm does not matter.

    Returns:
        In order of the norms; empty where the table holds none of them.

    Example:
        >>> row = {"site": "north", "split": "test", "shift": "none", "severity": 0, "reconstruction": "unet",
        ...     "acceleration": 4.0, "classifier": "resnet18", "norm": "batch", "seed": 1}
        >>> cases = [row | {"label": i % 2, "probability": 0.25 + 0.5 * (i % 2)} for i in range(8)]
        >>> [found] = calibrations(pd.DataFrame(cases), like=Chain("unet", 4.0, "resnet18"))
        >>> found.clean.ece, [tuple(one) for one in found.clean.bins]
        (0.25, [(0.25, 0.0, 4), (0.75, 1.0, 4)])
    """
    rows = predictions[
        (predictions["split"] == "test")
        & (predictions["reconstruction"] == like.reconstruction)
        & (predictions["acceleration"] == like.acceleration)
        & (predictions["classifier"] == like.classifier)
    ]
    found = []
    for norm, own in rows.groupby("norm", dropna=False, sort=True):
        shifted = own[~own["shift"].isin([CLEAN, ADVERSARIAL])]
        severe = shifted[shifted["severity"] == shifted.groupby("shift")["severity"].transform("max")]
        clean = own[own["shift"] == CLEAN]
        if len(clean):
            chain = like._replace(norm=stated(norm))
            found.append(Calibration(chain, _reliability(clean), _reliability(severe) if len(severe) else None))
    return sorted(found, key=lambda one: norm_order(one.chain.norm))


def calibration_figure(found: Sequence[Calibration]) -> Figure | None:
    """Reliability diagrams: a panel a norm, stated probability across, observed frequency up.

    Args:
        found: of :func:`calibrations`.

    Returns:
        ``None`` of nothing.
    """
    if not found:
        return None
    columns = min(COLUMNS, len(found))
    lines = math.ceil(len(found) / columns)
    figure = sheet(0.6 + 2.2 * max(columns, 2), 0.5 + 2.5 * lines)
    plots = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for i, axes in enumerate(plots.flat):
        if i >= len(found):
            axes.set_visible(False)
            continue
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (2, 3)))
        _draw(axes, found[i].clean, COLOURS[0], "o", "no shift")
        if severe := found[i].severe:
            _draw(axes, severe, COLOURS[1], "s", "most severe shifts")
        axes.set(xlim=(0, 1), ylim=(-0.03, 1.03), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        dress(axes, title=norm_label(found[i].chain.norm), grid="both")
        if i % columns == 0:
            axes.set_ylabel("Observed frequency", fontsize=8.5, color=GREY)
        if i + columns >= len(found):
            axes.set_xlabel("Stated probability", fontsize=8.5, color=GREY)
            axes.tick_params(labelbottom=True)
    handles, labels = plots.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _draw(axes: Axes, reliability: Reliability, colour: str, marker: str, label: str) -> None:
    stated, observed, counts = zip(*reliability.bins, strict=True)
    axes.plot(stated, observed, color=colour, linewidth=1.5)
    for filled in (True, False):
        some = [i for i, count in enumerate(counts) if (count >= FEW) == filled]
        axes.plot(
            [stated[i] for i in some], [observed[i] for i in some], color=colour, marker=marker, markersize=4.5,
            markerfacecolor=colour if filled else "white", linestyle="none", label=label if filled else None,
        )  # fmt: skip


def _reliability(rows: pd.DataFrame) -> Reliability:
    labels, stated = _arrays(rows)
    place = np.clip((stated * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    bins = [
        Bin(float(stated[here].mean()), float(labels[here].mean()), int(here.sum()))
        for here in (place == i for i in range(CALIBRATION_BINS))
        if here.any()
    ]
    by = [name for name in ("site", "seed", "target", "shift", "severity") if name in rows]
    scores = []
    for _, own in rows.groupby(by, dropna=False, observed=True):
        own_labels, own_stated = _arrays(own)
        scores.append([float(score(own_labels, own_stated)[0]) for score in (expected_calibration_error, brier)])
    ece, squared = np.mean(scores, axis=0)
    return Reliability(bins, float(ece), float(squared), len(rows[["shift", "severity"]].drop_duplicates()))


def _arrays(rows: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    return rows["label"].to_numpy(np.int64), rows["probability"].to_numpy(np.float64)
