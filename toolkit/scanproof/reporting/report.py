"""One offline HTML file that says what a study found, for whom, how surely and where the numbers come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import check_table, predictions_schema, results_schema
from scanproof.reporting.model import ImagePanel, Provenance
from scanproof.reporting.page import render
from scanproof.reporting.verdict import VerdictPanel


def write_report(
    path: Path | str,
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
) -> Path:
    """Write the report of a study.

    The file holds its own script, styles and pictures, asks nothing of any network, and tells the browser to refuse
    any script that was not written here. It appears under its name only when it is complete.

    Args:
        path: where to write; the folder is made when missing.
        results: results table (:data:`~scanproof.evaluation.table.RESULT_COLUMNS`).
        predictions: per-case probabilities (:data:`~scanproof.evaluation.table.PREDICTION_COLUMNS`); may be empty.
        provenance: where the numbers come from.
        panels: image examples; left out unless ``provenance.show_images``.
        claims: what :func:`~scanproof.evaluation.claims.judge_claims` found, if the study makes claims.
        comparisons: paired differences between normalizations, if the study has several
            (:func:`~scanproof.reporting.sections.comparison.read_comparisons` names the columns).
        layers: drift of the networks' layers, if it was measured
            (:func:`~scanproof.reporting.sections.layers.drifts` names the columns).
        failures: image examples of cases that shift misleads; left out unless ``provenance.show_images``.
        verdict: of the protocol that the study follows, if it follows one; stands on top.

    Returns:
        The path written to.

    Raises:
        ScanproofError: a table breaks its schema, has nothing to rank by, or the definition is not plain YAML.

    Example:
        >>> import tempfile
        >>> from scanproof.evaluation.table import PREDICTION_COLUMNS, RESULT_COLUMNS, conform
        >>> row = {"study": "s", "site": "north", "reconstruction": "unet", "acceleration": 4.0, "metric": "ssim"}
        >>> values = [("none", 0, 0.9), ("noise", 3, 0.7)]
        >>> rows = [row | {"shift": shift, "severity": s, "value": v, "n": 9} for shift, s, v in values]
        >>> facts = Provenance(study="s", description="", definition={}, study_sha256="0", results_sha256="0",
        ...     code_version="0", versions={}, command="", data_kind="demo", kspace="synthetic", show_images=False,
        ...     created="2026-01-01", sites=[])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = write_report(
        ...         Path(folder) / "report.html",
        ...         results=conform(pd.DataFrame(rows), RESULT_COLUMNS),
        ...         predictions=conform(pd.DataFrame(), PREDICTION_COLUMNS),
        ...         provenance=facts,
        ...     )
        ...     "not for clinical use" in written.read_text(encoding="utf-8")
        True
    """
    check_table(results, results_schema(), name="results")
    check_table(predictions, predictions_schema(), name="predictions")
    page = render(
        results=results,
        predictions=predictions,
        provenance=provenance,
        panels=panels,
        claims=claims,
        comparisons=comparisons,
        layers=layers,
        failures=failures,
        verdict=verdict,
    )
    return write_page(path, page)


def write_page(path: Path | str, page: str) -> Path:
    """Write the text of a page, which appears under its name only when it is complete.

    Args:
        path: where to write; the folder is made when missing.
        page: its text.

    Returns:
        The path written to.

    Raises:
        ScanproofError: it cannot be written. What was there stays.
    """
    target = Path(path)
    # beside the target, because a file can only be renamed in one step on the same file system
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(page, encoding="utf-8", newline="\n")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ScanproofError(f"output must be writable: {error.strerror or error}", file=target) from error
    return target
