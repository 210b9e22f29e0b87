"""Interactive small multiples: the numbers, and plotly templates into which the page puts them.

The page holds every number once, in :class:`PlotGroup`. A selection picks one chain and metric; the script then fills
the templates of :mod:`~scanproof.reporting.traces`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scanproof.reporting.curves import (
    MAX_COLUMNS,
    Curve,
    CurveKey,
    Curves,
    Facet,
    axis_range,
    chain_order,
    facets,
    grid_columns,
)
from scanproof.reporting.style import series_style
from scanproof.reporting.traces import Json, Series, band_trace, line_trace, plot_layout
from scanproof.reporting.vocabulary import Chain, metric, norm_label, norm_order, ordered, plain, speed_label

#: plots that are shown at once; of more, one site is shown at a time
MOST_PLOTS = 24

#: values, lower and upper ends by severity; ``None`` where there is no curve
Points = list[list[int | None]] | None


@dataclass(frozen=True, kw_only=True)
class PlotGroup:
    """Small multiples that share their axes, legend and selectors.

    Args:
        name: identifier in the page.
        option_head: what is selected, as a table head; empty where there is nothing to select.
        series_head: what the lines are, as a table head.
        metrics: metrics to choose from.
        options: chains to choose from.
        selected: index of the option shown first.
        series: the lines.
        facets: the small plots.
        places: sites to choose from, the first shown first; empty where all are shown.
        columns: number of plots in a row on a wide screen.
        payload: templates, and all numbers by metric, option, facet and series: values, lower and upper ends at each
            severity of the facet, in units of the metric's last digit. Plain JSON without NaN.
    """

    name: str
    option_head: str
    series_head: str
    metrics: Sequence[str]
    options: Sequence[str]
    selected: int
    series: Sequence[Series]
    facets: Sequence[Facet]
    places: Sequence[str]
    columns: int
    payload: Json

    def starts_row(self, index: int) -> bool:
        """Whether a plot opens a row of its own, so that every shift starts at the left."""
        if self.places:
            return False
        sites = len({facet.site for facet in self.facets})
        return sites > MAX_COLUMNS / 2 and (index == 0 or self.facets[index].shift != self.facets[index - 1].shift)


def reading_group(curves: Curves, *, best: Chain, sites: Sequence[str] = ()) -> PlotGroup | None:
    """Plots of how well images are read: one line a norm, everything else selected.

    Args:
        curves: curves of a study.
        best: chain shown first.
        sites: order of the sites.

    Returns:
        ``None`` when the study has no classifier.
    """
    own = {key: curve for key, curve in curves.items() if key.chain.classifier is not None}
    chains = sorted({key.chain for key in own}, key=chain_order)
    many_speeds = len({chain.acceleration for chain in chains}) > 1
    many_readers = len({chain.classifier for chain in chains}) > 1

    def label(chain: Chain) -> str:
        parts = [plain(chain.reconstruction)]
        parts += [speed_label(chain.acceleration)] if many_speeds else []
        parts += [plain(chain.classifier or "")] if many_readers else []
        return ", ".join(parts)

    options = list(dict.fromkeys(chain._replace(norm=None) for chain in chains))
    norms = sorted({chain.norm for chain in chains}, key=norm_order)
    first = best._replace(norm=None)
    return _group(
        "reading",
        own,
        heads=("Chain" if many_readers else "Reconstruction", "Norm"),
        options=[label(option) for option in options],
        selected=options.index(first) if first in options else 0,
        lines=[norm_label(norm) for norm in norms],
        chains=[[option._replace(norm=norm) for norm in norms] for option in options],
        sites=sites,
    )


def image_group(curves: Curves, *, best: Chain, sites: Sequence[str] = ()) -> PlotGroup | None:
    """Plots of image quality: one line a reconstruction.

    The acceleration is selected where a reconstruction has several; one that has only one, such as a fully sampled
    reference, is shown beside each.

    Args:
        curves: curves of a study.
        best: chain whose acceleration is shown first.
        sites: order of the sites.

    Returns:
        ``None`` when no image metric was computed.
    """
    own = {key: curve for key, curve in curves.items() if key.chain.classifier is None}
    speeds: dict[str, list[float]] = {}
    for chain in sorted({key.chain for key in own}, key=chain_order):
        speeds.setdefault(chain.reconstruction, []).append(chain.acceleration)
    every = sorted({speed for own_speeds in speeds.values() for speed in own_speeds})
    choices = sorted({speed for own_speeds in speeds.values() for speed in own_speeds if len(own_speeds) > 1})
    options = choices or every[:1]
    mixed = len(every) > 1 and not choices

    def label(name: str) -> str:
        stated = len(every) > 1 and len(speeds[name]) == 1
        return f"{plain(name)} ({speed_label(speeds[name][0])})" if stated else plain(name)

    return _group(
        "image",
        own,
        heads=("" if mixed else "Acceleration", "Reconstruction"),
        options=["" if mixed else speed_label(option) for option in options],
        selected=options.index(best.acceleration) if best.acceleration in options else 0,
        lines=[label(name) for name in speeds],
        chains=[
            [Chain(name, own_speeds[0] if len(own_speeds) == 1 else option) for name, own_speeds in speeds.items()]
            for option in options
        ],
        sites=sites,
    )


def _group(
    name: str,
    curves: Curves,
    *,
    heads: tuple[str, str],
    options: Sequence[str],
    selected: int,
    lines: Sequence[str],
    chains: Sequence[Sequence[Chain]],
    sites: Sequence[str],
) -> PlotGroup | None:
    """A group from its words and the chain behind each option (outer) and line (inner)."""
    if not curves:
        return None
    places, metrics = facets(curves, sites), ordered({key.metric for key in curves})
    named = list(dict.fromkeys(f.site for f in places))
    chosen = named if len(places) > MOST_PLOTS and len(named) > 1 else []
    series = [Series(line, series_style(i)) for i, line in enumerate(lines)]
    severities = [sorted({s for key, curve in curves.items() if key.facet == f for s in curve}) for f in places]
    values = [
        [
            [
                [_points(curves.get(CurveKey(m, chain, f)), steps, metric(m).digits) for chain in row]
                for f, steps in zip(places, severities, strict=True)
            ]
            for row in chains
        ]
        for m in metrics
    ]
    last = max(s for steps in severities for s in steps)
    return PlotGroup(
        name=name,
        option_head=heads[0],
        series_head=heads[1],
        metrics=metrics,
        options=options,
        selected=selected,
        series=series,
        facets=places,
        places=chosen,
        columns=grid_columns([f for f in places if f.site == chosen[0]] if chosen else places),
        payload={
            "metrics": [
                {
                    "title": metric(m).title,
                    "label": metric(m).label,
                    "digits": metric(m).digits,
                    "chance": metric(m).chance,
                    "layout": plot_layout(m, axis_range(m, curves), last_severity=last),
                }
                for m in metrics
            ],
            "heads": ["Shift", "Site", *heads],
            "options": list(options),
            "series": [{"label": s.label, "line": line_trace(s), "band": band_trace(s)} for s in series],
            "facets": [
                {"site": f.site, "shift": f.shift, "severity": s} for f, s in zip(places, severities, strict=True)
            ],
            "values": values,
        },
    )


def _points(curve: Curve | None, severities: Sequence[int], digits: int) -> Points:
    if curve is None:
        return None
    triples = [curve.get(severity, (None, None, None)) for severity in severities]
    return [[_last_digits(triple[i], digits) for triple in triples] for i in range(3)]


def _last_digits(value: float | None, digits: int) -> int | None:
    """A number in units of its last shown digit: a large study holds many, and integers are short."""
    return None if value is None or value != value else round(value * 10**digits)
