"""The text of a report: everything a study found, put into the page's template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from scanproof.errors import ScanproofError
from scanproof.reporting.claims import claim_rows
from scanproof.reporting.curves import extract_curves
from scanproof.reporting.embedding import content_policy, page_environment, resource, script_text
from scanproof.reporting.headline import headline
from scanproof.reporting.intervals import interval_chart
from scanproof.reporting.model import SPLITS, ImagePanel, Provenance
from scanproof.reporting.notes import WARNINGS, glossary, limits, scope
from scanproof.reporting.pictures import error_scale, error_window, gallery
from scanproof.reporting.plots import image_group, reading_group
from scanproof.reporting.ranking import has_readings, rank_chains, worst_loss
from scanproof.reporting.sections.checklist import GUIDELINES, checklist
from scanproof.reporting.sections.heatmap import colour
from scanproof.reporting.sections.layers import MEASURES
from scanproof.reporting.sections.parts import gather, p_words
from scanproof.reporting.style import WIDTH
from scanproof.reporting.tables import flow_rows, flow_splits, operating_rows, ranking_rows
from scanproof.reporting.verdict import VerdictPanel
from scanproof.reporting.vocabulary import (
    image_label,
    metric,
    norm_label,
    ordered,
    plain,
    reader_label,
    shift_name,
    signed,
    site_name,
)

if TYPE_CHECKING:
    from jinja2 import Environment


#: identifier and title of every section, in the order of the page
TITLES = {
    "verdict": "Verdict",
    "finding": "Finding",
    "claims": "Claims",
    "tested": "What was tested, on whom",
    "ranking": "Ranking",
    "norms": "Normalizations compared",
    "curves": "Classification under shift",
    "quality": "Image quality under shift",
    "calibration": "Calibration",
    "images": "Images",
    "operating": "Operating point",
    "misread": "Cases that shift misleads",
    "layers": "What happens inside",
    "numbers": "All numbers",
    "limits": "Limits",
    "glossary": "How to read this",
    "checklist": "Reporting checklists",
    "provenance": "Provenance",
}


def render(
    *,
    results: pd.DataFrame,
    predictions: pd.DataFrame,
    provenance: Provenance,
    panels: Sequence[ImagePanel] = (),
    claims: pd.DataFrame | None = None,
    comparisons: pd.DataFrame | None = None,
    layers: pd.DataFrame | None = None,
    failures: Sequence[ImagePanel] = (),
    verdict: VerdictPanel | None = None,
) -> str:
    """The report as text; the same input gives the same text.

    Args:
        results: results table, already validated.
        predictions: per-case probabilities, already validated.
        provenance: where the numbers come from.
        panels: image examples.
        claims: what the results say of the study's claims.
        comparisons: of normalizations.
        layers: drift of the networks' layers.
        failures: image examples of cases that shift misleads.
        verdict: of the protocol that the study follows.
    """
    from plotly.offline import get_plotlyjs

    curves, reads = extract_curves(results), has_readings(results)
    ranking = rank_chains(results, curves)
    best, order = ranking.chains[0].chain, [site.name for site in provenance.sites]
    ranked, flow = ranking_rows(ranking), flow_rows(predictions, provenance.sites)
    candidates = (make(curves, best=best, sites=order) for make in (reading_group, image_group))
    groups = [group for group in candidates if group]
    operating = _by_best(operating_rows(curves, order), best)
    shown, failed = (list(some) if provenance.show_images else [] for some in (panels, failures))
    parts = gather(
        results,
        predictions,
        curves,
        ranking,
        comparisons=comparisons,
        layers=layers,
        level=provenance.level,
        sensitivity=provenance.sensitivity,
    )
    sections = _sections(
        verdict=verdict is not None,
        claims=claims is not None and len(claims) > 0,
        norms=parts.compares,
        curves=any(group.name == "reading" for group in groups),
        quality=any(group.name == "image" for group in groups),
        calibration=parts.shows("calibrations"),
        images=bool(shown),
        operating=any(operating.values()),
        misread=bool(parts.misread),
        layers=parts.shows("drifts"),
    )
    trainings = int(results["seed"].nunique())
    scripts = [script_text(get_plotlyjs()), script_text(resource("report.js"))]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            provenance=provenance,
            warning=WARNINGS[provenance.kspace],
            headline=headline(
                ranking,
                worst_loss(curves, best, ranking.metric),
                level=provenance.level,
                trainings=trainings,
            ),
            verdict=verdict,
            claims=[] if claims is None else claim_rows(claims),
            reads=reads,
            scope=scope(results, curves, provenance),
            sites=provenance.sites,
            acquisition=list(dict.fromkeys(key for site in provenance.sites for key in site.acquisition)),
            flow=flow,
            splits={split: SPLITS.get(split, split) for split in flow_splits(flow)},
            ranking=ranking,
            ranked=ranked,
            measure=metric(ranking.metric),
            chart=interval_chart(ranked),
            groups={group.name: group for group in groups},
            payload={group.name: group.payload for group in groups},
            operating=operating,
            parts=parts,
            best=best,
            measures=MEASURES,
            failures=gallery(failed),
            sections=sections,
            asked=checklist(dict(sections)),
            guidelines=GUIDELINES,
            panels=gallery(shown),
            error_top=error_window(shown),
            error_scale=error_scale(),
            limits=limits(
                provenance,
                flow,
                reads=reads,
                ranked=len(ranked),
                intervals=any(row.shifted is not None and row.shifted.has_interval for row in ranked),
                trainings=trainings,
            ),
            glossary=glossary(
                ordered({key.metric for key in curves} | {*parts.summaries[0]}), level=provenance.level, reads=reads
            ),
            definition=_as_yaml(provenance.definition),
            style=resource("report.css"),
            scripts=scripts,
            policy=content_policy(scripts),
            line_width=WIDTH,
        )
    )


def _sections(**there: bool) -> list[tuple[str, str]]:
    """Identifier and title of the sections that a report has, in their order; those not named are always there."""
    return [(name, title) for name, title in TITLES.items() if there.get(name, True)]


def _by_best(rows: Sequence[object], best: object) -> dict[str, list[object]]:
    """Rows of the best chain, which are shown, and the others, which are folded away."""
    parts: dict[str, list[object]] = {"best": [], "others": []}
    for row in rows:
        parts["best" if getattr(row, "chain", None) == best else "others"].append(row)
    return parts


def _environment() -> Environment:
    filters: dict[str, Callable[..., object]] = {
        "plain": plain,
        "site": site_name,
        "shift": shift_name,
        "short": _short,
        "image": image_label,
        "reader": reader_label,
        "metric": metric,
        "norm": norm_label,
        "heat": colour,
        "p": p_words,
        "signed": lambda value: signed(value, 3),
    }
    return page_environment(filters=filters, last_newline=True)


def _short(value: str | float) -> str:
    """A value as a person would write it: no digits that only binary fractions have."""
    return value if isinstance(value, str) else f"{value:.6g}"


def _as_yaml(definition: Mapping[str, object]) -> str:
    try:
        return yaml.safe_dump(json.loads(json.dumps(dict(definition))), sort_keys=False, allow_unicode=True, width=100)
    except TypeError as error:
        raise ScanproofError(f"definition must hold plain YAML types: {error}", key="definition") from error
