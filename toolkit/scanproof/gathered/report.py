"""The report of image quality of gathered cases: the same page as a study's, from means alone."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.evaluation.table import ALL_SITES, PREDICTION_COLUMNS, conform
from scanproof.gathered.quality import gathered_means
from scanproof.reporting.model import Provenance
from scanproof.reporting.report import write_report

#: more sites than a page can draw curves of; beyond, it shows their mean, and a table beside it has them all
DRAWN_SITES = 12


def report_gathered(folder: Path, target: Path, *, study: str, bootstrap: Bootstrap, command: str) -> list[Path]:
    """Write the report of a gathered study, and its means beside it as a table.

    Args:
        folder: of :func:`~scanproof.gathered.folder.gather`.
        target: folder to write into.
        study: whose cases are taken.
        bootstrap: how intervals are made.
        command: the command line, for the page.

    Returns:
        ``report.html`` and ``means.parquet``.

    Raises:
        ScanproofError: as :func:`~scanproof.gathered.quality.gathered_means`; no lock file tells of the study.
    """
    lock = _lock(folder, study)
    means = gathered_means(folder, study=study, bootstrap=bootstrap)
    sites = sorted(set(means["site"]) - {ALL_SITES})
    cases = int(means.loc[means["site"] == ALL_SITES, "n"].max())
    target.mkdir(parents=True, exist_ok=True)
    table = target / "means.parquet"
    means.to_parquet(table, index=False)
    kind = lock["definition"]["data"]["kind"]
    shown = means if len(sites) <= DRAWN_SITES else means[means["site"] == ALL_SITES].reset_index(drop=True)
    provenance = Provenance(
        study=study,
        description=lock["definition"].get("description", ""),
        definition=lock["definition"],
        study_sha256=lock["study_sha256"],
        results_sha256=hashlib.sha256(table.read_bytes()).hexdigest(),
        code_version=lock["code_version"],
        versions=lock["versions"],
        command=command,
        data_kind=kind,
        kspace="measured" if kind == "kspace" else "synthetic",
        show_images=False,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sites=[],
        level=bootstrap.confidence,
        notes=[f"Image quality of {cases:,} cases of {len(sites):,} sites, gathered from their results tables."],
    )
    page = write_report(
        target / "report.html",
        results=shown,
        predictions=conform(pd.DataFrame(), PREDICTION_COLUMNS),
        provenance=provenance,
    )
    return [page, table]


def _lock(folder: Path, study: str) -> dict[str, Any]:
    for file in sorted((folder / "summary").glob("*.lock.yaml")):
        lock: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        if lock["study"] == study:
            return lock
    hint = "gather the folder of a finished study rather than its table alone"
    raise ScanproofError("a lock file must tell how the study was made", file=folder, value=study, hint=hint)
