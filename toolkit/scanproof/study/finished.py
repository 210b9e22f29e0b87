"""What a finished study found, and where it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from scanproof.evaluation.table import check_table, predictions_schema, results_schema
from scanproof.study.definition import Study
from scanproof.study.plan import Plan
from scanproof.study.store import Store


class Tables(NamedTuple):
    """The tables of a study; ``claims`` only where it makes any.

    ``comparisons`` are those of normalizations (:mod:`scanproof.evaluation.comparisons`), ``layers`` how far the layers
    of classifiers drift; both are empty in a study without classification.
    """

    results: pd.DataFrame
    predictions: pd.DataFrame
    comparisons: pd.DataFrame
    layers: pd.DataFrame
    claims: pd.DataFrame | None


@dataclass(frozen=True)
class Finished:
    """A finished study.

    Args:
        study: the definition.
        folder: where results, lock file, figures and report lie.
        claims: what was found of the study's claims, if it makes any.
        load: reads what was found.
        tracking_uri: where it is tracked; None without tracking.
        experiment_id: id of its MLflow experiment.
    """

    study: Study
    folder: Path
    claims: pd.DataFrame | None
    load: Callable[[], Tables]
    tracking_uri: str | None
    experiment_id: str | None = None

    @cached_property
    def tables(self) -> Tables:
        """What was found, read when it is asked for: a table of millions of cases takes seconds."""
        return self.load()

    @property
    def summary(self) -> pd.DataFrame:
        """The rows of the results table about whole sites, without those about single cases."""
        import pyarrow.dataset as ds

        rows = ds.dataset(self.folder / "results.parquet").to_table(filter=ds.field("case").is_null())
        found: pd.DataFrame = rows.to_pandas()
        return found

    @property
    def results(self) -> pd.DataFrame:
        """The results table."""
        return self.tables.results

    @property
    def predictions(self) -> pd.DataFrame:
        """The predictions table."""
        return self.tables.predictions

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"


def read_tables(plan: Plan, store: Store) -> Tables:
    """The tables of a study whose tasks are finished.

    Raises:
        DamagedEntryError: what was stored has changed since.
        ScanproofError: a table breaks its schema.
    """
    tables = store.get(plan.result.key).tables
    return Tables(
        check_table(tables["results"], results_schema(), name="results.parquet"),
        check_table(tables["predictions"], predictions_schema(), name="predictions.parquet"),
        tables["comparisons"],
        tables["layers"],
        read_claims(plan, store),
    )


def read_claims(plan: Plan, store: Store) -> pd.DataFrame | None:
    """What the tables say of the study's claims; None where it makes none.

    Raises:
        DamagedEntryError: what was stored has changed since.
    """
    return store.get(plan.claims.key).tables["claims"] if plan.claims else None
