"""Running a sweep from its file to its results table, lock file and MLflow runs."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from scanproof.data.privacy import site_key
from scanproof.evaluation.bootstrap import Bootstrap
from scanproof.scaling.definition import Sweep
from scanproof.scaling.gather import LOCK, PARTICIPANTS, SEARCHES, TRAININGS, gather
from scanproof.scaling.plan import SweepPlan, make_plan
from scanproof.scaling.results import participants_table, results_table, searches_table, trainings_table
from scanproof.scaling.write import write_report
from scanproof.study.data_plans import SiteData
from scanproof.study.executor import Tracking, execute_and_read
from scanproof.study.executors.cluster import Cluster
from scanproof.study.fingerprint import code_version, library_versions
from scanproof.study.plan import Task
from scanproof.study.record import data_hash, training_record
from scanproof.study.remote_store import open_store
from scanproof.study.store import Store, write_atomically
from scanproof.tracking.kept import results_kept
from scanproof.tracking.model import TrainingRecord

#: of the report's intervals; other options: ``scanproof scaling fit``
BOOTSTRAP = Bootstrap(seed=0, resamples=1000, interval="expanded")
_VERSIONS = ("scanproof", "torch", "monai", "numpy", "pandas", "nibabel", "nilearn", "pillow", "mlflow")


@dataclass(frozen=True)
class FinishedSweep:
    """A finished sweep.

    Args:
        sweep: the definition.
        folder: where results and lock file lie.
        results: the results table.
        tracking_uri: where it is tracked; None without tracking.
    """

    sweep: Sweep
    folder: Path
    results: pd.DataFrame
    tracking_uri: str | None

    @property
    def table(self) -> Path:
        """The results table as a file."""
        return self.folder / "results.parquet"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"


def plan_sweep(sweep: Sweep, root: Path, *, device: str = "cpu") -> SweepPlan:
    """The plan of a sweep in a workspace."""
    key = site_key(root / "site.key") if isinstance(sweep.data, SiteData) else b""
    return make_plan(sweep, site_key=key, device=device)


def run_sweep(
    sweep: Sweep,
    root: Path,
    *,
    output: Path | None = None,
    workers: int = 1,
    cluster: Cluster | None = None,
    device: str = "cpu",
    store_at: str | None = None,
    tracking_uri: str | None = None,
    command: str = "",
    on_start: Callable[[Sequence[Task]], None] = lambda tasks: None,
    on_done: Callable[[Task], None] = lambda task: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> FinishedSweep:
    """Run what is not finished yet, write results and report, and track them.

    A sweep that is killed and started again trains only what was not finished, and goes on in the middle of a training;
    one that gets further sizes, widths or seeds trains only these. On a CPU results do not depend on the workers, but
    for the seconds.

    Args:
        sweep: the definition.
        root: folder of the store, the default MLflow database and the default output.
        output: folder of results and lock file; default ``<root>/scaling/<sweep>``.
        workers: see :func:`scanproof.study.executor.execute`.
        cluster: likewise.
        device: ``"cpu"`` or ``"cuda"``, where networks are trained.
        store_at: see :func:`~scanproof.study.remote_store.open_store`.
        tracking_uri: MLflow; None for no tracking.
        command: the command line, for the report.
        on_start: see :func:`scanproof.study.executor.execute`.
        on_done: likewise.
        on_stage: told what happens before and after the tasks.

    Raises:
        ScanproofError: wrong input. Finished tasks are kept and found again by the next run.
    """
    on_stage("reading data and planning")
    plan, store = plan_sweep(sweep, root, device=device), open_store(store_at, root=root)
    tracking = None
    if tracking_uri is not None:
        from scanproof.tracking.experiment import prepare

        prepare(tracking_uri, experiment=sweep.name, artifact_root=root / "artifacts")  # errors before the work
        tracking = Tracking(uri=tracking_uri, experiment=sweep.name)
    store.sweep()

    def read() -> _Found:
        on_stage("writing results and report")
        return _read(sweep, plan, store)

    found = execute_and_read(
        plan.tasks,
        store,
        read,
        workers=workers,
        cluster=cluster,
        wanted=plan.wanted,
        tracking=tracking,
        on_start=on_start,
        on_done=on_done,
    )
    folder = output or root / "scaling" / sweep.name
    write_atomically(folder / "results.parquet", _parquet(found.results))
    for name, table in found.tables.items():
        if len(table):
            write_atomically(folder / name, table.to_csv(index=False).encode())
    write_atomically(folder / LOCK, yaml.safe_dump(found.lock, sort_keys=False, allow_unicode=True).encode())
    report = gather(folder, bootstrap=BOOTSTRAP, command=command, created=datetime.now(UTC).isoformat("T", "seconds"))
    write_report(report, folder)
    if tracking_uri is not None:
        from scanproof.scaling.track import log_sweep

        on_stage("logging to MLflow")
        with results_kept(tracking_uri, folder):
            log_sweep(
                report,
                folder,
                cohorts=found.cohorts,
                trainings=found.trainings,
                uri=tracking_uri,
                artifact_root=root / "artifacts",
            )
    return FinishedSweep(sweep, folder, found.results, tracking_uri)


class _Found(NamedTuple):
    """What the store holds of a finished sweep; ``tables`` are files by name."""

    results: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    lock: Mapping[str, Any]
    cohorts: Mapping[str, pd.DataFrame]
    trainings: Sequence[TrainingRecord]


def _read(sweep: Sweep, plan: SweepPlan, store: Store) -> _Found:
    """All that is written and logged of a sweep.

    Raises:
        DamagedEntryError: what was stored has changed since.
    """
    results = results_table(sweep, plan, store)
    tables = {
        SEARCHES: searches_table(plan, store),
        TRAININGS: trainings_table(plan, store),
        PARTICIPANTS: participants_table(plan, store),
    }
    cohorts = {site: store.get(task.key).tables["cases"] for site, task in plan.cohorts.items()}
    trainings = [training_record(cell.training, store.get(cell.training.key)) for cell in plan.cells]
    return _Found(results, tables, _lock(sweep, plan, store, results), cohorts, trainings)


def definition_hash(sweep: Sweep) -> str:
    """Hash of everything that was asked for."""
    return hashlib.sha256(json.dumps(_public(sweep), sort_keys=True).encode()).hexdigest()


def _public(sweep: Sweep) -> dict[str, Any]:
    """A definition in plain types, without the places of local files."""
    content: dict[str, Any] = sweep.model_dump(mode="json", exclude={"data": {"manifest", "root"}})
    return content


def _lock(sweep: Sweep, plan: SweepPlan, store: Store, results: pd.DataFrame) -> dict[str, Any]:
    """What is needed to repeat the sweep and to prove that it was repeated; it holds no time, so it repeats, too."""
    trainings = hashlib.sha256("".join(sorted(cell.training.key for cell in plan.cells)).encode())
    return {
        "scaling": sweep.name,
        "definition_sha256": definition_hash(sweep),
        "code_version": code_version(),
        "data_sha256": {site: data_hash(store.get(task.key)) for site, task in plan.cohorts.items()},
        "trainings_sha256": trainings.hexdigest(),
        "measures_sha256": hashlib.sha256(_parquet(results.drop(columns="seconds"))).hexdigest(),
        "versions": library_versions(*_VERSIONS),
        "definition": _public(sweep),
    }


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
