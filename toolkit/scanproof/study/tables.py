"""The tables of a finished study, written for a manuscript."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.claims import judge_claims, paired_differences
from scanproof.study.definition import Study
from scanproof.study.run import Workspace, definition_hash


def export_tables(
    study: Study,
    workspace: Workspace,
    folder: Path,
    *,
    command: str,
    against: str | None = None,
    metrics: Sequence[str] = (),
) -> list[Path]:
    """Write what a finished study found on images.

    These are ``README.md``, ``means.csv`` and ``slices.csv``, and where asked for ``paired.csv`` and ``claims.csv``.

    Args:
        study: the definition.
        workspace: where it ran.
        folder: where to write.
        command: that ran it, for the page.
        against: reconstruction that the others are compared with.
        metrics: shown on the page; all of the study without.

    Returns:
        The files.

    Raises:
        ScanproofError: the study has not been run as it is defined now; an unknown reconstruction or metric.
    """
    results = _finished(study, workspace)
    for name in metrics:
        if name not in study.evaluation.image_metrics:
            raise unknown_name("image metric", name, study.evaluation.image_metrics, key="--metric")
    asked = study.evaluation
    bootstrap = asked.bootstrap(study.seed)
    tables: dict[str, pd.DataFrame] = {}
    if against is not None:
        tables["paired"] = paired_differences(results, against=against, bootstrap=bootstrap)
    if study.claims:
        tables["claims"] = judge_claims(results, [claim.claim() for claim in study.claims], bootstrap=bootstrap)

    from scanproof.reporting.export import mean_table, slice_table, summary_page, write_tables

    page = summary_page(
        results,
        tables.get("paired"),
        tables.get("claims"),
        title=study.name,
        command=command,
        metrics=metrics or asked.image_metrics,
        against=against,
        level=asked.confidence,
    )
    return write_tables(
        folder, tables={**tables, "means": mean_table(results), "slices": slice_table(results)}, page=page
    )


def _finished(study: Study, workspace: Workspace) -> pd.DataFrame:
    """The results of a study, if they are of this definition and whole."""
    folder = workspace.folder(study)
    lock_file, file = folder / "study.lock.yaml", folder / "results.parquet"
    hint = "run it: scanproof run"
    if not lock_file.is_file() or not file.is_file():
        raise ScanproofError("study must have been run", file=folder, value="no results", hint=hint)
    lock = yaml.safe_load(lock_file.read_text(encoding="utf-8"))
    if lock["study_sha256"] != definition_hash(study):
        raise ScanproofError("results must be of the study as it is defined now", file=lock_file, hint=hint)
    if lock["files_sha256"][file.name] != hashlib.sha256(file.read_bytes()).hexdigest():
        raise ScanproofError("results must be as they were written", file=file, hint=hint)
    return pd.read_parquet(file)
