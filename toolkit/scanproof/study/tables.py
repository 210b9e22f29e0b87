"""The tables of a finished study, written for a manuscript."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scanproof.errors import ScanproofError, unknown_name
from scanproof.evaluation.claims import paired_differences
from scanproof.study.definition import Study
from scanproof.study.reading import read_yaml
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
    """Write what a finished study found.

    ``README.md`` has the claims, the chains, the differences to batch normalization and the image metrics asked for.
    Beside it lie ``claims.csv``, where the study makes any, and

    - of classifiers ``chains.csv`` (summaries at every site), ``curves.csv`` (AUROC under each condition),
      ``comparisons.csv`` and the figures that the page shows;
    - of images ``means.csv``, ``slices.csv`` and, where ``against`` is named, ``paired.csv``. Of a study with
      classifiers, ``slices.csv`` and image metrics on the page only where ``against`` or ``metrics`` asks for them.

    Args:
        study: the definition.
        workspace: where it ran.
        folder: where to write.
        command: that ran it, for the page.
        against: reconstruction that the others are compared with, by image metrics.
        metrics: image metrics shown on the page; without, all of a study without classifiers.

    Returns:
        The files.

    Raises:
        ScanproofError: the study has not been run as it is defined now; an unknown reconstruction or metric.
    """
    results = pd.read_parquet(_finished(study, workspace, "results.parquet"))
    for name in metrics:
        if name not in study.evaluation.image_metrics:
            raise unknown_name("image metric", name, study.evaluation.image_metrics, key="--metric")
    asked = study.evaluation
    bootstrap = asked.bootstrap(study.seed)
    tables: dict[str, pd.DataFrame] = {}
    if against is not None:
        tables["paired"] = paired_differences(results, against=against, bootstrap=bootstrap)
    if study.claims:
        tables["claims"] = pd.read_csv(_finished(study, workspace, "claims.csv")).astype({"severity": "Int64"})

    from scanproof.reporting.export import FIGURES, mean_table, slice_table, summary_page, write_tables
    from scanproof.reporting.ranking import has_readings
    from scanproof.reporting.reading import chain_table, comparison_table, curve_table

    comparisons, pictures = None, []
    read = has_readings(results)
    if read:
        tables |= {"chains": chain_table(results), "curves": curve_table(results)}
        drawn = workspace.folder(study) / "figures"
        pictures = [file for name in FIGURES if (file := drawn / f"{name}.png").is_file()]
        if _written(study, workspace, "comparisons.parquet"):
            comparisons = pd.read_parquet(_finished(study, workspace, "comparisons.parquet"))
            tables["comparisons"] = comparison_table(comparisons)
    tables["means"] = mean_table(results)
    images = not read or against is not None or bool(metrics)
    if images:
        tables["slices"] = slice_table(results)
    page = summary_page(
        results,
        tables.get("paired"),
        tables.get("claims"),
        title=study.name,
        command=command,
        metrics=metrics or (asked.image_metrics if images else ()),
        against=against,
        level=asked.confidence,
        comparisons=comparisons,
        figures=[file.stem for file in pictures],
    )
    return write_tables(folder, tables=tables, page=page, figures=pictures)


def _written(study: Study, workspace: Workspace, name: str) -> bool:
    """Whether a finished study has a file that not every study has."""
    return name in _hashes(read_yaml(workspace.folder(study) / "study.lock.yaml", what="lock file"))


def _finished(study: Study, workspace: Workspace, name: str) -> Path:
    """A file of a finished study, if it is of this definition and whole."""
    folder = workspace.folder(study)
    lock_file, file = folder / "study.lock.yaml", folder / name
    hint = "run it: scanproof run"
    if not lock_file.is_file() or not file.is_file():
        raise ScanproofError("study must have been run", file=folder, value="no results", hint=hint)
    lock = read_yaml(lock_file, what="lock file")
    if lock.get("study_sha256") != definition_hash(study):
        raise ScanproofError("results must be of the study as it is defined now", file=lock_file, hint=hint)
    if _hashes(lock).get(file.name) != hashlib.sha256(file.read_bytes()).hexdigest():
        raise ScanproofError("results must be as they were written", file=file, hint=hint)
    return file


def _hashes(lock: dict[str, object]) -> dict[str, object]:
    """Names and hashes of the files that a lock file lists."""
    listed = lock.get("files_sha256")
    return listed if isinstance(listed, dict) else {}
