"""What the sites say together, in sentences that claim no more than the intervals support."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.protocol.exchange.compare import EndpointOfSites, Pooled
from scanproof.protocol.exchange.intake import SiteExport
from scanproof.reporting.vocabulary import counted, joined, norm_label, shift_name

#: fewer sites than this say next to nothing of how far sites differ
FEW = 5
_LEVEL = 0.05


def headline(sites: Sequence[SiteExport]) -> str:
    """How many sites passed."""
    found = Counter[str](site.validation.verdict for site in sites)
    words = {"pass": "passed", "fail": "failed", "not enough data": "had not enough data to decide"}
    parts = [f"{found[verdict]} {word}" for verdict, word in words.items() if found[verdict]]
    return f"Of {counted(len(sites), 'site')}, {joined(parts)}."


def findings(sites: Sequence[SiteExport], endpoints: Sequence[EndpointOfSites], table: pd.DataFrame) -> list[str]:
    """Sentences about the primary endpoint, how far sites differ, the worst site, and site × norm.

    Args:
        sites: that were compared.
        endpoints: of :func:`~scanproof.protocol.exchange.compare.compare_endpoints`.
        table: of :func:`~scanproof.protocol.exchange.compare.interactions`.
    """
    said = []
    primary = endpoints[0]
    if primary.pooled is None:
        said.append("Fewer than two sites sent numbers of the primary endpoint, so there is nothing to pool.")
    else:
        said += [_mean_of(primary, primary.pooled), _spread_of(primary, primary.pooled)]
    worst = primary.worst
    if worst is not None:
        few = "" if len(sites) > 2 else ", of two"
        said.append(
            f"The site with the least favourable estimate is {worst['site']}{few}: {_interval(worst)}. It was picked "
            "after looking, so its true value is likely less extreme."
        )
    withheld = [site.site for site in sites if any(one.estimate is None for one in site.validation.endpoints)]
    if withheld:
        said.append(f"Numbers of {joined(withheld)} are withheld or could not be computed; they are in no mean.")
    if other := [site.site for site in sites if site.validation.other_code]:
        said.append(f"{joined(other)} ran other code than the protocol was frozen with.")
    return [*said, *_of_norms(table)]


def _mean_of(one: EndpointOfSites, pooled: Pooled) -> str:
    number = f"{pooled.estimate:.3f} ({pooled.lower:.3f} to {pooled.upper:.3f})"
    text = f"Over {counted(pooled.analysis.sites, 'site')}, the mean of the primary endpoint is {number}"
    rule, limit = one.endpoint.rule.replace(" ", "_"), one.endpoint.limit
    if limit is None or rule not in ("at_least", "at_most"):
        return f"{text}."
    up = rule == "at_least"
    sure, against = (
        (pooled.lower >= limit, pooled.upper < limit) if up else (pooled.upper <= limit, pooled.lower > limit)
    )
    word = rule.replace("_", " ")
    if sure:
        return f"{text}: the whole interval is {word} {limit:g}, as the protocol asks. That is a mean, not every site."
    if against:
        return f"{text}: no part of the interval is {word} {limit:g}, as the protocol asks."
    return f"{text}: the interval holds values on both sides of {limit:g}, so the mean decides nothing."


def _spread_of(one: EndpointOfSites, pooled: Pooled) -> str:
    found, sites = pooled.analysis, pooled.analysis.sites
    share = f"I² is {100 * found.i2:.0f} % ({100 * found.i2_lower:.0f} to {100 * found.i2_upper:.0f} %)"
    if sites < FEW:
        text = f"With {counted(sites, 'site')} it is hardly known how far sites differ: {share}."
    elif found.p_value < _LEVEL:
        text = f"Sites differ by more than chance explains (p {_p(found.p_value)}): {share}."
    else:
        text = f"There is no sign that sites differ by more than chance (p {_p(found.p_value)}): {share}."
    if sites < FEW and found.p_value < _LEVEL:
        text += f" That they differ at all is more than chance explains (p {_p(found.p_value)})."
    if pooled.prediction is None:
        return f"{text} Two sites allow no prediction for another one."
    low, high = pooled.prediction
    return f"{text} At one more site like these, the true value is expected between {low:.3f} and {high:.3f}."


def _of_norms(table: pd.DataFrame) -> list[str]:
    said = []
    change = table[(table["measure"] == "change") | (table["shift"] == CLEAN)]
    for (norm, reference), group in change.groupby(["norm", "reference"], sort=True):
        pair = f"{norm_label(str(norm))} against {norm_label(str(reference))}"
        whole = group[group["shift"] == ALL_SHIFTS]
        for row in whole.to_dict("records"):
            where = f"{pair} ({row['reconstruction']}, {row['classifier']})"
            number = f"{row['difference']:+.3f} ({row['lower']:+.3f} to {row['upper']:+.3f})"
            sure = row["lower"] > 0 or row["upper"] < 0
            meaning = (
                ("less" if row["difference"] > 0 else "more") + " AUROC is lost under shift"
                if sure
                else "which loses less under shift is open"
            )
            said.append(f"{where}: {meaning}, difference over sites {number}.")
        single = group[~group["shift"].isin([CLEAN, ALL_SHIFTS])]
        found = single[single["p_holm"] < _LEVEL]
        if len(found):
            names = joined(shift_name(str(name)) for name in dict.fromkeys(found["shift"]))
            said.append(f"{pair}: how much it helps differs between sites under {names}, after correction.")
        elif len(single):
            said.append(
                f"{pair}: no artifact shows a difference between sites beyond chance after correction. With "
                f"{counted(int(single['sites'].max()), 'site')}, that is no evidence that there is none."
            )
    return said


def _interval(row: pd.Series) -> str:
    if math.isnan(row["lower"]):
        return f"{row['estimate']:.3f}"
    return f"{row['estimate']:.3f} ({row['lower']:.3f} to {row['upper']:.3f})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
