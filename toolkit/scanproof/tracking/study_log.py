"""A finished study as MLflow runs: one a site, and nested in it one a chain."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import ALL_SITES
from scanproof.tracking.client import connect
from scanproof.tracking.differences import chain_differences, chain_tags, difference_points, worst_shift
from scanproof.tracking.experiment import prepare
from scanproof.tracking.logged import data_inputs, log_frame
from scanproof.tracking.metrics import (
    SiteSummary,
    chain_rows,
    chains_in,
    curve_points,
    part,
    site_rows,
    summarise_site,
    summary_points,
)
from scanproof.tracking.model import TrackedStudy, TrainingRecord
from scanproof.tracking.notes import chain_note, claim_tags, claims_of, site_note
from scanproof.tracking.params import flatten
from scanproof.tracking.runs import KIND, discard, find_runs, log_params, log_points, open_run
from scanproof.tracking.training import log_records
from scanproof.tracking.views import study_views

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_study(tracked: TrackedStudy, *, uri: str, artifact_root: Path | None = None) -> dict[str, str]:
    """Log a study: its trainings, one run a site with tables, figures and report, and one nested run a chain.

    A site that is already logged with the same study and results hashes is left as it is. What an earlier call left
    unfinished is marked as failed, deleted with its nested runs and logged anew; two programs should therefore not
    log the same results at the same time. If logging breaks, the open runs are marked as failed.

    ======================== ============================================================================
    run                      holds
    ======================== ============================================================================
    site                     tags with all hashes, the best chain, the worst shift, the best and the worst norm and
                             the verdicts of claims, the definition as parameters, the metrics of
                             :func:`~scanproof.tracking.metrics.summarise_site`, data sets, tables, figures,
                             report and lock file
    all sites                the same for the mean over sites, if there are several
    chain, in either         curves (:func:`~scanproof.tracking.metrics.curve_points`), summaries
                             (:func:`~scanproof.tracking.metrics.summary_points`) and the difference to batch norm
                             (:func:`~scanproof.tracking.differences.difference_points`)
    ======================== ============================================================================

    The experiment gets the views of :func:`~scanproof.tracking.views.study_views`.

    Args:
        tracked: the study.
        uri: tracking URI.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        Site to id of its run; the mean over sites has the key ``"all"``.

    Raises:
        ScanproofError: the database or server cannot be used, or refuses a run.
    """
    experiment_id = prepare(uri, experiment=tracked.study, artifact_root=artifact_root)
    with connect(uri) as client:
        client.set_experiment_tag(experiment_id, "mlflow.note.content", tracked.description)
        runs_of_keys = log_records(client, experiment_id, tracked.training)
        trainings = {runs_of_keys[record.key]: record for record in tracked.training}
        _set_views(client, experiment_id, tracked)
        identity = {"study_sha256": tracked.study_sha256, "results_sha256": tracked.results_sha256}
        if tracked.protocol_sha256 is not None:
            identity["protocol_sha256"] = tracked.protocol_sha256
        logged: dict[str, str] = {}
        for site in tracked.sites:
            runs = find_runs(client, experiment_id, {KIND: _kind(site), "site": site, **identity})
            finished = [run for run in runs if run.info.status == "FINISHED"]
            if finished:
                logged[site] = finished[0].info.run_id
            else:
                discard(client, runs)
        if len(logged) < len(tracked.sites):
            with _rendered(tracked) as folder:
                # MLflow shows the newest runs first: the mean over sites, then the sites in alphabetical order
                for site in sorted(tracked.sites, key=lambda name: (name != ALL_SITES, name), reverse=True):
                    if site not in logged:
                        logged[site] = _log_site(client, experiment_id, tracked, site, identity, folder, trainings)
    return {site: logged[site] for site in tracked.sites}


def _log_site(
    client: MlflowClient,
    experiment_id: str,
    tracked: TrackedStudy,
    site: str,
    identity: dict[str, str],
    folder: Path,
    trainings: Mapping[str, TrainingRecord],
) -> str:
    """Log the run of a site and those nested in it; return its id."""
    rows = site_rows(tracked.results, site)
    chains = {chain: chain_rows(rows, chain) for chain in chains_in(rows)}
    if not chains:
        raise ScanproofError("results must hold rows about the whole site", key="site", value=site)
    differences = {chain: chain_differences(tracked.comparisons, site, chain) for chain in chains}
    points = {
        chain: [*summary_points(found), *difference_points(differences[chain])] for chain, found in chains.items()
    }
    summary = summarise_site(rows, points)
    several = len({chain.acceleration for chain in chains}) > 1
    labels = {chain: chain.label(with_acceleration=several) for chain in summary.ranking}
    claims = claims_of(tracked.claims, site, alone=len(tracked.sites) == 1)
    common = {"site": site, **identity, "code_version": tracked.code_version}
    tags = common | _provenance(tracked, site) | {KIND: _kind(site), "best_chain": labels[summary.ranking[0]]}
    tags |= _findings(rows, summary) | claim_tags(claims)
    tags["mlflow.note.content"] = site_note(
        {labels[chain]: points[chain] for chain in summary.ranking}, claims, kspace=tracked.kspace
    )
    name = "all sites" if site == ALL_SITES else site
    with open_run(client, experiment_id, name=name, tags=tags) as parent:
        log_params(client, parent, flatten(tracked.definition))
        log_points(client, parent, summary.points)
        _log_data(client, parent, tracked, site)
        client.log_artifacts(parent, str(folder))
        _log_tables(client, parent, tracked, site)
        # MLflow shows the newest runs first and draws only the first ten, so the sturdiest chain comes last
        for chain in reversed(summary.ranking):
            kind = "chain" if chain.classifier else "reconstruction"
            nested = common | chain.facts() | {KIND: kind} | chain_tags(chains[chain], differences[chain])
            nested["mlflow.note.content"] = chain_note(
                chain, points[chain], trainings=trainings, experiment_id=experiment_id, kspace=tracked.kspace
            )
            with open_run(client, experiment_id, name=labels[chain], tags=nested, parent=parent) as run_id:
                log_params(client, run_id, {"site": site, **chain.facts()})
                log_points(client, run_id, [*points[chain], *curve_points(chains[chain])])
    return parent


def _set_views(client: MlflowClient, experiment_id: str, tracked: TrackedStudy) -> None:
    """What the lists of runs show; views that readers made themselves stay."""
    place = ALL_SITES if ALL_SITES in tracked.sites else tracked.sites[0]
    start = int(time.time() * 1000)
    read = bool(tracked.results["classifier"].notna().any())
    for number, view in enumerate(study_views(place, read=read)):
        client.set_experiment_tag(experiment_id, view.tag, view.state(created=start + number))


def _findings(rows: pd.DataFrame, summary: SiteSummary) -> dict[str, str]:
    """What to filter the runs of sites by: the shift that costs the chains most, and the norms at both ends."""
    tags = {}
    worst = worst_shift(rows)
    if worst is not None:
        tags["worst_shift"] = worst
    values = {point.key: point.value for point in summary.points}
    norms = {chain.norm for chain in summary.ranking if chain.norm is not None}
    found = {norm: values[f"auroc_shifted.{part(norm)}"] for norm in norms if f"auroc_shifted.{part(norm)}" in values}
    if len(found) > 1:
        tags |= {"best_norm": max(found, key=found.__getitem__), "worst_norm": min(found, key=found.__getitem__)}
    return tags


def _kind(site: str) -> str:
    return "all-sites" if site == ALL_SITES else "site"


def _provenance(tracked: TrackedStudy, site: str) -> dict[str, str]:
    facts = {
        "protocol": tracked.protocol,
        "protocol_sha256": tracked.protocol_sha256,
        "data_sha256": tracked.data_sha256.get(site),
        "kspace": tracked.kspace,
    }
    return {**tracked.tags, **{key: value for key, value in facts.items() if value is not None}}


@contextmanager
def _rendered(tracked: TrackedStudy) -> Iterator[Path]:
    """A folder with the artifacts that all sites share, so that each figure is drawn once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "report.html").write_bytes(tracked.report.read_bytes())
        (folder / "study.lock.yaml").write_bytes(tracked.lock_file.read_bytes())
        if tracked.claims is not None:
            tracked.claims.to_csv(folder / "claims.csv", index=False)
        for title, figure in tracked.figures.items():
            (folder / "figures").mkdir(exist_ok=True)
            figure.savefig(folder / "figures" / f"{title}.png", dpi=150, bbox_inches="tight")
        yield folder


def _log_tables(client: MlflowClient, run_id: str, tracked: TrackedStudy, site: str) -> None:
    results = tracked.results
    tables = {
        "summary": results[results["severity"].isna()],
        "results": results,
        "predictions": tracked.predictions,
        "comparisons": tracked.comparisons,
        "layers": tracked.layers,
        "claims": claims_of(tracked.claims, site, alone=len(tracked.sites) == 1),
    }
    for name, table in tables.items():
        rows = table[table["site"] == site] if len(table) and name != "claims" else table
        log_frame(client, run_id, name, rows)


def _log_data(client: MlflowClient, run_id: str, tracked: TrackedStudy, site: str) -> None:
    cohort = tracked.cohorts.get(site)
    if cohort is None or cohort.empty:
        return
    client.log_inputs(run_id, datasets=data_inputs(site, cohort, digest=tracked.data_sha256[site]))
