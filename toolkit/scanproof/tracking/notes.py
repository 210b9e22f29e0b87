"""What the pages of runs say in words: Markdown that MLflow shows as their description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd

from scanproof.evaluation.table import ALL_SITES, REFERENCE_NORM
from scanproof.tracking.metrics import Chain, Point
from scanproof.tracking.model import TrainingRecord

#: metrics of the table of chains, with their heads
_COLUMNS = {
    "auroc_clean": "AUROC, no shift",
    "auroc_shifted": "under shift",
    "auroc_drop": "lost",
    "mce": "corruption error",
    "change_to_batch": "lost less than batch norm",
    "ssim_clean": "SSIM, no shift",
    "ssim_shifted": "under shift",
}
_INTERVALS = ("auroc_shifted", "change_to_batch")
#: the sentence at the end of every note, by where the k-space comes from
_WARNINGS = {
    "synthetic": "Simulated, not scanner-acquired; not for clinical use.",
    "measured": "Shifts are simulated on scanner-acquired k-space; not for clinical use.",
}


def site_note(
    chains: Mapping[str, Sequence[Point]],
    claims: pd.DataFrame,
    *,
    kspace: Literal["synthetic", "measured"] = "synthetic",
) -> str:
    """What the page of a site's run says about it.

    Args:
        chains: label of each chain, the best first, to its points.
        claims: those about this site, as they were judged; may be empty.
        kspace: where the k-space comes from.
    """
    best, values = next((label, _values(points)) for label, points in chains.items())
    scores = {"auroc_shifted": "mean AUROC under shift", "ssim_shifted": "mean SSIM under shift"}
    key = next((key for key in scores if key in values), "")
    first = f"Best chain by the {scores[key]}: **{best}**, {_cell(values, key)}" if key else f"Best chain: **{best}**"
    parts = [f"{first}."]
    if len(claims):
        parts.append("\n".join(f"- **{found}**: {text}" for text, found in zip(*_words(claims), strict=True)))
    parts += [
        _table(chains),
        "Each run nested in this one holds a chain. Its metrics named `<shift>/<metric>` are degradation curves: the "
        "step is the severity, and step 0 is the clean condition. To compare chains, open the chart view of the runs, "
        "unfold this one and search for a curve, such as `ghosting/auroc$`. `report.html` and the tables are among the "
        "artifacts; the views of the experiment list chains, sites and trained networks.",
        _WARNINGS[kspace],
    ]
    return "\n\n".join(parts)


def chain_note(
    chain: Chain,
    points: Sequence[Point],
    *,
    trainings: Mapping[str, TrainingRecord],
    experiment_id: str,
    kspace: Literal["synthetic", "measured"] = "synthetic",
) -> str:
    """What the page of a chain's run says: its numbers, and which trainings are behind it.

    Args:
        chain: the chain.
        points: of its run.
        trainings: run of each training of the study.
        experiment_id: of the experiment, for links.
        kspace: where the k-space comes from.
    """
    parts = [_table({"this chain": points})]
    behind = {run: record for run, record in trainings.items() if is_behind(record, chain)}
    if behind:
        links = [f"- [{record.name}](#/experiments/{experiment_id}/runs/{run})" for run, record in behind.items()]
        parts.append("Trained networks:\n\n" + "\n".join(links))
    return "\n\n".join([*parts, _WARNINGS[kspace]])


def is_behind(record: TrainingRecord, chain: Chain) -> bool:
    """Whether a chain uses what a training gave.

    What is done to save batch normalization at a site starts from its own training where it has one, else from that of
    batch normalization.

    Example:
        >>> history = pd.DataFrame({"epoch": [1]})
        >>> record = TrainingRecord(key="a", name="n", kind="classifier", params={"classifier": "r", "norm": "batch"},
        ...     history=history, model_sha256="f0")
        >>> [is_behind(record, Chain("unet", 4.0, "r", norm)) for norm in ("batch", "batch_site", "group")]
        [True, True, False]
    """
    params = record.params
    if record.kind == "reconstruction":
        made = {str(params.get("method")), record.name}
        return chain.reconstruction in made and params.get("acceleration", chain.acceleration) == chain.acceleration
    norms = {chain.norm, REFERENCE_NORM} if (chain.norm or "").startswith(f"{REFERENCE_NORM}_") else {chain.norm}
    return params.get("classifier") == chain.classifier and params.get("norm") in norms


def claims_of(claims: pd.DataFrame | None, site: str, *, alone: bool) -> pd.DataFrame:
    """Claims about a site; those about the mean over sites belong to the only site there is."""
    if claims is None:
        return pd.DataFrame()
    return claims[claims["site"].isin([site, ALL_SITES] if alone else [site])]


def claim_tags(claims: pd.DataFrame) -> dict[str, str]:
    """Verdicts as tags: ``claims``, how many there are of each, and ``claim.1`` and so on.

    Example:
        >>> claims = pd.DataFrame({"text": ["It holds.", "It does not."], "verdict": ["agree", "undecided"]})
        >>> claim_tags(claims)
        {'claims': '1 agree, 1 undecided', 'claim.1': 'agree: It holds.', 'claim.2': 'undecided: It does not.'}
    """
    if claims.empty:
        return {}
    counts = claims["verdict"].value_counts().sort_index()
    tags = {"claims": ", ".join(f"{count} {verdict}" for verdict, count in counts.items())}
    texts = zip(*_words(claims), strict=True)
    return tags | {f"claim.{number}": f"{found}: {text}" for number, (text, found) in enumerate(texts, start=1)}


def _words(claims: pd.DataFrame) -> tuple[list[str], list[str]]:
    return claims["text"].astype(str).tolist(), claims["verdict"].astype(str).tolist()


def _values(points: Sequence[Point]) -> dict[str, float]:
    return {point.key: point.value for point in points if point.step == 0}


def _table(chains: Mapping[str, Sequence[Point]]) -> str:
    values = {label: _values(points) for label, points in chains.items()}
    shown = [key for key in _COLUMNS if any(key in own for own in values.values())]
    lines = [["chain", *(_COLUMNS[key] for key in shown)], ["---"] * (1 + len(shown))]
    lines += [[label, *(_cell(own, key) for key in shown)] for label, own in values.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(values: Mapping[str, float], key: str) -> str:
    if key not in values:
        return "–"
    if key not in _INTERVALS or f"{key}_lower" not in values or f"{key}_upper" not in values:
        return f"{values[key]:.3f}"
    return f"{values[key]:.3f} ({values[f'{key}_lower']:.3f} to {values[f'{key}_upper']:.3f})"
