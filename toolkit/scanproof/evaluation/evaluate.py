"""From what was measured on every case to the results table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.bootstrap import Bootstrap, Interval
from scanproof.evaluation.chain_rows import curve_rows, site_counts, summary_rows
from scanproof.evaluation.chains import operating_points, read_chains, reading_grids
from scanproof.evaluation.comparisons import COMPARISON_COLUMNS, compare_norms
from scanproof.evaluation.quality import quality_rows
from scanproof.evaluation.table import (
    ALL_SHIFTS,
    ALL_SITES,
    CLEAN,
    PREDICTION_COLUMNS,
    RESULT_COLUMNS,
    check_table,
    conform,
    predictions_schema,
    results_schema,
)

#: columns of the table of image quality that :func:`evaluate` takes
CASE_METRIC_COLUMNS = (
    "study",
    "site",
    "subject",
    "case",
    "shift",
    "severity",
    "reconstruction",
    "acceleration",
    "metric",
    "value",
)


class Evaluation(NamedTuple):
    """What a study found: the results table, and comparisons between normalizations."""

    results: pd.DataFrame
    comparisons: pd.DataFrame


def evaluate(
    predictions: pd.DataFrame,
    case_metrics: pd.DataFrame,
    *,
    study: str,
    seed: int,
    confidence: float = 0.95,
    interval: Interval = "expanded",
    resamples: int = 1000,
    sensitivity: float = 0.9,
    given: pd.DataFrame | None = None,
) -> Evaluation:
    """Every number of a study, with its interval, in tidy tables.

    The results table holds the image quality of each case as it came, its means
    (:func:`~scanproof.evaluation.quality.quality_rows`) and, when there are predictions, the classification metrics
    (:func:`~scanproof.evaluation.chain_rows.curve_rows` and :func:`~scanproof.evaluation.chain_rows.summary_rows`).
    Values are computed on the cases as they are; intervals are
    those of a bootstrap of whole subjects, drawn once a site and shared by everything tested there, so that differences
    are paired. A bound is missing where more than 5 % of the resamples have no value. An interval
    that misses its value is widened to hold it.

    Means over training seeds are resampled over both, subjects and seeds (Owen and Eckles, 2012): their intervals speak
    of new subjects and of models trained anew. Rows of one seed speak of new subjects alone.

    Args:
        predictions: columns :data:`~scanproof.evaluation.table.PREDICTION_COLUMNS`; no rows in a study without
            classification.
        case_metrics: columns :data:`CASE_METRIC_COLUMNS`, the image quality of each test case; no rows in a study
            without image metrics.
        study: name of the study, the same as in both tables.
        seed: root of all resampling.
        confidence: of the intervals, in (0, 1).
        interval: see :class:`~scanproof.evaluation.bootstrap.Bootstrap`.
        resamples: replicates of every value, at least 100.
        sensitivity: that operating points reach on clean validation cases, in (0, 1].
        given: operating points that came with classifiers; see
            :func:`~scanproof.evaluation.chains.operating_points`. Metrics at an operating point have no row where a
            chain has none.

    Returns:
        The results table, valid under :func:`~scanproof.evaluation.table.results_schema`, and the comparisons of
        :func:`~scanproof.evaluation.comparisons.compare_norms`. They are the same to the bit on every run and for every
        order of the input's rows.

    Raises:
        ScanproofError: two empty tables, a missing or unknown column, a value outside its range, a reserved name,
            a subject in both splits, tables that are incomplete, or a test set that lacks a class; the text names the
            place.

    Example:
        >>> cases = pd.DataFrame({"study": "demo", "site": "north", "subject": ["a", "b"], "case": ["a1", "b1"],
        ...     "shift": "none", "severity": 0, "reconstruction": "unet", "acceleration": 4.0, "metric": "ssim",
        ...     "value": [0.5, 0.75]})
        >>> no_predictions = pd.DataFrame(columns=list(PREDICTION_COLUMNS))
        >>> table = evaluate(no_predictions, cases, study="demo", seed=1, interval="percentile").results
        >>> table.loc[table["site"] == "all", ["metric", "value", "lower", "upper", "n"]]
          metric  value  lower  upper  n
        0   ssim  0.625    0.5   0.75  2
    """
    bootstrap = Bootstrap(seed=seed, resamples=resamples, confidence=confidence, interval=interval)
    if not 0 < sensitivity <= 1:
        raise ScanproofError("sensitivity must be in (0, 1]", value=sensitivity)
    if predictions.empty and case_metrics.empty:
        raise ScanproofError("predictions and case_metrics must not both be empty, there is nothing to evaluate")
    parts: list[pd.DataFrame] = []
    if not case_metrics.empty:
        cases = _checked_case_metrics(case_metrics, study)
        parts += [cases.assign(n=1), quality_rows(cases, bootstrap)]
    comparisons = pd.DataFrame()
    if not predictions.empty:
        table = _checked_predictions(predictions, study)
        rows, comparisons = chain_tables(table, bootstrap, sensitivity=sensitivity, given=given)
        parts.append(rows)
    results = conform(pd.concat([part.assign(study=study) for part in parts], ignore_index=True), RESULT_COLUMNS)
    return Evaluation(
        check_table(results, results_schema(), name="results"),
        conform(comparisons.assign(study=study), COMPARISON_COLUMNS, name="comparisons"),
    )


def chain_tables(
    predictions: pd.DataFrame, bootstrap: Bootstrap, *, sensitivity: float, given: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the results table about classification, and the comparisons, both without the study.

    Raises:
        ScanproofError: as :func:`~scanproof.evaluation.chains.reading_grids` and
            :func:`~scanproof.evaluation.chains.operating_points`.
    """
    grids = reading_grids(predictions)
    thresholds = operating_points(predictions, sensitivity=sensitivity, given=given)
    sites = site_counts(grids)
    chains = list(read_chains(grids, thresholds, bootstrap, sensitivity=sensitivity))
    curves = [curve_rows(chain, sites, bootstrap) for chain in chains]
    degradations = [degradation for _, degradation in curves]
    rows = pd.concat(
        [*(frame for frame, _ in curves), *summary_rows(degradations, sites, bootstrap)], ignore_index=True
    )
    names = [name for name in sites["site"] if name != ALL_SITES]
    return rows, compare_norms(chains, degradations, names, bootstrap)


