"""Differences to batch normalization as points and intervals: by site (forest plot) and by shift (paired plot)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from scanproof.evaluation.table import ALL_SITES
from scanproof.reporting.drawing import sheet
from scanproof.reporting.sections.comparison import (
    Comparison,
    Standing,
    norms_of,
    of_shifts,
    of_sites,
    standing,
)
from scanproof.reporting.sections.vector import dress
from scanproof.reporting.style import COLOURS, GREY, INK
from scanproof.reporting.vocabulary import Chain, image_label, norm_label, plain, shift_name, site_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: panels in a row
COLUMNS = 4
#: colour, and whether the mark is filled, of what a comparison supports
LOOKS: dict[Standing, tuple[str, bool]] = {
    "better": (COLOURS[0], True),
    "worse": (COLOURS[1], True),
    "uncorrected": (GREY, False),
    "unclear": (GREY, False),
}


def forest_figure(comparisons: Sequence[Comparison], pair: Chain, *, level: float = 0.95) -> Figure | None:
    """How much less AUROC each norm lost than batch norm over all shifts, at each site and over all of them.

    Args:
        comparisons: of a study.
        pair: reconstruction and classifier, without norm.
        level: coverage of the intervals.

    Returns:
        A panel a norm, a row a site with the mean of the sites last; ``None`` where nothing was compared.
    """
    found = of_sites(comparisons, pair, "change")
    sites = sorted({one.site for one in found}, key=lambda site: (site == ALL_SITES, site))
    return _panels(found, sites, lambda one: one.site, _words_of_site, pair=pair, level=level, square=ALL_SITES)


def paired_figure(comparisons: Sequence[Comparison], pair: Chain, *, level: float = 0.95) -> Figure | None:
    """How much less AUROC each norm lost than batch norm under each shift, over all sites.

    Args:
        comparisons: of a study.
        pair: reconstruction and classifier, without norm.
        level: coverage of the intervals.

    Returns:
        A panel a norm, a row a shift; filled where the difference stands after correction. ``None`` where nothing was
        compared.
    """
    found = of_shifts(comparisons, pair, "change")
    shifts = sorted({one.shift for one in found})
    return _panels(found, shifts, lambda one: one.shift, shift_name, pair=pair, level=level)


def _words_of_site(site: str) -> str:
    return site_name(site)


def _panels(
    found: Sequence[Comparison],
    rows: Sequence[str],
    row_of: Callable[[Comparison], str],
    words: Callable[[str], str],
    *,
    pair: Chain,
    level: float,
    square: str | None = None,
) -> Figure | None:
    """A panel a norm on one common axis; ``square`` names the row that is drawn as a summary."""
    if not found:
        return None
    norms = norms_of(found)
    columns = min(COLUMNS, len(norms))
    lines = math.ceil(len(norms) / columns)
    figure = sheet(1.4 + 2 * max(columns, 2), 0.9 + lines * (0.75 + 0.24 * len(rows)))
    plots = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for i, axes in enumerate(plots.flat):
        if i >= len(norms):
            axes.set_visible(False)
            continue
        own = {row_of(one): one for one in found if one.chain.norm == norms[i]}
        for looks in sorted(set(LOOKS.values())):
            alike = {y: one for y, one in heights(own, rows) if LOOKS[standing(one, level=level)] == looks}
            _marks(axes, alike, *looks, squares={y for y, one in alike.items() if row_of(one) == square})
        axes.axvline(0, color=INK, linewidth=1)
        axes.set(ylim=(-0.6, len(rows) - 0.4), yticks=range(len(rows)))
        axes.set_yticklabels([words(row) for row in reversed(rows)])
        dress(axes, title=norm_label(norms[i]))
        if i + columns >= len(norms):
            axes.tick_params(labelbottom=True)
    figure.supxlabel("Difference to batch norm in loss of AUROC; right of zero favours the norm named above",
                     fontsize=8.5, color=GREY)  # fmt: skip
    name = f"{image_label(pair)} read by {plain(pair.classifier or '')}"
    figure.suptitle(name, fontsize=10.5, color=INK, fontweight="bold", parse_math=False)
    return figure


def heights(own: Mapping[str, Comparison], rows: Sequence[str]) -> list[tuple[int, Comparison]]:
    """Where the comparisons of a panel stand, the first row on top."""
    return [(len(rows) - 1 - place, own[row]) for place, row in enumerate(rows) if row in own]


def _marks(axes: Axes, alike: Mapping[int, Comparison], colour: str, filled: bool, *, squares: Set[int]) -> None:
    """Draw the comparisons of one look at once, which keeps pictures of many small."""
    lines: tuple[list[float], list[float]] = ([], [])
    for y, one in alike.items():
        if one.difference.lower is not None and one.difference.upper is not None:
            lines[0].extend((one.difference.lower, one.difference.upper, math.nan))
            lines[1].extend((y, y, math.nan))
    axes.plot(*lines, color=colour, linewidth=1.6, solid_capstyle="butt")
    for marker, size, places in (("o", 5, alike.keys() - squares), ("D", 6, squares)):
        if places:
            order = sorted(places)
            axes.plot(
                [alike[y].difference.value for y in order], order, marker=marker, markersize=size, color=colour,
                markerfacecolor=colour if filled else "white", linestyle="none",
            )  # fmt: skip
