"""A folder of results tables: rows about single cases in partitions, rows about whole sites apart from them.

::

    cases/source=3f2a9c1d0b7e/site=north/metric=ssim/0-0.parquet
    summary/3f2a9c1d0b7e.parquet
    summary/3f2a9c1d0b7e.lock.yaml      where the table lay in the folder of a finished study

A source is a results table that was taken in, named by the hash of its bytes. Its cases appear under their name in one
step, when all of them are written, so that a reader sees a source whole or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import RESULT_COLUMNS, check_table, conform, results_schema

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

#: columns by which cases are laid in folders, from the outermost
PARTITIONS = ("source", "site", "metric")
#: rows that are held in memory at a time
BATCH_ROWS = 262_144
_DIGEST = 12
_TYPES = {"string": "string", "Int64": "int64", "float64": "float64"}
#: first what questions filter by, so that row groups without an answer are not read
_ORDER = ("shift", "severity", "reconstruction", "acceleration", "subject", "case")


def gather(tables: Sequence[Path], folder: Path, *, on_done: Callable[[Path], None] = lambda path: None) -> int:
    """Take results tables into a folder, a batch of rows at a time.

    A table that is there already is left as it is, so a call that was killed can be repeated.

    Args:
        tables: parquet files under :func:`~scanproof.evaluation.table.results_schema`, or folders of finished studies.
        folder: made when missing.
        on_done: called after each.

    Returns:
        Number of tables that were new.

    Raises:
        ScanproofError: no table, one that breaks the schema, or a site of a study that another table has told of.
    """
    known = _told(folder)
    new = 0
    for table in tables:
        path = table / "results.parquet" if table.is_dir() else table
        lock = path.with_name("study.lock.yaml")
        if not path.is_file():
            raise ScanproofError("results table must be an existing file", file=path, hint="run the study first")
        with path.open("rb") as file:
            source = hashlib.file_digest(file, "sha256").hexdigest()[:_DIGEST]
        if not (folder / "cases" / f"source={source}").is_dir():
            _take_in(path, folder, source, known)
            if lock.is_file():
                shutil.copyfile(lock, folder / "summary" / f"{source}.lock.yaml")
            new += 1
        on_done(path)
    return new


def cases_in(folder: Path) -> ds.Dataset:
    """The rows about single cases: columns of the results table, and ``source``.

    Raises:
        ScanproofError: nothing was gathered there.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    root = folder / "cases"
    if not root.is_dir():
        raise ScanproofError("folder must hold gathered results", file=folder, hint="scanproof gather RESULTS -o DIR")
    schema = arrow_schema()
    keys = pa.schema([schema.field(name) for name in PARTITIONS])
    return ds.dataset(root, schema=schema, partitioning=ds.partitioning(keys, flavor="hive"), format="parquet")


def summary_in(folder: Path) -> pd.DataFrame:
    """The rows about whole sites of all tables.

    Raises:
        ScanproofError: nothing was gathered there.
    """
    files = sorted((folder / "summary").glob("*.parquet"))
    if not files:
        raise ScanproofError("folder must hold gathered results", file=folder, hint="scanproof gather RESULTS -o DIR")
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def arrow_schema() -> pa.Schema:
    """The schema of :func:`cases_in`."""
    import pyarrow as pa

    columns = {"source": "string", **RESULT_COLUMNS}
    return pa.schema([pa.field(name, pa.type_for_alias(_TYPES[dtype])) for name, dtype in columns.items()])


def _told(folder: Path) -> dict[tuple[str, str], str]:
    """Study and site to the source that tells of them."""
    found: dict[tuple[str, str], str] = {}
    for file in sorted((folder / "summary").glob("*.parquet")):
        if (folder / "cases" / f"source={file.stem}").is_dir():
            found |= dict.fromkeys(_places(pd.read_parquet(file, columns=["study", "site"])), file.stem)
    return found


def _places(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    for study, site in rows[["study", "site"]].drop_duplicates().itertuples(index=False, name=None):
        yield str(study), str(site)


def _take_in(path: Path, folder: Path, source: str, known: dict[tuple[str, str], str]) -> None:
    partial = folder / "partial" / f"{source}-{uuid.uuid4().hex}"
    summary: list[pd.DataFrame] = []
    places: set[tuple[str, str]] = set()
    try:
        (partial / "cases").mkdir(parents=True)
        for number, rows in enumerate(_batches(path)):
            places |= set(_places(rows))
            _refuse_again(path, places, known)
            whole = rows["subject"].isna() & rows["case"].isna()
            summary.append(rows[whole])
            _write_cases(rows[~whole], partial / "cases", number)
        told = conform(pd.concat(summary) if summary else pd.DataFrame(), RESULT_COLUMNS, name=path.name)
        told.to_parquet(partial / "summary.parquet", index=False)
        for kind in ("summary", "cases"):
            (folder / kind).mkdir(exist_ok=True)
        (partial / "summary.parquet").replace(folder / "summary" / f"{source}.parquet")
        (partial / "cases").rename(folder / "cases" / f"source={source}")  # the last step: now it is there
    except OSError as error:
        raise ScanproofError(f"folder must be writable: {error.strerror or error}", file=folder) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    known |= dict.fromkeys(places, source)


def _refuse_again(path: Path, places: set[tuple[str, str]], known: dict[tuple[str, str], str]) -> None:
    for place in sorted(places & known.keys()):
        raise ScanproofError(
            "a site of a study must be told of by one table",
            file=path,
            value=", ".join(place),
            hint=f"another one is there as source {known[place]}: gather into an empty folder",
        )


def _batches(path: Path) -> Iterator[pd.DataFrame]:
    """The rows of a table, checked, some at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(BATCH_ROWS):
            yield check_table(_as_declared(batch.to_pandas(), path), results_schema(), name=path.name)
    except pa.ArrowException as error:
        raise ScanproofError("results table must be a parquet file", file=path, value=str(error)) from error


def _as_declared(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    return conform(rows, RESULT_COLUMNS, sort_by=_ORDER, name=path.name)


def _write_cases(rows: pd.DataFrame, folder: Path, number: int) -> None:
    import pyarrow as pa
    import pyarrow.dataset as ds

    if rows.empty:
        return
    keys = pa.schema([arrow_schema().field(name) for name in PARTITIONS[1:]])
    table = pa.Table.from_pandas(rows, preserve_index=False)
    ds.write_dataset(
        table,
        folder,
        format="parquet",
        partitioning=ds.partitioning(keys, flavor="hive"),
        basename_template=f"{number}-{{i}}.parquet",
        existing_data_behavior="overwrite_or_ignore",
        max_partitions=100_000,
        use_threads=False,
    )
