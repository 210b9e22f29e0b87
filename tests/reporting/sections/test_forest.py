from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scanproof.reporting.sections.comparison import of_shifts, of_sites, read_comparisons, standing
from scanproof.reporting.sections.forest import LOOKS, forest_figure, paired_figure
from scanproof.reporting.vocabulary import Chain, shift_name, site_name

PAIR = Chain("unet", 4.0, "resnet18")


@pytest.mark.parametrize(("make", "take", "row"), [
    (forest_figure, of_sites, lambda one: site_name(one.site)),
    (paired_figure, of_shifts, lambda one: shift_name(one.shift)),
])  # fmt: skip
def test_marks_and_intervals_are_those_of_the_comparisons(compared: Any, make: Any, take: Any, row: Any) -> None:
    found = read_comparisons(compared.comparisons)
    figure = make(found, PAIR)
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["group norm", "layer norm"]
    for axes, norm in zip(shown, ("group", "layer"), strict=True):
        names = [label.get_text() for label in shown[0].get_yticklabels()]
        drawn, filled = {}, {}
        for line in axes.lines:
            if line.get_marker() in ("o", "D"):
                for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
                    drawn[names[int(y)]] = x
                    filled[names[int(y)]] = line.get_markerfacecolor() != "white"
        ends = np.concatenate(
            [np.asarray(line.get_xdata(), float) for line in axes.lines if len(line.get_xdata()) % 3 == 0]
        )
        own = [one for one in take(found, PAIR, "change") if one.chain.norm == norm]
        assert drawn == {row(one): one.difference.value for one in own}
        assert filled == {row(one): LOOKS[standing(one, level=0.95)][1] for one in own}
        assert {one.difference.lower for one in own} <= set(ends)
        assert {one.difference.upper for one in own} <= set(ends)


def test_nothing_compared_is_nothing_drawn() -> None:
    assert forest_figure([], PAIR) is None
    assert paired_figure([], PAIR) is None
