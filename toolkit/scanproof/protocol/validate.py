"""A protocol at a site: from its data to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scanproof.errors import ScanproofError
from scanproof.protocol.check import Departure, departures, refuse
from scanproof.protocol.decide import NOT_ENOUGH, Decided, Verdict, decide, overall
from scanproof.protocol.definition import Protocol
from scanproof.protocol.file import read_protocol
from scanproof.protocol.measure import Measured, measure_endpoints
from scanproof.protocol.minimum import count, lacking
from scanproof.protocol.panel import make_panel
from scanproof.protocol.record import DataRecord, ValidationRecord, check_folder, make_record, write_record
from scanproof.protocol.site import site_slug, site_study
from scanproof.study.definition import Study
from scanproof.study.executor import execute_and_read
from scanproof.study.executors.cluster import Cluster
from scanproof.study.finished import Finished, Tables
from scanproof.study.given_points import given_points
from scanproof.study.model_source import ModelSource
from scanproof.study.plan import Plan, Task
from scanproof.study.record import data_hash
from scanproof.study.run import Follows, Workspace, plan_study, run_study
from scanproof.study.store import Store
from scanproof.study.tasks.cohort import read_cohort


@dataclass(frozen=True)
class Validation:
    """A validation that has ended.

    Args:
        protocol: that was followed.
        record: what was found.
        folder: where tables and report are.
        finished: the run; None where the site has too few subjects and nothing was computed.
    """

    protocol: Protocol
    record: ValidationRecord
    folder: Path
    finished: Finished | None


@dataclass(frozen=True)
class Site:
    """A site and its data.

    Args:
        name: of the site.
        data: folder of its files.
        manifest: of the folder; default ``cohort.csv`` in it.
    """

    name: str
    data: Path
    manifest: Path | None = None


def validation_folder(root: Path, protocol: str, site: str) -> Path:
    """Where the validation of a site is written."""
    return root / "validations" / protocol / site_slug(site)


def validate(
    path: Path,
    site: Site,
    *,
    root: Path,
    workers: int,
    cluster: Cluster | None = None,
    store_at: str | None = None,
    tracking_uri: str | None,
    command: str,
    allow_other_code: bool = False,
    on_start: Callable[[Sequence[Task]], None] = lambda tasks: None,
    on_done: Callable[[Task], None] = lambda task: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Validation:
    """Run a frozen protocol on the data of a site and decide it.

    What was frozen is compared with what is here first, and subjects are counted before anything long begins. The run
    is that of any study: killed and started again, it goes on.

    Args:
        path: protocol file.
        site: whose data are tested.
        root: folder of the store, the MLflow database and outputs.
        workers: see :func:`scanproof.study.executor.execute`.
        cluster: likewise.
        store_at: see :func:`~scanproof.study.remote_store.open_store`.
        tracking_uri: MLflow; None for no tracking.
        command: the command line, for the report.
        allow_other_code: other code than that of the protocol is named in the verdict rather than refused.
        on_start: see :func:`scanproof.study.executor.execute`.
        on_done: likewise.
        on_stage: told what happens before and after the tasks.

    Raises:
        ScanproofError: a changed protocol, other weights or code, or wrong data. Finished tasks are kept.
    """
    on_stage("checking the protocol")
    protocol = read_protocol(path)
    found = departures(protocol, path=path)
    refuse(found, path=path, allow_other_code=allow_other_code)
    models = ModelSource(root=root, tracking_uri=tracking_uri)
    study = site_study(protocol, path, data=site.data, site=site.name, manifest=site.manifest, models=models)
    folder = validation_folder(root, protocol.name, site.name)
    check_folder(folder, protocol=protocol.name, site=site.name)
    workspace = Workspace(root=root, output=folder, store_at=store_at)

    on_stage("reading data and counting subjects")
    plan = plan_study(study, workspace)
    data = _read_data(plan, workspace.store, protocol)
    case = _Case(protocol, site.name, data, found, study)
    short = lacking(protocol.minimum, data)
    if short:
        return case.too_few(short, folder, command=command)
    records: list[ValidationRecord] = []
    finished = run_study(
        study,
        workspace,
        workers=workers,
        cluster=cluster,
        tracking_uri=tracking_uri,
        command=command,
        follows=Follows(
            name=protocol.name,
            version=protocol.version,
            sha256=protocol.protocol_sha256,
            departures=[str(one) for one in found],
            decide=lambda tables: make_panel(protocol, case.judge(tables)),
            keep=lambda tables: records.append(write_record(folder, case.judge(tables))),
        ),
        on_start=on_start,
        on_done=on_done,
        on_stage=on_stage,
    )
    return Validation(protocol, records[-1], folder, finished)


def _read_data(plan: Plan, store: Store, protocol: Protocol) -> DataRecord:
    """Read the site's files, if that is not done yet, and count what they hold."""
    [task] = plan.cohorts.values()
    payload = execute_and_read([task], store, lambda: store.get(task.key), workers=1)
    cohort = read_cohort(payload)
    if protocol.labels and sorted(cohort.targets) != sorted(protocol.labels):
        columns = ", ".join(f"label_{name}" for name in protocol.labels)
        raise ScanproofError(
            f"labels must be those of the protocol: {', '.join(protocol.labels)}",
            file="manifest",
            value=list(cohort.targets),
            hint=f"name the columns {columns}",
        )
    cases: pd.DataFrame = cohort.cases
    return DataRecord(
        kind=protocol.study["data"]["kind"],
        kspace="synthetic" if cohort.scans is None else "measured",
        data_sha256=data_hash(payload),
        **count(cases).model_dump(),
    )


@dataclass(frozen=True)
class _Case:
    """A site whose data are known, and what its results say."""

    protocol: Protocol
    site: str
    data: DataRecord
    found: Sequence[Departure]
    study: Study

    def judge(self, tables: Tables) -> ValidationRecord:
        """The record of a finished run."""
        endpoints = self.protocol.endpoints
        points = given_points(self.study, self.protocol.labels)
        measured = measure_endpoints(
            endpoints,
            results=tables.results,
            predictions=tables.predictions,
            bootstrap=self.study.evaluation.bootstrap(self.study.seed),
            sensitivity=self.study.evaluation.sensitivity,
            given=pd.DataFrame(points).astype({"threshold": "float64"}) if points else None,
        )
        decided = decide(endpoints, measured)
        verdict, reason = overall(endpoints, decided)
        return self._record(verdict, reason, measured, decided)

    def too_few(self, short: Sequence[str], folder: Path, *, command: str) -> Validation:
        """The end of a validation before anything was computed."""
        from scanproof.reporting.report import write_page
        from scanproof.reporting.verdict import verdict_page

        reason = f"The site has {'; '.join(short)}. Nothing was computed."
        record = self._record(NOT_ENOUGH, reason, [], [])
        for name in ("results.parquet", "comparisons.parquet", "predictions.parquet", "study.lock.yaml", "claims.csv"):
            (folder / name).unlink(missing_ok=True)  # of an earlier validation, which this one replaces
        write_page(folder / "report.html", verdict_page(make_panel(self.protocol, record), command=command))
        return Validation(self.protocol, write_record(folder, record), folder, None)

    def _record(
        self, verdict: Verdict, reason: str, measured: Sequence[Measured], decided: Sequence[Decided]
    ) -> ValidationRecord:
        return make_record(
            self.protocol,
            site=self.site,
            data=self.data,
            found=self.found,
            verdict=verdict,
            decided_by=reason,
            measured=measured,
            decided=decided,
        )
