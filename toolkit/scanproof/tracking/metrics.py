"""Names and numbers of MLflow metrics, derived from the results table and from nothing else.

A curve is a metric ``<shift>/<metric>`` whose step is the severity, from 0, the clean condition, to 5. Ends of the
interval of an AUROC are ``<shift>/auroc_lower`` and ``_upper``. A study has dozens of shifts, and MLflow's pages list
every name: what a reviewer seldom asks for (single training seeds, re-tuned thresholds, other intervals) stands in the
tables of the run alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from scanproof.evaluation import image_metrics
from scanproof.evaluation.table import ADVERSARIAL, ALL_SHIFTS, CHAIN, CLEAN

#: image metrics that can be ranked; True where more is better
IMAGE_METRICS = {name: metric.higher_is_better for name, metric in image_metrics.IMAGE_METRICS.items()}
#: chain summaries that can be ranked; True where more is better
_SUMMARIES = {
    "auroc_clean": True,
    "auroc_shifted": True,
    "auroc_drop": False,
    "auroc_worst": True,
    "auroc_worst_shift": True,
    "mce": False,
    "relative_mce": False,
    "weighted_degradation": False,
    "severity_auc": True,
}
#: metrics without curves of their own
_IN_TABLES = {"auprc", "nll", "balanced_accuracy_retuned", "sensitivity_retuned", "specificity_retuned"}
#: summaries that are told of every shift
_OF_SHIFTS = {"auroc_shifted", "relative_corruption_error"}


class Point(NamedTuple):
    """One value of a metric; ``step`` is a severity or an epoch."""

    key: str
    value: float
    step: int = 0


class Chain(NamedTuple):
    """How an image is made and who reads it; classifier and norm are missing where only images were assessed."""

    reconstruction: str
    acceleration: float
    classifier: str | None
    norm: str | None

    def label(self, *, with_acceleration: bool) -> str:
        """Name of the chain's run.

        Example:
            >>> Chain("unet", 4.0, "resnet18", "group").label(with_acceleration=True)
            'unet R4 / resnet18 / group'
        """
        first = f"{self.reconstruction} R{self.acceleration:g}" if with_acceleration else self.reconstruction
        return " / ".join(part for part in (first, self.classifier, self.norm) if part is not None)

    def facts(self) -> dict[str, str]:
        """Tags and parameters of the chain's run: its parts by name."""
        parts = zip(CHAIN, (self.reconstruction, f"{self.acceleration:g}", self.classifier, self.norm), strict=True)
        return {key: value for key, value in parts if value is not None}


def part(name: object) -> str:
    """One part of a metric's or parameter's name: without what MLflow refuses and without the separating slash.

    Example:
        >>> part("motion/fast (5°)")
        'motion_fast _5__'
    """
    return re.sub(r"[^\w.\- ]", "_", str(name))


def site_rows(results: pd.DataFrame, site: str) -> pd.DataFrame:
    """Rows about a site as a whole, without those about single cases."""
    return results[(results["site"] == site) & results["subject"].isna()]


def _name(metric: object, target: object) -> str:
    """A metric's part of a name; that of one of several targets names the target, too."""
    return f"{part(metric)}.{part(target)}" if isinstance(target, str) else part(metric)


def chains_in(rows: pd.DataFrame) -> list[Chain]:
    """The chains of a site: every classifier chain, and every reconstruction that no classifier reads."""
    found = [
        Chain(str(made), float(factor), _text(classifier), _text(norm))
        for made, factor, classifier, norm in rows[list(CHAIN)].drop_duplicates().itertuples(index=False)
    ]
    read = {chain[:2] for chain in found if chain.classifier is not None}
    chains = [chain for chain in found if chain.classifier is not None or chain[:2] not in read]
    return sorted(chains, key=lambda chain: tuple("" if part is None else part for part in chain))


def chain_rows(rows: pd.DataFrame, chain: Chain) -> pd.DataFrame:
    """Rows of one chain, with those about the quality of the images it reads."""
    made = (rows["reconstruction"] == chain.reconstruction) & (rows["acceleration"] == chain.acceleration)
    image = rows["classifier"].isna()
    if chain.classifier is None:
        return rows[made & image]
    norm = rows["norm"].isna() if chain.norm is None else rows["norm"] == chain.norm
    return rows[made & (image | ((rows["classifier"] == chain.classifier) & norm.fillna(False)))]


def curve_points(rows: pd.DataFrame) -> list[Point]:
    """Degradation curves of one chain.

    The clean condition belongs to every shift, so each curve starts with it at step 0. A study that tests no shift
    at all gets the curve ``none/<metric>`` with this one point. Curves are means over training seeds; the AUROC has its
    interval, and one of several targets is named in ``<shift>/auroc.<target>``.

    Args:
        rows: rows of :func:`chain_rows`.

    Example:
        >>> rows = pd.DataFrame(
        ...     {"shift": ["none", "noise"], "severity": [0, 1], "seed": pd.NA, "target": pd.NA, "metric": "ssim",
        ...      "value": [0.9, 0.8], "lower": float("nan"), "upper": float("nan")})
        >>> curve_points(rows)
        [Point(key='noise/ssim', value=0.9, step=0), Point(key='noise/ssim', value=0.8, step=1)]
    """
    rows = rows[(rows["shift"] != ALL_SHIFTS) & rows["severity"].notna() & rows["seed"].isna()]
    shifts = sorted(set(rows["shift"]) - {CLEAN}) or [CLEAN]
    told = rows[~rows["metric"].isin(_IN_TABLES) & (rows["target"].isna() | (rows["metric"] == "auroc"))]
    columns = told[["shift", "severity", "target", "metric", "value", "lower", "upper"]]
    points = []
    for shift, severity, target, metric, value, lower, upper in columns.itertuples(index=False):
        ends = (lower, upper) if metric == "auroc" and not isinstance(target, str) else (math.nan, math.nan)
        for curve in shifts if shift == CLEAN else [shift]:
            points += _with_interval(f"{part(curve)}/{_name(metric, target)}", value, *ends, step=int(severity))
    return points


