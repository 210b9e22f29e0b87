"""Sites against each other: each endpoint over all of them, and whether a norm helps as much at one as at another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from scanproof.evaluation.statistics.decisions import holm
from scanproof.evaluation.statistics.meta_analysis import MetaAnalysis, random_effects
from scanproof.evaluation.table import ALL_SHIFTS, CHAIN, CLEAN
from scanproof.protocol.exchange.intake import SiteExport
from scanproof.protocol.exchange.record import Endpoint

Scale = Literal["logit", "plain"]

#: what makes two comparisons of norms the same question
CONTRAST = [*CHAIN, "reference", "measure", "shift"]
#: columns of the table of site × norm
INTERACTION_COLUMNS = (
    *CONTRAST,
    "sites",
    "difference",
    "lower",
    "upper",
    "tau",
    "tau_lower",
    "tau_upper",
    "i2",
    "q",
    "p_interaction",
    "p_holm",
)


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """Several sites as one number, in the units of the endpoint.

    Args:
        estimate: mean of the sites there could be, on the analysis scale and back.
        lower: end of its interval.
        upper: other end.
        prediction: in which the true value of one more site is expected; None for fewer than three sites.
        analysis: on the scale of the analysis.
    """

    estimate: float
    lower: float
    upper: float
    prediction: tuple[float, float] | None
    analysis: MetaAnalysis


@dataclass(frozen=True, kw_only=True)
class EndpointOfSites:
    """One endpoint at every site.

    Args:
        endpoint: as the protocol asks it, with the numbers of the first site.
        scale: on which sites were pooled.
        table: one row a site: site, verdict, estimate, lower, upper, standard_error, subjects, cases, weight (share in
            the pooled mean; missing where numbers are withheld or have no error).
        pooled: missing where fewer than two sites have numbers.
    """

    endpoint: Endpoint
    scale: Scale
    table: pd.DataFrame
    pooled: Pooled | None

    @property
    def lower_is_better(self) -> bool:
        """Whether the endpoint asks for at most something."""
        return self.endpoint.rule.replace(" ", "_").startswith("at_most")

    @property
    def worst(self) -> pd.Series | None:
        """The row of the site that does worst; None where fewer than two have numbers."""
        known = self.table[self.table["estimate"].notna()]
        if len(known) < 2:
            return None
        estimates = known["estimate"].to_numpy(float)
        return known.iloc[int(estimates.argmax() if self.lower_is_better else estimates.argmin())]


def compare_endpoints(sites: Sequence[SiteExport]) -> list[EndpointOfSites]:
    """Every endpoint of the protocol over the sites, the primary first.

    An AUROC that must be at least something is pooled on the logit scale, where intervals stay in (0, 1) and errors
    depend less on the value, with the error of the delta method; everything else as it is. Random effects by
    restricted maximum likelihood, with the interval of Hartung and Knapp
    (:func:`~scanproof.evaluation.statistics.meta_analysis.random_effects`).

    Args:
        sites: that followed one protocol.
    """
    asked = {one.name: one for site in sites for one in reversed(site.validation.endpoints)}
    order = sorted(asked, key=lambda name: asked[name].role != "primary")
    return [_endpoint_of(sites, name) for name in order]


def _endpoint_of(sites: Sequence[SiteExport], name: str) -> EndpointOfSites:
    found = {site.site: one for site in sites for one in site.validation.endpoints if one.name == name}
    first = next(iter(found.values()))
    columns = ["verdict", "estimate", "lower", "upper", "standard_error", "subjects", "cases"]
    rows = [{"site": site, **{key: getattr(one, key) for key in columns}} for site, one in found.items()]
    table = pd.DataFrame(rows, columns=["site", *columns])
    table = table.astype(dict.fromkeys(["estimate", "lower", "upper", "standard_error"], "float64"))
    table = table.astype({"subjects": "Int64", "cases": "Int64"})
    table["weight"] = np.nan
    scale: Scale = "logit" if first.metric == "auroc" and first.rule.replace(" ", "_") == "at_least" else "plain"
    usable = table["estimate"].notna() & (table["standard_error"] > 0)
    if scale == "logit":
        usable &= table["estimate"].between(0, 1, inclusive="neither")
    pooled = None
    if usable.sum() >= 2:
        pooled = pool(
            table.loc[usable, "estimate"],
            table.loc[usable, "standard_error"],
            scale=scale,
            confidence=first.confidence or 0.95,
        )
        table.loc[usable, "weight"] = pooled.analysis.weights
    return EndpointOfSites(endpoint=first, scale=scale, table=table, pooled=pooled)


def pool(estimates: pd.Series, errors: pd.Series, *, scale: Scale, confidence: float) -> Pooled:
    """The mean of sites over random effects, in the units of the estimates.

    Args:
        estimates: one a site; on the logit scale in (0, 1).
        errors: their standard errors, positive.
        scale: of the analysis.
        confidence: of intervals.

    Example:
        >>> found = pool(pd.Series([0.8, 0.9, 0.85]), pd.Series([0.03, 0.03, 0.03]), scale="logit", confidence=0.95)
        >>> round(found.estimate, 3), found.lower > 0, found.upper < 1
        (0.847, True, True)
    """
    values, spreads = estimates.to_numpy(float), errors.to_numpy(float)
    if scale == "logit":
        values, spreads = np.log(values / (1 - values)), spreads / (values * (1 - values))
    found = random_effects(values, spreads, confidence=confidence)

    def back(value: float) -> float:
        return 1 / (1 + math.exp(-value)) if scale == "logit" else value

    ends = (found.prediction_lower, found.prediction_upper)
    return Pooled(
        estimate=back(found.estimate),
        lower=back(found.lower),
        upper=back(found.upper),
        prediction=None if math.isnan(ends[0]) else (back(ends[0]), back(ends[1])),
        analysis=found,
    )


def contrasts_of(sites: Sequence[SiteExport]) -> pd.DataFrame:
    """The differences between norms that every site sent, one row a site and question."""
    tables = [site.comparisons for site in sites if len(site.comparisons)]
    if not tables:
        return pd.DataFrame(columns=["site", *CONTRAST, "difference", "lower", "upper", "standard_error"])
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[(rows["metric"] == "auroc") & rows["difference"].notna() & (rows["standard_error"] > 0)]
    return rows[["site", *CONTRAST, "difference", "lower", "upper", "standard_error"]].reset_index(drop=True)


def interactions(contrasts: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """Site × norm: the mean difference of each norm to its reference, and whether it is another one at other sites.

    ``p_interaction`` is that of Cochran's Q of the sites' differences; ``p_holm`` is corrected for the number of single
    shifts of one pair of norms and measure. The interval of ``tau``, the standard deviation of the true differences
    between sites, tells how little few sites say of it.

    Args:
        contrasts: of :func:`contrasts_of`.
        confidence: of intervals.

    Returns:
        Columns :data:`INTERACTION_COLUMNS`, one row a question that at least two sites answer.
    """
    rows = []
    for key, group in contrasts.groupby(CONTRAST, sort=True, dropna=False):
        if len(group) < 2:
            continue
        found = random_effects(group["difference"], group["standard_error"], confidence=confidence)
        rows.append(
            {
                **dict(zip(CONTRAST, key, strict=True)),
                "sites": found.sites,
                "difference": found.estimate,
                "lower": found.lower,
                "upper": found.upper,
                "tau": math.sqrt(found.tau2),
                "tau_lower": math.sqrt(found.tau2_lower),
                "tau_upper": math.sqrt(found.tau2_upper),
                "i2": found.i2,
                "q": found.q,
                "p_interaction": found.p_value,
            }
        )
    table = pd.DataFrame(rows, columns=list(INTERACTION_COLUMNS)).astype({"p_holm": "float64"})
    single = table[~table["shift"].isin([CLEAN, ALL_SHIFTS])]
    for _, group in single.groupby([name for name in CONTRAST if name != "shift"], dropna=False):
        table.loc[group.index, "p_holm"] = holm(group["p_interaction"].to_numpy(float))
    return table


def endpoint_table(found: Sequence[EndpointOfSites]) -> pd.DataFrame:
    """Every site's endpoints, for a spreadsheet."""
    frames = [one.table.assign(endpoint=one.endpoint.name, role=one.endpoint.role) for one in found]
    table = pd.concat(frames, ignore_index=True)
    return table[["endpoint", "role", *(name for name in table if name not in ("endpoint", "role"))]]


def pooled_table(found: Sequence[EndpointOfSites]) -> pd.DataFrame:
    """What the sites say together, for a spreadsheet: τ and its interval are on the scale of the analysis."""
    rows = []
    for one in found:
        if one.pooled is None:
            continue
        analysis, ends = one.pooled.analysis, one.pooled.prediction or (math.nan, math.nan)
        rows.append(
            {
                "endpoint": one.endpoint.name,
                "metric": one.endpoint.metric,
                "rule": one.endpoint.rule,
                "limit": one.endpoint.limit,
                "sites": analysis.sites,
                "scale": one.scale,
                "estimate": one.pooled.estimate,
                "lower": one.pooled.lower,
                "upper": one.pooled.upper,
                "prediction_lower": ends[0],
                "prediction_upper": ends[1],
                "tau": math.sqrt(analysis.tau2),
                "tau_lower": math.sqrt(analysis.tau2_lower),
                "tau_upper": math.sqrt(analysis.tau2_upper),
                "i2": analysis.i2,
                "i2_lower": analysis.i2_lower,
                "i2_upper": analysis.i2_upper,
                "q": analysis.q,
                "p_heterogeneity": analysis.p_value,
                "confidence": analysis.confidence,
            }
        )
    return pd.DataFrame(rows)
