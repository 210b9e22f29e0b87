"""Degradation curves: what the results table says about a metric as one shift grows at one site."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from scanproof.evaluation.table import ALL_SHIFTS, ALL_SITES, CHAIN, CLEAN
from scanproof.reporting.vocabulary import Chain, Estimate, metric, norm_order

#: columns of small plots that still leave room for the axes
MAX_COLUMNS = 4


class Facet(NamedTuple):
    """One small plot: a site under a shift."""

    site: str
    shift: str


class CurveKey(NamedTuple):
    """What a curve is about."""

    metric: str
    chain: Chain
    facet: Facet


Curve = dict[int, Estimate]
Curves = dict[CurveKey, Curve]


def site_rows(results: pd.DataFrame) -> pd.DataFrame:
    """The rows about whole sites, averaged over training seeds and over targets: those that are drawn."""
    summed = results["subject"].isna() & results["case"].isna() & results["seed"].isna()
    # several findings that one network reads stand in rows of their own besides their mean
    return results[summed & results["target"].isna()] if "target" in results else results[summed]


def real_sites(results: pd.DataFrame) -> list[str]:
    """The sites of a study, without the mean over them."""
    return sorted(str(site) for site in results["site"].dropna().unique() if site != ALL_SITES)


def row_chain(row: Mapping[str, object]) -> Chain:
    """The chain that a row of the results table is about."""
    reconstruction, acceleration, classifier, norm = (stated(row[column]) for column in CHAIN)
    return Chain(str(reconstruction), float(str(acceleration)), classifier, norm)


def row_estimate(row: Mapping[str, object]) -> Estimate:
    """Value and interval of a row of the results table."""
    value, lower, upper = (_number(row[column]) for column in ("value", "lower", "upper"))
    return Estimate(float("nan") if value is None else value, lower, upper)


def records(rows: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Rows as plain dictionaries, missing entries as ``None``."""
    plain = rows.astype(object).where(rows.notna(), None)
    columns = [str(column) for column in plain.columns]
    for values in plain.itertuples(index=False, name=None):
        yield dict(zip(columns, values, strict=True))


def stated(value: object) -> str | None:
    """A name that may be missing, in any of the ways in which a table says so.

    Example:
        >>> stated("group"), stated(float("nan")), stated(pd.NA)
        ('group', None, None)
    """
    missing = value is None or value is pd.NA or (isinstance(value, float) and value != value)
    return None if missing else str(value)


def extract_curves(results: pd.DataFrame) -> Curves:
    """All curves of a results table.

    Every curve starts at severity 0 with the clean condition (shift ``none``), which all shifts of a site share.
    A site that was only tested clean has one curve of one point under shift ``none``. The mean over sites is left
    out where there is only one site, whose copy it is.

    Args:
        results: results table with the columns of :data:`~scanproof.evaluation.table.RESULT_COLUMNS`.

    Returns:
        Metric, chain, site and shift to the estimates by severity, in ascending severity.

    Example:
        >>> from scanproof.evaluation.table import RESULT_COLUMNS, conform
        >>> row = {"study": "s", "site": "north", "reconstruction": "unet", "acceleration": 4.0, "metric": "ssim"}
        >>> values = [("none", 0, 0.9), ("noise", 3, 0.7)]
        >>> rows = [row | {"shift": shift, "severity": s, "value": v, "n": 9} for shift, s, v in values]
        >>> curves = extract_curves(conform(pd.DataFrame(rows), RESULT_COLUMNS))
        >>> {key.facet: {s: e.value for s, e in curve.items()} for key, curve in curves.items()}
        {Facet(site='north', shift='noise'): {0: 0.9, 3: 0.7}}
    """
    rows = site_rows(results)
    rows = rows[(rows["shift"] != ALL_SHIFTS) & rows["severity"].notna()]
    if len(real_sites(results)) == 1:
        rows = rows[rows["site"] != ALL_SITES]
    clean: dict[tuple[str, Chain, str], Estimate] = {}
    shifted: defaultdict[CurveKey, Curve] = defaultdict(dict)
    for row in records(rows):
        name, chain, facet = str(row["metric"]), row_chain(row), Facet(str(row["site"]), str(row["shift"]))
        if facet.shift == CLEAN:
            clean[name, chain, facet.site] = row_estimate(row)
        else:
            shifted[CurveKey(name, chain, facet)][int(str(row["severity"]))] = row_estimate(row)
    for key, curve in shifted.items():
        if start := clean.get((key.metric, key.chain, key.facet.site)):
            curve[0] = start
    started = {(key.metric, key.chain, key.facet.site) for key in shifted}
    for (name, chain, site), start in clean.items():
        if (name, chain, site) not in started:
            shifted[CurveKey(name, chain, Facet(site, CLEAN))] = {0: start}
    return {key: dict(sorted(shifted[key].items())) for key in sorted(shifted, key=sort_key)}