def _checked_predictions(predictions: pd.DataFrame, study: str) -> pd.DataFrame:
    name = "predictions"
    _check_columns(predictions, tuple(PREDICTION_COLUMNS), name)
    table = check_table(conform(predictions, PREDICTION_COLUMNS, name=name), predictions_schema(), name=name)
    _check_names(table, study, name)
    splits = table[["site", "subject", "split"]].drop_duplicates()
    leaked = splits[splits.duplicated(["site", "subject"])]
    if len(leaked):
        rule = f"a subject must stand in one split only, one of site {leaked['site'].iloc[0]!r} stands in val and test"
        raise ScanproofError(rule, file=name, key="subject", value=leaked["subject"].iloc[0])
    return table


def _checked_case_metrics(case_metrics: pd.DataFrame, study: str) -> pd.DataFrame:
    name = "case_metrics"
    _check_columns(case_metrics, CASE_METRIC_COLUMNS, name)
    rows = conform(case_metrics.assign(n=1), RESULT_COLUMNS, name=name)  # they enter the results table as they are
    table = check_table(rows, results_schema(), name=name)[[*CASE_METRIC_COLUMNS]]
    for column in ("subject", "case", "severity"):
        if table[column].isna().any():
            raise ScanproofError(f"{column} must be given in every row", file=name, key=column)
    infinite = table.loc[~np.isfinite(table["value"]), "value"]
    if len(infinite):
        raise ScanproofError("value must be finite", file=name, key="value", value=float(infinite.iloc[0]))
    _check_names(table, study, name)
    return table


def _check_columns(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    missing = [column for column in columns if column not in table]
    unknown = [column for column in table if column not in columns]
    for problem, found in (("lacks", missing), ("must not have", unknown)):
        if found:
            hint = f"its columns are {', '.join(columns)}"
            raise ScanproofError(f"table {problem} the columns {', '.join(map(str, found))}", file=name, hint=hint)


def _check_names(table: pd.DataFrame, study: str, name: str) -> None:
    others = table.loc[table["study"] != study, "study"]
    if len(others):
        raise ScanproofError(f"study must be {study!r}", file=name, key="study", value=others.iloc[0])
    for column, reserved in (("site", ALL_SITES), ("shift", ALL_SHIFTS)):
        if (table[column] == reserved).any():
            rule = f"{column} must not be named {reserved!r}, the name of rows over all of them"
            raise ScanproofError(rule, file=name, key=column)
    clean = table.loc[table["shift"] == CLEAN, "severity"]
    if (clean != 0).any():
        rule = f"severity must be 0 where shift is {CLEAN!r}"
        raise ScanproofError(rule, file=name, key="severity", value=int(clean[clean != 0].iloc[0]))
