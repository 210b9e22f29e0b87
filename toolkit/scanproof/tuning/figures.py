"""Plotly figures of a search, as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scanproof.reconstruction.untrained.space import Range
from scanproof.reporting.style import COLOURS, FONTS, GREY, INK, PALE, WIDTH
from scanproof.reporting.traces import Json, plotly_text
from scanproof.reporting.vocabulary import metric
from scanproof.tuning.search import Search
from scanproof.tuning.trials import Ranking, Record, State, text

BLUE, ORANGE, GREEN = COLOURS[:3]
#: half the width over which the trials of one choice are spread
JITTER = 0.22
#: qualities that span orders of magnitude
_RATIOS = ("held_out", "nrmse")


def quality_label(name: str) -> str:
    """The quality as an axis or a table head names it.

    Example:
        >>> quality_label("held_out"), quality_label("psnr")
        ('Held-out error', 'PSNR (dB)')
    """
    return "Held-out error" if name == "held_out" else metric(name).title


def history(search: Search, records: Sequence[Record], ranking: Ranking) -> Json:
    """Quality of every trial in the order of their numbers, and the best so far."""
    complete = sorted(ranking.complete, key=lambda record: record.number)
    data = _points(search, records, ranking, x=lambda record: float(record.number))
    if not search.objectives.seconds:
        best: list[float] = []
        for record in complete:
            value = _quality(record)
            better = min if search.objectives.directions[0] == "minimize" else max
            best.append(better(value, best[-1]) if best else value)
        line = {"color": BLUE, "width": WIDTH, "shape": "hv"}
        x = [record.number for record in complete]
        data.insert(
            0,
            {"type": "scatter", "mode": "lines", "name": "best so far", "x": x, "y": best, "line": line,
             "hoverinfo": "skip"},
        )  # fmt: skip
    layout = _layout(search, x="Trial", height=340)
    return {"data": data, "layout": layout}


def trade_off(search: Search, records: Sequence[Record], ranking: Ranking) -> Json:
    """Quality against time; with two objectives, the front of those that no other one beats in both."""
    data = _points(search, records, ranking, x=lambda record: record.seconds or 0.0)
    if search.objectives.seconds:
        front = sorted(ranking.front, key=lambda record: record.seconds or 0.0)
        line = {"color": BLUE, "width": WIDTH, "shape": "hv"}
        x, y = [record.seconds for record in front], [_quality(record) for record in front]
        data.insert(
            0,
            {"type": "scatter", "mode": "lines", "name": "front", "x": x, "y": y, "line": line, "hoverinfo": "skip"},
        )
    layout = _layout(search, x="Processor seconds a slice", height=340)
    times = [record.seconds for record in records if record.scores and record.seconds]
    layout["xaxis"] = {**_axis("Processor seconds a slice"), **_logarithmic(min(times), max(times))}
    if search.seconds is not None:
        limit = {"x0": search.seconds, "x1": search.seconds, "yref": "paper", "y0": 0, "y1": 1}
        layout["shapes"] = [{"type": "line", **limit, "line": {"color": GREY, "width": 1.5, "dash": "3,4"}}]
    return {"data": data, "layout": layout}


def option_plot(search: Search, records: Sequence[Record], ranking: Ranking, name: str) -> Json:
    """Quality against one option."""
    axis = search.settings.space[name]
    layout = _layout(search, x="", height=230)
    layout |= {"showlegend": False, "margin": {"l": 56, "r": 10, "t": 8, "b": 34}}
    if isinstance(axis, Range):
        data = _points(search, records, ranking, x=lambda record: float(str(record.options[name])), small=True)
        ticks = _logarithmic(axis.low, axis.high) if axis.log else {"nticks": 6}
        layout["xaxis"] = {**_axis(""), **ticks, "range": _range(axis)}
    else:
        places = [text(value) for value in axis.values]

        def place(record: Record) -> float:
            # trials of one choice beside each other, always in the same places
            across = math.modf((record.number + 0.5) * 0.618034)[0] * 2 - 1
            return places.index(text(record.options[name])) + JITTER * across

        data = _points(search, records, ranking, x=place, small=True)
        layout["xaxis"] = {
            **_axis(""),
            "tickvals": list(range(len(places))),
            "ticktext": [plotly_text(words(value)) for value in axis.values],
            "range": [-0.5, len(places) - 0.5],
            "showgrid": False,
        }
    return {"data": data, "layout": layout}


def _points(
    search: Search,
    records: Sequence[Record],
    ranking: Ranking,
    *,
    x: Callable[[Record], float],
    small: bool = False,
) -> list[Json]:
    """Trials as markers: ended early, complete, the start and the best."""
    best, start = ranking.best.number, ranking.start.number if ranking.start else None
    groups = {
        "ended early": ([r for r in records if r.state is State.PRUNED and r.scores], "x-thin-open", GREY, 7),
        "complete": ([r for r in ranking.complete if r.number not in (best, start)], "circle", BLUE, 7),
        "start": ([r for r in ranking.complete if r.number == start and start != best], "diamond", ORANGE, 11),
        "best, the start" if best == start else "best": ([ranking.best], "star", GREEN, 14),
    }
    label = plotly_text(quality_label(search.objectives.quality))
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [x(record) for record in shown],
            "y": [_quality(record) for record in shown],
            "customdata": [record.number for record in shown],
            "marker": {
                "symbol": symbol,
                "color": colour,
                "size": size - 1 if small else size,
                "opacity": 0.75 if name == "complete" else 1,
                "line": {"width": 1, "color": colour if name == "ended early" else "#fff"},
            },
            "hovertemplate": f"trial %{{customdata}}, {name}<br>{label} %{{y:.4g}}<extra></extra>",
        }
        for name, (shown, symbol, colour, size) in groups.items()
        if shown
    ]


def _quality(record: Record) -> float:
    """The quality of a trial, or for one that was ended early the mean over the slices that it reconstructed."""
    return record.values[0] if record.values else sum(record.scores) / len(record.scores)


def words(value: object) -> str:
    """An option's value as a reader meets it.

    Example:
        >>> words(None), words(True), words((8, 4)), words(0.0080001)
        ('auto', 'yes', '8×4', '0.008')
    """
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "×".join(str(part) for part in value)
    return text(value)


def _range(axis: Range) -> list[float]:
    low, high = (math.log10(axis.low), math.log10(axis.high)) if axis.log else (axis.low, axis.high)
    pad = 0.05 * (high - low) or 1.0
    return [low - pad, high + pad]


def _logarithmic(low: float, high: float) -> Json:
    """A logarithmic axis with at most five labelled ticks, whose numbers are written out."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine, middle, coarse = ([k * 10.0**n for n in decades for k in steps] for steps in ((1, 2, 5), (1, 3), (1,)))
    seen = [[tick for tick in ticks if 0.999 * low <= tick <= 1.001 * high] for ticks in (fine, middle, coarse)]
    ticks = next((few for few in seen if 2 <= len(few) <= 5), None)
    if ticks is None:
        return {"type": "log", "nticks": 4}
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _axis(title: str) -> Json:
    return {
        "title": {"text": title, "font": {"size": 11, "color": GREY}, "standoff": 6},
        "fixedrange": True,
        "gridcolor": PALE,
        "zeroline": False,
        "linecolor": GREY,
        "showline": True,
    }


def _base(*, height: int) -> Json:
    return {
        "height": height,
        "margin": {"l": 60, "r": 12, "t": 34, "b": 46},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONTS, "size": 11, "color": INK},
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "namelength": -1},
        "dragmode": False,
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }


def _layout(search: Search, *, x: str, height: int) -> Json:
    vertical = _axis(plotly_text(quality_label(search.objectives.quality)))
    if search.objectives.quality in _RATIOS:
        vertical |= {"type": "log", "nticks": 6}
    return _base(height=height) | {"xaxis": _axis(x), "yaxis": vertical}
