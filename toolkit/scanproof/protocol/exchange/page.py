"""The comparison of sites as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from scanproof.evaluation.table import ALL_SHIFTS, CLEAN
from scanproof.protocol.exchange.compare import CONTRAST, EndpointOfSites
from scanproof.protocol.exchange.findings import FEW, findings, headline
from scanproof.protocol.exchange.forest import endpoint_figure, interaction_figure
from scanproof.protocol.exchange.intake import SiteExport
from scanproof.reporting.embedding import content_policy, page_environment, resource
from scanproof.reporting.notes import KSPACE, NOT_CLINICAL
from scanproof.reporting.sections.vector import Drawing, drawing
from scanproof.reporting.vocabulary import metric, norm_label, plain, shift_name

_PACKAGE = "scanproof.protocol.exchange"
_TITLES = (
    ("finding", "Finding"),
    ("verdicts", "Verdicts"),
    ("endpoints", "Endpoints over the sites"),
    ("norms", "Site × norm"),
    ("data", "What the sites tested"),
    ("limits", "Limits"),
    ("provenance", "Provenance"),
)


class EndpointView(NamedTuple):
    """An endpoint in the page: its plot and its numbers."""

    found: EndpointOfSites
    picture: Drawing
    numbers: list[tuple[str, str]]


class PairView(NamedTuple):
    """A pair of norms in the page: small plots and a table of the artifacts."""

    title: str
    picture: Drawing
    rows: list[dict[str, str]]


def render(
    sites: Sequence[SiteExport],
    endpoints: Sequence[EndpointOfSites],
    contrasts: pd.DataFrame,
    table: pd.DataFrame,
    *,
    command: str,
) -> str:
    """The page; the same imports give the same text.

    Args:
        sites: that were compared, at least one.
        endpoints: of :func:`~scanproof.protocol.exchange.compare.compare_endpoints`.
        contrasts: of :func:`~scanproof.protocol.exchange.compare.contrasts_of`.
        table: of :func:`~scanproof.protocol.exchange.compare.interactions`.
        command: that made the page.
    """
    pairs = _pairs(contrasts, table)
    titles = [one for one in _TITLES if one[0] != "norms" or pairs]
    first = sites[0].validation
    return (
        page_environment(_PACKAGE, filters={"plain": plain, "count": _count})
        .get_template("compare.html.j2")
        .render(
            protocol=first,
            sites=sites,
            warning=NOT_CLINICAL,
            headline=headline(sites),
            findings=findings(sites, endpoints, table),
            endpoints=[_endpoint_view(one) for one in endpoints],
            pairs=pairs,
            limits=_limits(sites),
            sections=titles,
            title=dict(titles),
            command=command,
            style=resource("report.css") + resource("compare.css", _PACKAGE),
            policy=content_policy([]),
        )
    )


def _endpoint_view(one: EndpointOfSites) -> EndpointView:
    name = metric(one.endpoint.metric).label
    words = f"{name} at {len(one.table)} sites with intervals"
    numbers: list[tuple[str, str]] = []
    if one.pooled:
        found, tau = one.pooled.analysis, one.pooled.analysis.tau2**0.5
        words += f", and their mean {one.pooled.estimate:.3f}, {one.pooled.lower:.3f} to {one.pooled.upper:.3f}"
        scale = " (on the logit scale)" if one.scale == "logit" else ""
        numbers = [
            ("Between sites, τ" + scale, f"{tau:.3f} ({found.tau2_lower**0.5:.3f} to {found.tau2_upper**0.5:.3f})"),
            ("I²", f"{100 * found.i2:.0f} % ({100 * found.i2_lower:.0f} to {100 * found.i2_upper:.0f} %)"),
            ("Test of heterogeneity", f"Q = {found.q:.2f}, {found.sites - 1} df, p = {found.p_value:.3f}"),
        ]
        if found.sites < FEW:
            numbers.append(("Mind", f"{found.sites} sites tell next to nothing of how far sites differ."))
    return EndpointView(one, drawing(endpoint_figure(one), words + "."), numbers)


def _pairs(contrasts: pd.DataFrame, table: pd.DataFrame) -> list[PairView]:
    views = []
    keys = [name for name in CONTRAST if name not in ("shift", "measure")]
    for key, group in contrasts.groupby(keys, sort=True, dropna=False):
        names = dict(zip(keys, key, strict=True))
        # what shift costs; without any artifact there is no cost, but a difference
        shown = group[(group["measure"] == "change") | (group["shift"] == CLEAN)]
        asked = (table["measure"] == "change") | (table["shift"] == CLEAN)
        for name, value in names.items():
            asked &= table[name] == value
        norm, reference = norm_label(str(names["norm"])), norm_label(str(names["reference"]))
        behind = f"{plain(str(names['reconstruction']))} read by {plain(str(names['classifier']))}"
        words = f"Difference of {norm} to {reference} at each site under each artifact."
        views.append(
            PairView(
                f"{norm} against {reference}: {behind}",
                drawing(interaction_figure(shown), words),
                [_shift_row(row) for row in table[asked].to_dict("records")],
            )
        )
    return views


def _shift_row(row: Mapping[Hashable, Any]) -> dict[str, str]:
    shift = str(row["shift"])
    titles = {ALL_SHIFTS: "all artifacts", CLEAN: "no artifact"}
    corrected = row["p_holm"]
    return {
        "shift": titles.get(shift) or shift_name(shift),
        "sites": f"{row['sites']}",
        "difference": f"{row['difference']:+.3f}",
        "interval": f"{row['lower']:+.3f} to {row['upper']:+.3f}",
        "tau": f"{row['tau']:.3f}",
        "tau_interval": f"{row['tau_lower']:.3f} to {row['tau_upper']:.3f}",
        "p": f"{row['p_interaction']:.3f}",
        "p_holm": "–" if corrected != corrected else f"{corrected:.3f}",
    }


def _limits(sites: Sequence[SiteExport]) -> list[str]:
    kinds = dict.fromkeys(site.validation.data.kspace for site in sites)
    threshold = max(site.contents.small_cell for site in sites)
    said = [KSPACE[kind] for kind in kinds]
    if len(kinds) > 1:
        said.append("Sites with measured and with synthetic k-space stand side by side; they test different things.")
    said += [
        "Sites sent numbers, not cases: what happened to single patients cannot be looked up here.",
        f"Counts of fewer than {threshold} people, and numbers that would give them away, are withheld.",
        "Sites took part because they chose to; they are no random sample of hospitals, which is what a mean over "
        "random effects takes them for.",
        "Standard errors come from bootstrap intervals over subjects; those of few subjects are rough.",
        "Secondary endpoints and artifacts are many: some intervals miss the truth.",
    ]
    return said


def _count(value: object) -> str:
    """A count, or that it is withheld; a missing one of a table is no number, so it equals nothing."""
    return "withheld" if value is None or value is pd.NA else str(value)
