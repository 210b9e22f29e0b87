"""What each shift costs each normalization, relative to batch normalization, as a table of colours."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from scanproof.evaluation.table import ADVERSARIAL, ALL_SHIFTS, ALL_SITES
from scanproof.reporting.curves import chain_order, real_sites, records, row_chain, site_rows
from scanproof.reporting.drawing import sheet
from scanproof.reporting.sections.comparison import Comparison, Standing, of_shifts, standing
from scanproof.reporting.style import GREY, INK
from scanproof.reporting.vocabulary import Chain, image_label, norm_label, norm_order, plain, shift_name, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: colours of less and of more than the reference, those of Okabe and Ito that no common colour vision confuses
LESS, EVEN, MORE = (0, 114, 178), (255, 255, 255), (213, 94, 0)
#: share of the full colour at the ends, so that dark text stays readable on it
DEEPEST = 0.7
#: cells at which colours end: nothing lost, and twice the reference's loss
LOWEST, REFERENCE, HIGHEST = 0.0, 1.0, 2.0


class Cell(NamedTuple):
    """What a shift costs a norm, as a multiple of what it costs the reference; ``None`` where it is not known."""

    value: float | None
    standing: Standing | None = None

    @property
    def colour(self) -> str:
        """Background, as CSS."""
        return colour(self.value)

    @property
    def text(self) -> str:
        """The value as it is written."""
        return "–" if self.value is None else signed(self.value, 2)

    @property
    def certain(self) -> bool:
        """Whether the difference to the reference stands after correction."""
        return self.standing in ("better", "worse")


class HeatMap(NamedTuple):
    """Shifts down, norms across; ``pair`` is the reconstruction and classifier that all share."""

    pair: Chain
    norms: list[str]
    rows: list[tuple[str, list[Cell]]]


def heat_maps(
    results: pd.DataFrame,
    comparisons: Sequence[Comparison],
    *,
    first: Chain | None = None,
    level: float = 0.95,
    metric: str = "relative_corruption_error",
) -> list[HeatMap]:
    """A map for each reconstruction and classifier, from the rows about whole shifts over all sites.

    Args:
        results: results table.
        comparisons: that give the marks.
        first: chain whose map comes first.
        level: coverage of the intervals.
        metric: that fills the cells.

    Returns:
        None where the table has no such rows.

    Example:
        >>> row = {"site": "all", "subject": pd.NA, "case": pd.NA, "seed": pd.NA, "severity": pd.NA,
        ...     "reconstruction": "unet", "acceleration": 4.0, "classifier": "resnet18",
        ...     "metric": "relative_corruption_error", "shift": "ghosting"}
        >>> rows = [row | {"norm": "batch", "value": 1.0}, row | {"norm": "group", "value": 0.6}]
        >>> [found] = heat_maps(pd.DataFrame(rows), [])
        >>> found.norms, [cell.text for cell in found.rows[0][1]]
        (['batch', 'group'], ['1.00', '0.60'])
    """
    rows = site_rows(results)
    rows = rows[(rows["metric"] == metric) & ~rows["shift"].isin([ALL_SHIFTS, ADVERSARIAL])]
    sites = real_sites(rows)
    rows = rows[rows["site"] == (ALL_SITES if ALL_SITES in set(rows["site"]) or not sites else sites[0])]
    values: dict[Chain, dict[tuple[str, str], float]] = {}
    for row in records(rows):
        chain = row_chain(row)
        if (value := row["value"]) is not None and math.isfinite(float(str(value))):
            values.setdefault(chain._replace(norm=None), {})[str(row["shift"]), str(chain.norm)] = float(str(value))
    start = None if first is None else first._replace(norm=None)
    found = []
    for pair in sorted(values, key=lambda pair: (pair != start, chain_order(pair))):
        known = {
            (one.shift, str(one.chain.norm)): standing(one, level=level)
            for one in of_shifts(comparisons, pair, "change")
            if one.p_holm is not None
        }
        norms = sorted({norm for _, norm in values[pair]}, key=norm_order)
        shifts = sorted({shift for shift, _ in values[pair]})
        found.append(
            HeatMap(
                pair,
                norms,
                [
                    (shift, [Cell(values[pair].get((shift, n)), known.get((shift, n))) for n in norms])
                    for shift in shifts
                ],
            )
        )
    return found


def colour(value: float | None) -> str:
    """Blue below the reference, white at it, vermilion above, as CSS; grey where there is no value.

    Example:
        >>> colour(1.0), colour(0.0), colour(9.0)
        ('#ffffff', '#4c9cc9', '#e28e4c')
    """
    if value is None or not math.isfinite(value):
        return "#eef1f3"
    share = (min(max(value, LOWEST), HIGHEST) - REFERENCE) / (HIGHEST - REFERENCE)
    end, weight = (MORE if share > 0 else LESS), DEEPEST * abs(share)
    mixed = (round(white + weight * (full - white)) for white, full in zip(EVEN, end, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def heat_figure(found: HeatMap) -> Figure:
    """A heat map as a picture, for papers and slides; a dot marks differences that stand after correction.

    Args:
        found: one of :func:`heat_maps`.
    """
    from matplotlib.patches import Rectangle

    figure = sheet(2.6 + 1.15 * len(found.norms), 1.3 + 0.32 * len(found.rows))
    axes = figure.subplots()
    for y, (_, cells) in enumerate(found.rows):
        for x, cell in enumerate(cells):
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=cell.colour, edgecolor="white", linewidth=1.5))
            text = f"{cell.text} •" if cell.certain else cell.text
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=8.5, color=INK)
    axes.set(xlim=(0, len(found.norms)), ylim=(len(found.rows), 0))
    names = [textwrap.fill(norm_label(norm), 16) for norm in found.norms]
    axes.set_xticks([x + 0.5 for x in range(len(found.norms))], names, fontsize=8.5)
    axes.set_yticks([y + 0.5 for y in range(len(found.rows))], [shift_name(s) for s, _ in found.rows], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    figure.suptitle(
        f"{image_label(found.pair)} read by {plain(found.pair.classifier or '')}", fontsize=10.5, color=INK,
        fontweight="bold", parse_math=False,
    )  # fmt: skip
    figure.supxlabel("Loss of AUROC as a multiple of that of batch norm", fontsize=8.5, color=GREY)
    return figure
