"""Imports and comparisons as MLflow runs: one a site, nested in it one a chain, in the experiment of the protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scanproof.protocol.exchange.compare import EndpointOfSites
from scanproof.protocol.exchange.intake import SiteExport
from scanproof.tracking.client import connect
from scanproof.tracking.differences import chain_differences, difference_points
from scanproof.tracking.experiment import prepare
from scanproof.tracking.metrics import Point, chain_rows, chains_in, curve_points, part, summarise_site, summary_points
from scanproof.tracking.runs import KIND, discard, find_runs, log_params, log_points, open_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: kinds of runs that this module writes
IMPORTED, COMPARISON = "imported-site", "comparison"
_DIGEST = "scanproof.export"


def log_import(export: SiteExport, *, uri: str, artifact_root: Path) -> str:
    """Log a site's results under a run of its own; a run of the same export is left as it is.

    Runs of the site's earlier exports are deleted, as its earlier imports are.

    Args:
        export: of a site.
        uri: tracking URI.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        Id of the site's run.

    Raises:
        ScanproofError: the database or server cannot be used, or refuses a run.
    """
    contents, validation = export.contents, export.validation
    experiment = prepare(uri, experiment=contents.protocol, artifact_root=artifact_root)
    with connect(uri) as client:
        runs = find_runs(client, experiment, {KIND: IMPORTED, "site": export.site})
        same = [run for run in runs if run.data.tags.get(_DIGEST) == contents.digest and run.info.status == "FINISHED"]
        discard(client, [run for run in runs if run not in same[:1]])
        if same:
            return str(same[0].info.run_id)
        common = {
            "site": export.site,
            "protocol": contents.protocol,
            "protocol_sha256": contents.protocol_sha256,
            "data_sha256": validation.data.data_sha256,
            "code_version": validation.code_version,
            _DIGEST: contents.digest,
        }
        tags = common | {
            KIND: IMPORTED,
            "verdict": validation.verdict,
            "other_code": str(validation.other_code).lower(),
        }
        with open_run(client, experiment, name=export.site, tags=tags) as parent:
            log_params(client, parent, _facts(export))
            _log_results(client, experiment, parent, export, common)
            for name in ("validation.json", "README.txt"):
                client.log_text(parent, export.files[name].decode(), name)
        return parent


def _facts(export: SiteExport) -> dict[str, str]:
    data = export.validation.data
    counts = {"subjects": data.subjects, "cases": data.cases}
    facts = {name: "withheld" if count is None else str(count) for name, count in counts.items()}
    return facts | {"data": data.kind, "kspace": data.kspace, "small_cell": str(export.contents.small_cell)}


def _log_results(
    client: MlflowClient, experiment: str, parent: str, export: SiteExport, common: dict[str, str]
) -> None:
    points = []
    for one in export.validation.endpoints:
        numbers = {"": one.estimate, "_lower": one.lower, "_upper": one.upper}
        points += [Point(f"endpoint/{part(one.name)}{end}", n) for end, n in numbers.items() if n is not None]
    rows = export.results.assign(seed=None)  # means over trainings
    chains = {chain: chain_rows(rows, chain) for chain in chains_in(rows)}
    found = {
        chain: [*summary_points(of), *difference_points(chain_differences(export.comparisons, export.site, chain))]
        for chain, of in chains.items()
    }
    if not chains:
        log_points(client, parent, points)
        return
    summary = summarise_site(rows, found)
    log_points(client, parent, [*points, *summary.points])
    several = len({chain.acceleration for chain in chains}) > 1
    for chain in reversed(summary.ranking):
        kind = "chain" if chain.classifier else "reconstruction"
        tags = common | chain.facts() | {KIND: kind}
        name = chain.label(with_acceleration=several)
        with open_run(client, experiment, name=name, tags=tags, parent=parent) as run:
            log_params(client, run, {"site": export.site, **chain.facts()})
            log_points(client, run, [*found[chain], *curve_points(chains[chain])])


def log_comparison(
    sites: Sequence[SiteExport],
    endpoints: Sequence[EndpointOfSites],
    files: Sequence[Path],
    *,
    uri: str,
    artifact_root: Path,
) -> str:
    """Log what the sites say together; an earlier comparison of the same exports is replaced.

    Args:
        sites: that were compared.
        endpoints: of :func:`~scanproof.protocol.exchange.compare.compare_endpoints`.
        files: page and tables.
        uri: tracking URI.
        artifact_root: see :func:`scanproof.tracking.experiment.prepare`.

    Returns:
        Id of the run.

    Raises:
        ScanproofError: the database or server cannot be used, or refuses a run.
    """
    first = sites[0].contents
    experiment = prepare(uri, experiment=first.protocol, artifact_root=artifact_root)
    tags = {
        KIND: COMPARISON,
        "protocol": first.protocol,
        "protocol_sha256": first.protocol_sha256,
        "sites": ", ".join(site.site for site in sites)[:4000],
    }
    points = []
    for one in endpoints:
        name = f"endpoint/{part(one.endpoint.name)}"
        if one.pooled:
            found = one.pooled
            numbers = {"": found.estimate, "_lower": found.lower, "_upper": found.upper}
            numbers |= {"_tau": math.sqrt(found.analysis.tau2), "_i2": found.analysis.i2}
            points += [Point(name + end, number) for end, number in numbers.items()]
        if one.worst is not None:
            points.append(Point(f"{name}_worst_site", float(one.worst["estimate"])))
    for verdict in ("pass", "fail", "not enough data"):
        count = sum(site.validation.verdict == verdict for site in sites)
        points.append(Point(f"sites_{part(verdict).replace(' ', '_')}", float(count)))
    with connect(uri) as client:
        discard(client, find_runs(client, experiment, tags))
        with open_run(client, experiment, name=f"comparison of {len(sites)} sites", tags=tags) as run:
            log_params(client, run, {f"export.{part(site.site)}": site.contents.digest for site in sites})
            log_points(client, run, points)
            for path in files:
                client.log_artifact(run, str(path))
        return run