def sort_key(key: CurveKey) -> tuple[object, ...]:
    """Order of curves: by metric, chain, shift and site, with the mean over sites first."""
    return key.metric, *chain_order(key.chain), key.facet.shift, site_order(key.facet.site)


def chain_order(chain: Chain) -> tuple[str, str, str, str]:
    """Alphabetical, with accelerations as numbers and norms in their own order."""
    other, rescue, norm = norm_order(chain.norm)
    return (
        chain.reconstruction,
        f"{chain.acceleration:09.3f}",
        chain.classifier or "",
        f"{other:d}{rescue:d}{norm}",
    )


def site_order(site: str, sites: Sequence[str] = ()) -> tuple[int, str]:
    """The mean over sites first, then the named sites as they are named, then the others by alphabet."""
    if site == ALL_SITES:
        return -1, site
    return (sites.index(site) if site in sites else len(sites)), site


def facets(keys: Iterable[CurveKey], sites: Sequence[str] = ()) -> list[Facet]:
    """The small plots that these curves fill, row by row: shifts, and within a shift the sites in their order."""
    return sorted({key.facet for key in keys}, key=lambda facet: (facet.shift, site_order(facet.site, sites)))


def grid_columns(places: Sequence[Facet]) -> int:
    """Columns of small plots: one per site while they fit, else as many as fit.

    Example:
        >>> grid_columns([Facet(site, "noise") for site in ("all", "east", "north")])
        3
    """
    sites = len({facet.site for facet in places})
    return max(1, min(MAX_COLUMNS, len(places), sites if sites > MAX_COLUMNS / 2 else MAX_COLUMNS))


def axis_range(name: str, curves: Curves) -> tuple[float, float]:
    """One y-range that holds every value and interval of a metric, so that all its plots can be compared.

    Args:
        name: metric.
        curves: curves, of this and of other metrics.

    Returns:
        Lower and upper end. The chance line is always inside; limits of the metric are kept but for a margin in
        which a marker at the limit can be drawn.

    Example:
        >>> key = CurveKey("ssim", Chain("unet", 4.0), Facet("north", "noise"))
        >>> axis_range("ssim", {key: {0: Estimate(1.0), 5: Estimate(0.5)}})
        (0.475, 1.02)
    """
    wording = metric(name)
    points = [estimate for key, curve in curves.items() if key.metric == name for estimate in curve.values()]
    values = [v for point in points for v in point if v is not None and v == v]
    if wording.chance is not None:
        values.append(wording.chance)
    low, high = min(values, default=0.0), max(values, default=1.0)
    # where nothing differs in the digits that are shown, the axis still needs a length
    differs = high - low >= 10.0**-wording.digits
    margin = 0.05 * (high - low if differs else max(abs(high), 0.01))
    low, high = low - margin, high + margin
    if wording.lowest is not None:
        low = max(low, wording.lowest)
    if wording.highest is not None:
        high = min(high, wording.highest + 0.02)
    return round(low, 6), round(high, 6)


def _number(value: object) -> float | None:
    return None if value is None or value is pd.NA else float(str(value))
