"""Comparing the sites of a protocol, from their imports to tables, page and MLflow run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scanproof.protocol.exchange.compare import (
    EndpointOfSites,
    compare_endpoints,
    contrasts_of,
    endpoint_table,
    interactions,
    pooled_table,
)
from scanproof.protocol.exchange.findings import findings, headline
from scanproof.protocol.exchange.intake import SiteExport, imported_sites
from scanproof.protocol.exchange.page import render
from scanproof.reporting.spreadsheet import spreadsheet_csv
from scanproof.study.store import write_atomically


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The sites of a protocol, compared.

    Args:
        sites: by name.
        endpoints: the primary first.
        interactions: site × norm.
        folder: where page and tables lie.
        files: the page, then the tables.
    """

    sites: list[SiteExport]
    endpoints: list[EndpointOfSites]
    interactions: pd.DataFrame
    folder: Path
    files: list[Path]

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.files[0]

    @property
    def sentences(self) -> list[str]:
        """What was found, the verdicts first."""
        return [headline(self.sites), *findings(self.sites, self.endpoints, self.interactions)]


def compare_sites(
    root: Path, protocol: str, *, output: Path | None = None, tracking_uri: str | None = None, command: str
) -> Comparison:
    """Compare what the sites of a protocol sent.

    Args:
        root: folder of the outputs.
        protocol: its name.
        output: folder of page and tables; default ``comparisons/PROTOCOL`` under the root.
        tracking_uri: MLflow; None for no tracking.
        command: the command line, for the page.

    Raises:
        ScanproofError: no imports, imports that were changed since, or a folder that cannot be written.
    """
    sites = imported_sites(root, protocol)
    folder = output or root / "comparisons" / protocol
    endpoints, contrasts = compare_endpoints(sites), contrasts_of(sites)
    confidence = endpoints[0].endpoint.confidence or 0.95
    table = interactions(contrasts, confidence=confidence)
    page = render(sites, endpoints, contrasts, table, command=command)
    contents = {
        "compare.html": page.encode(),
        "endpoints.csv": spreadsheet_csv(endpoint_table(endpoints)).encode(),
        "pooled.csv": spreadsheet_csv(pooled_table(endpoints)).encode(),
        "site_by_norm.csv": spreadsheet_csv(table).encode(),
        "norms_of_sites.csv": spreadsheet_csv(contrasts).encode(),
    }
    for name, data in contents.items():
        write_atomically(folder / name, data)
    files = [folder / name for name in contents]
    if tracking_uri is not None:
        from scanproof.protocol.exchange.log import log_comparison

        log_comparison(sites, endpoints, files, uri=tracking_uri, artifact_root=root / "artifacts")
    return Comparison(sites=sites, endpoints=endpoints, interactions=table, folder=folder, files=files)
