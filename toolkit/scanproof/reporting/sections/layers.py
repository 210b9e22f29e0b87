"""What happens inside the networks: how far the activations of each layer move under shift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from scanproof.evaluation.table import ADVERSARIAL, CLEAN
from scanproof.reporting.curves import stated
from scanproof.reporting.drawing import sheet
from scanproof.reporting.sections.vector import dress
from scanproof.reporting.style import GREY, INK, series_style
from scanproof.reporting.vocabulary import Chain, image_label, norm_label, norm_order, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: names of norms in a line below the figure
LEGEND_COLUMNS = 4
#: columns of the table of layers and what they measure
MEASURES = {
    "input_mean_drift": "Mean, before norm",
    "output_mean_drift": "Mean, after norm",
    "input_log_variance": "Log variance, before",
    "output_log_variance": "Log variance, after",
}


class Drift(NamedTuple):
    """How far the layers of a network move under the highest severity of each shift.

    ``by_layer`` has a row a layer and ``by_shift`` a row a shift, both with the columns of :data:`MEASURES`: means of
    absolute values over the trainings and sites, and over the shifts or over the layers.
    """

    chain: Chain
    by_layer: pd.DataFrame
    by_shift: pd.DataFrame


def drifts(layers: pd.DataFrame | None, *, like: Chain) -> list[Drift]:
    """Drift of a chain and of its sisters with other norms.

    Args:
        layers: columns ``shift``, ``severity``, ``reconstruction``, ``acceleration``, ``classifier``, ``norm``,
            ``layer`` and those of :data:`MEASURES`; or none.
        like: reconstruction, acceleration and classifier; its norm does not matter.

    Returns:
        In order of the norms; empty where nothing was measured under a shift.

    Example:
        >>> row = {"shift": "noise", "severity": 5, "reconstruction": "unet", "acceleration": 4.0,
        ...     "classifier": "resnet18", "norm": "batch"} | dict.fromkeys(MEASURES, -0.5)
        >>> [found] = drifts(pd.DataFrame([row | {"layer": i} for i in range(3)]), like=Chain("unet", 4.0, "resnet18"))
        >>> found.by_layer["output_mean_drift"].tolist(), found.by_shift.index.tolist()
        ([0.5, 0.5, 0.5], ['noise'])
    """
    if layers is None or layers.empty:
        return []
    rows = layers[
        (layers["reconstruction"] == like.reconstruction)
        & (layers["acceleration"] == like.acceleration)
        & (layers["classifier"] == like.classifier)
        & ~layers["shift"].isin([CLEAN, ADVERSARIAL])
    ]
    rows = rows[rows["severity"] == rows.groupby("shift")["severity"].transform("max")]
    found = []
    for norm, own in rows.groupby("norm", dropna=False, sort=True):
        sizes = own.assign(**{measure: own[measure].astype("float64").abs() for measure in MEASURES})
        by_layer = sizes.groupby("layer")[[*MEASURES]].mean()
        by_shift = sizes.groupby("shift")[[*MEASURES]].mean()
        found.append(Drift(like._replace(norm=stated(norm)), by_layer, by_shift))
    return sorted(found, key=lambda one: norm_order(one.chain.norm))


def layers_figure(found: Sequence[Drift]) -> Figure | None:
    """Drift by layer: a panel a measure, a line a norm.

    Args:
        found: of :func:`drifts`.

    Returns:
        ``None`` of nothing.
    """
    if not found:
        return None
    figure = sheet(9.4, 2.9 + 0.2 * math.ceil(len(found) / LEGEND_COLUMNS))
    plots = figure.subplots(1, len(MEASURES), sharex=True, squeeze=False)[0]
    for axes, (measure, title) in zip(plots, MEASURES.items(), strict=True):
        for i, drift in enumerate(found):
            style = series_style(i)
            axes.plot(
                drift.by_layer.index.to_numpy(int), drift.by_layer[measure].to_numpy(float), color=style.colour,
                linestyle=(0, style.pattern), marker=style.marker, markersize=4, linewidth=1.5,
                label=norm_label(drift.chain.norm),
            )  # fmt: skip
        axes.set_ylim(bottom=0)
        dress(axes, title=title, grid="y")
        axes.set_xlabel("Layer", fontsize=8.5, color=GREY)
    plots[0].set_ylabel("Drift under shift", fontsize=8.5, color=GREY)
    # measures of one kind share their axis, so that before and after can be compared
    for left, right in (plots[:2], plots[2:]):
        top = max(left.get_ylim()[1], right.get_ylim()[1])
        left.set_ylim(top=top)
        right.set_ylim(top=top)
    handles, labels = plots[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    name = f"{image_label(found[0].chain)} read by {plain(found[0].chain.classifier or '')}"
    figure.suptitle(name, fontsize=10.5, color=INK, fontweight="bold", parse_math=False)
    return figure
