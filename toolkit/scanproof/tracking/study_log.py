"""A finished study as MLflow runs: one a site, and nested in it one a chain."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import ALL_SITES
from scanproof.tracking.client import connect, quiet
from scanproof.tracking.experiment import prepare
from scanproof.tracking.metrics import (
    Point,
    chain_rows,
    chains_in,
    curve_points,
    site_rows,
    summarise_site,
    summary_points,
)
from scanproof.tracking.model import TrackedStudy
from scanproof.tracking.params import flatten
from scanproof.tracking.runs import KIND, discard, find_runs, log_params, log_points, open_run
from scanproof.tracking.training import log_records

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

_CONTEXTS = {"train": "training", "val": "validation", "test": "testing"}
_DIGEST = 12  # characters that a list of runs has room for; MLflow takes up to 36


def log_study(tracked: TrackedStudy, *, uri: str, artifact_root: Path | None = None) -> dict[str, str]:
    """Log a study: its trainings, one run a site with tables, figures and report, and one nested run a chain.

    A site that is already logged with the same study and results hashes is left as it is. What an earlier call left
    unfinished is marked as failed, deleted with its nested runs and logged anew; two programs should therefore not
    log the same results at the same time. If logging breaks, the open runs are marked as failed.

    ======================== ============================================================================
    run                      holds
    ======================== ============================================================================
    site                     tags with all hashes, the definition as parameters, the metrics of
                             :func:`~scanproof.tracking.metrics.summarise_site`, data sets, tables, figures,
                             report and lock file
    all sites                the same for the mean over sites, if there are several
    chain, in either         curves (:func:`~scanproof.tracking.metrics.curve_points`) and summaries
                             (:func:`~scanproof.tracking.metrics.summary_points`)
    ======================== ============================================================================

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
        log_records(client, experiment_id, tracked.training)
        identity = {"study_sha256": tracked.study_sha256, "results_sha256": tracked.results_sha256}
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
                        logged[site] = _log_site(client, experiment_id, tracked, site, identity, folder)
    return {site: logged[site] for site in tracked.sites}


def _log_site(
    client: MlflowClient, experiment_id: str, tracked: TrackedStudy, site: str, identity: dict[str, str], folder: Path
) -> str:
    """Log the run of a site and those nested in it; return its id."""
    rows = site_rows(tracked.results, site)
    chains = {chain: chain_rows(rows, chain) for chain in chains_in(rows)}
    if not chains:
        raise ScanproofError("results must hold rows about the whole site", key="site", value=site)
    summaries = {chain: summary_points(found) for chain, found in chains.items()}
    summary = summarise_site(rows, summaries)
    several = len({chain.acceleration for chain in chains}) > 1
    common = {"site": site, **identity, "code_version": tracked.code_version}
    tags = common | _provenance(tracked, site) | {KIND: _kind(site)}
    best = summary.ranking[0]
    tags["best_chain"] = best.label(with_acceleration=several)
    tags["mlflow.note.content"] = _note(tags["best_chain"], summaries[best])
    name = "all sites" if site == ALL_SITES else site
    with open_run(client, experiment_id, name=name, tags=tags) as parent:
        log_params(client, parent, flatten(tracked.definition))
        log_points(client, parent, summary.points)
        _log_data(client, parent, tracked, site)
        client.log_artifacts(parent, str(folder))
        _log_tables(client, parent, tracked, site)
        # MLflow shows the newest runs first and draws only the first ten, so the sturdiest chain comes last
        for chain in reversed(summary.ranking):
            label = chain.label(with_acceleration=several)
            kind = "chain" if chain.classifier else "reconstruction"
            nested = common | chain.facts() | {KIND: kind}
            with open_run(client, experiment_id, name=label, tags=nested, parent=parent) as run_id:
                log_params(client, run_id, {"site": site, **chain.facts()})
                log_points(client, run_id, [*summaries[chain], *curve_points(chains[chain])])
    return parent


def _kind(site: str) -> str:
    return "all-sites" if site == ALL_SITES else "site"


def _provenance(tracked: TrackedStudy, site: str) -> dict[str, str]:
    facts = {
        "protocol": tracked.protocol,
        "protocol_sha256": tracked.protocol_sha256,
        "data_sha256": tracked.data_sha256.get(site),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _note(best: str, points: Sequence[Point]) -> str:
    """What the page of a site's run says about it, given the best chain's label and summary."""
    values = {point.key: point.value for point in points}
    scores = {"auroc_shifted": "mean AUROC under shift", "ssim_shifted": "mean SSIM under shift"}
    key = next((key for key in scores if key in values), "")
    first = f"Best chain by the {scores[key]}: **{best}**, {values[key]:.3f}" if key else f"Best chain: **{best}**"
    if f"{key}_lower" in values and f"{key}_upper" in values:
        first += f" ({values[f'{key}_lower']:.3f} to {values[f'{key}_upper']:.3f})"
    return (
        f"{first}.\n\n"
        "Each run nested in this one holds a chain. Its metrics named `<shift>/<metric>` are degradation curves: the "
        "step is the severity, and step 0 is the clean condition. To compare chains, open the chart view of the runs, "
        "unfold this one and search for a curve, such as `ghosting/auroc$`. `report.html` is among the artifacts.\n\n"
        "Simulated, not scanner-acquired; not for clinical use."
    )


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
    for name, table in (("results", tracked.results), ("predictions", tracked.predictions)):
        rows = table[table["site"] == site]
        if rows.empty:
            continue
        with quiet():
            client.log_table(run_id, rows.reset_index(drop=True), f"{name}.json")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.parquet"
            rows.to_parquet(path, index=False)
            client.log_artifact(run_id, str(path))


def _log_data(client: MlflowClient, run_id: str, tracked: TrackedStudy, site: str) -> None:
    cohort = tracked.cohorts.get(site)
    if cohort is None or cohort.empty:
        return
    parts = dict(tuple(cohort.groupby("split"))) if "split" in cohort else {"test": cohort}
    inputs = [_data_input(tracked, site, str(split), rows) for split, rows in parts.items()]
    client.log_inputs(run_id, datasets=inputs)


def _data_input(tracked: TrackedStudy, site: str, split: str, rows: pd.DataFrame) -> DatasetInput:
    """The cases of one split as an MLflow data set: names of columns, number of rows and the hash of the data."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = tracked.data_sha256[site]
    source = CodeDatasetSource(tags={"mlflow.source.name": "scanproof", "data_sha256": digest})
    with quiet():
        found = from_pandas(rows.reset_index(drop=True), source=source, name=f"{site} {split}", digest=digest[:_DIGEST])
        entity = Dataset(**found.to_dict())
    return DatasetInput(entity, tags=[InputTag("mlflow.data.context", _CONTEXTS.get(split, split))])