def summary_points(rows: pd.DataFrame) -> list[Point]:
    """Numbers that stand for a whole chain, without a step.

    Args:
        rows: rows of :func:`chain_rows`.

    Returns:
        Every summary of the table (``auroc_clean``, ``auroc_shifted``, ``auroc_drop``, ``mce``, ...) with ``_lower``
        and ``_upper``; of each shift ``<shift>/auroc_shifted`` and ``<shift>/relative_corruption_error``. For each
        image metric ``<metric>_clean`` and ``<metric>_shifted``, the plain mean over all shifts and severities from 1
        up, ``adversarial`` left out.
    """
    summaries = rows[rows["severity"].isna() & rows["seed"].isna()]
    points = []
    columns = summaries[["shift", "metric", "value", "lower", "upper"]]
    for shift, metric, value, lower, upper in columns.itertuples(index=False):
        if shift == ALL_SHIFTS:
            points += _with_interval(part(metric), value, lower, upper)
        elif metric in _OF_SHIFTS:
            points += _with_interval(f"{part(shift)}/{part(metric)}", value, math.nan, math.nan)
    images = rows[rows["classifier"].isna() & ~rows["shift"].isin([ALL_SHIFTS, ADVERSARIAL])]
    for metric, group in images.groupby("metric", sort=True):
        clean = group["shift"] == CLEAN
        for name, values in (("clean", group["value"][clean]), ("shifted", group["value"][~clean])):
            if len(values):
                points.append(Point(f"{part(metric)}_{name}", float(values.mean())))
    return points


class SiteSummary(NamedTuple):
    """Numbers by which the runs of sites can be sorted, and the chains from the sturdiest to the weakest."""

    points: list[Point]
    ranking: list[Chain]


def summarise_site(rows: pd.DataFrame, summaries: Mapping[Chain, Sequence[Point]]) -> SiteSummary:
    """Key metrics of a site.

    ========================= ===========================================================================
    metric                    meaning
    ========================= ===========================================================================
    ``auroc_clean.best``      highest AUROC without shift that any chain reaches at the site
    ``auroc_shifted.best``    highest mean AUROC over all shifts and severities from 1 up
    ``auroc_shifted.worst``   lowest such mean: the distance to the best is what the choice of chain matters
    ``auroc_drop.best``       smallest drop of the AUROC from clean to shifted
    ``auroc_drop.worst``      largest such drop
    ``worst_auroc``           lowest AUROC of any chain under any one condition
    ``auroc_worst.best``      highest such lowest AUROC that a chain has
    ``mce.best``              smallest mean corruption error of a chain, that of batch normalization is 1
    ``<summary>.<norm>``      mean of ``auroc_clean``, ``auroc_shifted``, ``auroc_drop``, ``auroc_worst`` and ``mce``
                              over the chains with a normalization, e.g. ``auroc_drop.group``
    ``<image>_clean.best``    best mean image metric (of :data:`IMAGE_METRICS`) without shift
    ``<image>_shifted.best``  best such mean over all shifts and severities from 1 up
    ========================= ===========================================================================

    Each named ``.best`` has both ends, ``.best`` and ``.worst``. Chains are ranked by ``auroc_shifted``; without
    classification by ``ssim_shifted``, or by the first image metric there is. Where nothing was shifted the clean
    score decides.

    Args:
        rows: rows of :func:`site_rows`.
        summaries: chain to its :func:`summary_points`.
    """
    values = {chain: {point.key: point.value for point in points} for chain, points in summaries.items()}
    ranked = dict(_SUMMARIES)
    for metric, more in IMAGE_METRICS.items():
        ranked |= {f"{metric}_clean": more, f"{metric}_shifted": more}
    points = []
    for key, more in ranked.items():
        found = sorted((v[key] for v in values.values() if key in v), reverse=more)
        if found:
            points += [Point(f"{key}.best", found[0]), Point(f"{key}.worst", found[-1])]
    for norm in sorted({chain.norm for chain in values if chain.norm is not None}):
        for key in ("auroc_clean", "auroc_shifted", "auroc_drop", "auroc_worst", "mce"):
            of_norm = [v[key] for chain, v in values.items() if chain.norm == norm and key in v]
            if of_norm:
                points.append(Point(f"{key}.{part(norm)}", fmean(of_norm)))
    auroc = rows[(rows["metric"] == "auroc") & rows["seed"].isna() & rows["target"].isna()]["value"]
    if len(auroc):
        points.append(Point("worst_auroc", float(auroc.min())))
    scores = ["auroc", "ssim", *IMAGE_METRICS]
    order = [f"{score}_{condition}" for score in scores for condition in ("shifted", "clean")]
    decisive = next((key for key in order if any(key in v for v in values.values())), "")
    sign = 1 if ranked.get(decisive, True) else -1
    ranking = sorted(values, key=lambda chain: -sign * values[chain].get(decisive, -sign * math.inf))
    return SiteSummary(points, ranking)


def _with_interval(key: str, value: float, lower: float, upper: float, *, step: int = 0) -> list[Point]:
    ends = (("", value), ("_lower", lower), ("_upper", upper))
    return [Point(key + end, float(number), step) for end, number in ends if math.isfinite(number)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
