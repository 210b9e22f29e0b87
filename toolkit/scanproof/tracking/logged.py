"""Tables and data sets as MLflow keeps them with a run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.tracking.client import quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

_CONTEXTS = {"train": "training", "val": "validation", "test": "testing"}
#: longest table that MLflow's pages can show; longer ones are parquet files alone
_SHOWN_ROWS = 20_000
_DIGEST = 12  # characters that a list of runs has room for; MLflow takes up to 36


def log_frame(client: MlflowClient, run_id: str, name: str, rows: pd.DataFrame) -> None:
    """Log a table as parquet and, if it is not too long, as one that MLflow's pages show; an empty one is left out."""
    if rows.empty:
        return
    if len(rows) <= _SHOWN_ROWS:
        with quiet():
            client.log_table(run_id, rows.reset_index(drop=True), f"{name}.json")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.parquet"
        rows.to_parquet(path, index=False)
        client.log_artifact(run_id, str(path))


def data_inputs(site: str, cases: pd.DataFrame, *, digest: str) -> list[DatasetInput]:
    """The cases of a site as MLflow data sets, one a split.

    Args:
        site: whose cases.
        cases: pseudonyms and, where there are several, splits; all are test cases without.
        digest: hash of the data.
    """
    parts = dict(tuple(cases.groupby("split"))) if "split" in cases else {"test": cases}
    return [_data_input(site, str(split), rows, digest) for split, rows in parts.items()]


def _data_input(site: str, split: str, rows: pd.DataFrame, digest: str) -> DatasetInput:
    """The cases of one split: names of columns, number of rows and the hash of the data."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = CodeDatasetSource(tags={"mlflow.source.name": "scanproof", "data_sha256": digest})
    with quiet():
        found = from_pandas(rows.reset_index(drop=True), source=source, name=f"{site} {split}", digest=digest[:_DIGEST])
        entity = Dataset(**found.to_dict())
    return DatasetInput(entity, tags=[InputTag("mlflow.data.context", _CONTEXTS.get(split, split))])
