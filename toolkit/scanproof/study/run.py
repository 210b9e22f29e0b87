"""Running a study from its file to its results, report and MLflow runs."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from scanproof.data.demo.findings import LESION
from scanproof.data.privacy import site_key
from scanproof.study import record
from scanproof.study.data_plans import DemoData, SiteData
from scanproof.study.definition import Study
from scanproof.study.examples import failure_panels, image_panels
from scanproof.study.executor import Tracking, execute_and_read, missing_tasks
from scanproof.study.executors.cluster import Cluster
from scanproof.study.external_plan import EXTERNAL_KEYS
from scanproof.study.fingerprint import code_version, library_versions
from scanproof.study.finished import Finished, Tables, read_claims, read_tables
from scanproof.study.model_notes import model_notes, other_models, other_notes, trusted_models
from scanproof.study.model_source import is_registered
from scanproof.study.plan import Plan, Task, make_plan
from scanproof.study.remote_store import open_store
from scanproof.study.sources import data_notes
from scanproof.study.store import DamagedEntryError, Store, write_atomically
from scanproof.study.written import Logged, Written, hash_files, hash_inputs, hash_uri, read_written
from scanproof.tracking.kept import results_kept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scanproof.reporting.model import ImagePanel
    from scanproof.reporting.verdict import VerdictPanel

#: tables that are written even if they have no row
ALWAYS = ("results", "predictions")
_VERSIONS = (
    "scanproof",
    "torch",
    "monai",
    "numpy",
    "pandas",
    "pytorch-ignite",
    "nibabel",
    "nilearn",
    "pillow",
    "mlflow",
)
#: what report and figures look like depends on them, results do not
_DRAWING = ("matplotlib", "plotly", "jinja2")


@dataclass(frozen=True)
class Workspace:
    """Where a study reads and writes.

    Args:
        root: folder of the store, the default MLflow database and the default output.
        output: folder of results and report; default ``<root>/studies/<study>``.
        store_at: folder or URL of another store, see :func:`~scanproof.study.remote_store.open_store`.
    """

    root: Path
    output: Path | None = None
    store_at: str | None = None

    @property
    def store(self) -> Store:
        """Where finished tasks are kept, shared by all studies."""
        return open_store(self.store_at, root=self.root)

    def folder(self, study: Study) -> Path:
        """Where a study's results are written."""
        return self.output or self.root / "studies" / study.name


@dataclass(frozen=True)
class Follows:
    """The frozen protocol that a run follows.

    Args:
        name: of the protocol.
        version: likewise.
        sha256: of the protocol.
        departures: what is not as it was frozen, for the lock file.
        decide: gives what the report says of the results, before anything else.
        keep: writes what was decided beside tables and report, before anything is logged.
    """

    name: str
    version: str
    sha256: str
    departures: Sequence[str]
    decide: Callable[[Tables], VerdictPanel]
    keep: Callable[[Tables], object] = lambda tables: None


def plan_study(study: Study, workspace: Workspace) -> Plan:
    """The plan of a study in a workspace."""
    key = site_key(workspace.root / "site.key") if isinstance(study.data, SiteData) else b""
    return make_plan(study, site_key=key)


def run_study(
    study: Study,
    workspace: Workspace,
    *,
    workers: int,
    cluster: Cluster | None = None,
    tracking_uri: str | None,
    command: str,
    follows: Follows | None = None,
    on_start: Callable[[Sequence[Task]], None] = lambda tasks: None,
    on_done: Callable[[Task], None] = lambda task: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Finished:
    """Run what is not finished yet, write results and report, and track them.

    Args:
        study: the definition.
        workspace: where to read and write.
        workers: see :func:`scanproof.study.executor.execute`.
        cluster: likewise.
        tracking_uri: MLflow; None for no tracking.
        command: the command line, for the report.
        follows: the protocol that was frozen before, if there is one.
        on_start: see :func:`scanproof.study.executor.execute`.
        on_done: likewise.
        on_stage: told what happens before and after the tasks.

    Raises:
        ScanproofError: wrong input. Finished tasks are kept and found again by the next run.
    """
    on_stage("reading data and planning")
    plan, store, folder = plan_study(study, workspace), workspace.store, workspace.folder(study)
    inputs = _inputs(study, plan, follows)
    there = _still_there(study, plan, store, folder, inputs=inputs, tracking_uri=tracking_uri, follows=follows)
    if there is not None:
        on_start([])
        on_stage("results and report are there, written from the same")
        return there
    if other_models(study):
        from scanproof.study.dry_run import try_models

        on_stage("trying the models of others")
        try_models(study, exclusive=plan.exclusive)
    tracking, experiment_id = None, None
    if tracking_uri is not None:
        from scanproof.tracking.experiment import prepare

        experiment_id = prepare(tracking_uri, experiment=study.name, artifact_root=workspace.root / "artifacts")
        tracking = Tracking(uri=tracking_uri, experiment=study.name)
    store.sweep()

    def write() -> _Output:
        on_stage("writing results and report")
        return _write(study, workspace, plan, store, command=command, follows=follows)

    output = execute_and_read(
        plan.tasks,
        store,
        write,
        workers=workers,
        cluster=cluster,
        wanted=plan.wanted,
        tracking=tracking,
        on_start=on_start,
        on_done=on_done,
    )
    logged = None
    if tracking_uri is not None:
        on_stage("logging to MLflow")
        with results_kept(tracking_uri, folder):
            runs = _track(tracking_uri, workspace, study, plan, store, output)
        logged = Logged(hash_uri(tracking_uri), str(experiment_id), runs)
    Written(inputs, output.files, logged).write(folder)
    found = output.tables
    return Finished(study, folder, found.claims, lambda: found, tracking_uri, experiment_id)


def _inputs(study: Study, plan: Plan, follows: Follows | None) -> str:
    """Hash of all that the files of a study are made from."""
    return hash_inputs(
        {
            "wanted": [task.key for task in plan.wanted],
            "definition": public_definition(study),
            "images": shows_images(study),
            "notes": [*data_notes(study), *model_notes(study), *other_notes(study)],
            "trusted": trusted_models(study),
            "code": code_version(),
            "versions": library_versions(*_VERSIONS, *_DRAWING),
            **_frozen(follows),
        }
    )


def _still_there(
    study: Study,
    plan: Plan,
    store: Store,
    folder: Path,
    *,
    inputs: str,
    tracking_uri: str | None,
    follows: Follows | None,
) -> Finished | None:
    """The study as the last run left it, if a run would write and log the same."""
    written = read_written(folder)
    if written is None or written.inputs != inputs or missing_tasks(plan.tasks, store, wanted=plan.wanted):
        return None
    if not written.is_whole(folder) or not (tracking_uri is None or written.is_logged(tracking_uri)):
        return None
    try:
        claims = read_claims(plan, store)
        store.get(plan.result.key)
        if follows is not None:
            follows.keep(read_tables(plan, store))
    except DamagedEntryError:  # it was removed, and is computed again
        return None
    experiment_id = written.logged.experiment_id if tracking_uri is not None and written.logged else None
    return Finished(study, folder, claims, lambda: read_tables(plan, store), tracking_uri, experiment_id)


@dataclass(frozen=True)
class _Output:
    """What was written of a finished study, for MLflow; ``files`` are its files by name, with their hashes."""

    tables: Tables
    lock: Mapping[str, Any]
    figures: Mapping[str, Figure]
    verdict: VerdictPanel | None
    files: Mapping[str, str]


def _write(
    study: Study, workspace: Workspace, plan: Plan, store: Store, *, command: str, follows: Follows | None
) -> _Output:
    """Write tables, lock file, figures and report of finished tasks.

    Raises:
        DamagedEntryError: of what is read; nothing that is half read is written.
    """
    folder, found = workspace.folder(study), read_tables(plan, store)
    tables = {name: getattr(found, name) for name in ("results", "predictions", "comparisons", "layers")}
    files = {f"{name}.parquet": _parquet(table) for name, table in tables.items() if len(table) or name in ALWAYS}
    if found.claims is not None:
        files["claims.csv"] = found.claims.to_csv(index=False).encode()
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    lock = _lock(study, plan, store, hashes) | _frozen(follows)
    panels = image_panels(plan, store) if shows_images(study) else []
    files["study.lock.yaml"] = yaml.safe_dump(lock, sort_keys=False, allow_unicode=True).encode()
    for name, data in files.items():
        write_atomically(folder / name, data)
    figures = _figures(folder, found, panels, study)
    verdict = None if follows is None else follows.decide(found)
    _report(folder, study, plan, store, lock, tables=found, panels=panels, command=command, verdict=verdict)
    if follows is not None:
        follows.keep(found)
    names = [*files, "report.html", *(f"figures/{name}.png" for name in figures)]
    return _Output(found, lock, figures, verdict, hash_files(folder, names))


def shows_images(study: Study) -> bool:
    """Images of subjects appear in a report only where the data section allows it."""
    return isinstance(study.data, DemoData) or study.data.show_images


def public_definition(study: Study) -> dict[str, Any]:
    """A definition in plain types, without the places of local files: they belong to the site and change no result.

    A saved reconstruction is named by version and hash, or by its hash alone where a study file gives its folder. A
    study without one has neither key, so that it keeps its hash; so does a study of the demo's usual label.
    """
    content: dict[str, Any] = study.model_dump(mode="json", exclude={"data": {"manifest", "root"}})
    if content["data"].get("labels") == [LESION]:
        del content["data"]["labels"]
    for plan in content["reconstruction"]:
        if not is_registered(plan["model"] or ""):
            del plan["model"]
        for key in ("model_sha256", "network_def"):
            if plan[key] is None:
                del plan[key]
    for plan in content["classification"]:
        for key in ("model", "model_sha256", "labels", "threshold", *EXTERNAL_KEYS):
            if plan[key] is None or (key == "model" and not is_registered(plan[key])):
                del plan[key]
    return content


def definition_hash(study: Study) -> str:
    """Hash of everything that was asked for."""
    content = public_definition(study)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _lock(study: Study, plan: Plan, store: Store, hashes: Mapping[str, str]) -> dict[str, Any]:
    """What is needed to repeat the study and to prove that it was repeated. Holds no time, so it repeats, too."""
    return {
        "study": study.name,
        "study_sha256": definition_hash(study),
        "result_key": plan.result.key,
        "code_version": code_version(),
        "data_sha256": record.data_hashes(plan, store),
        "model_sha256": {r.name: r.model_sha256 for r in record.training_records(plan, store)}
        | {f"load {p.name}": p.model_sha256 for p in study.reconstruction if p.model_sha256}
        | {
            f"load {plan.name}, {name}": digest
            for plan in study.classification
            for name, digest in (plan.model_sha256 or {}).items()
        },
        **({"trusted_sha256": trusted} if (trusted := trusted_models(study)) else {}),
        "files_sha256": dict(hashes),
        "versions": library_versions(*_VERSIONS),
        "definition": public_definition(study),
    }


def _frozen(follows: Follows | None) -> dict[str, Any]:
    """What the lock file says of the protocol."""
    if follows is None:
        return {}
    said = {"name": follows.name, "version": follows.version, "sha256": follows.sha256}
    return {"protocol": {**said, "departures": list(follows.departures)}}


def _figures(folder: Path, tables: Tables, panels: Sequence[ImagePanel], study: Study) -> dict[str, Figure]:
    """Static figures: written as PNG beside the report and logged to MLflow."""
    from scanproof.reporting.sections.parts import section_figures
    from scanproof.reporting.static import degradation_figure, image_panel_figure, overview_figure

    results = tables.results
    figures = {"overview": overview_figure(results, panels)}
    classified = results["classifier"].notna()
    for name in results.loc[classified, "reconstruction"].drop_duplicates():
        figures[f"auroc_{name}"] = degradation_figure(results, reconstruction=name)
    if panels:
        last = panels[-1].reconstruction  # one method is enough for a picture; the report has all
        figures["images"] = image_panel_figure([p for p in panels if p.reconstruction == last])
    figures |= section_figures(
        results,
        tables.predictions,
        comparisons=tables.comparisons,
        layers=tables.layers,
        level=study.evaluation.confidence,
    )
    for name, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        write_atomically(folder / "figures" / f"{name}.png", buffer.getvalue())
    return figures


def _report(
    folder: Path,
    study: Study,
    plan: Plan,
    store: Store,
    lock: Mapping[str, Any],
    *,
    tables: Tables,
    panels: Sequence[ImagePanel],
    command: str,
    verdict: VerdictPanel | None,
) -> None:
    from scanproof.reporting.model import Provenance
    from scanproof.reporting.report import write_report

    provenance = Provenance(
        study=study.name,
        description=study.description,
        definition=lock["definition"],
        study_sha256=lock["study_sha256"],
        results_sha256=lock["files_sha256"]["results.parquet"],
        code_version=lock["code_version"],
        versions=lock["versions"],
        command=command,
        data_kind=study.data.kind,
        kspace="measured" if study.data.measured else "synthetic",
        show_images=shows_images(study),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sites=record.site_facts(plan, store),
        level=study.evaluation.confidence,
        sensitivity=study.evaluation.sensitivity,
        notes=[*data_notes(study), *model_notes(study), *other_notes(study)],
    )
    failures: Sequence[ImagePanel] = ()
    if shows_images(study):
        failures = failure_panels(
            plan, store, tables.results, tables.predictions, sensitivity=study.evaluation.sensitivity
        )
    write_report(
        folder / "report.html",
        results=tables.results,
        predictions=tables.predictions,
        provenance=provenance,
        panels=panels,
        claims=tables.claims,
        comparisons=tables.comparisons,
        layers=tables.layers,
        failures=failures,
        verdict=verdict,
    )


def _track(
    uri: str,
    workspace: Workspace,
    study: Study,
    plan: Plan,
    store: Store,
    output: _Output,
) -> list[str]:
    """Log to MLflow; returns the ids of the sites' runs."""
    from scanproof.study.register import register_trained
    from scanproof.tracking.model import TrackedStudy
    from scanproof.tracking.study_log import log_study

    folder, lock, tables, verdict = workspace.folder(study), output.lock, output.tables, output.verdict
    tracked = TrackedStudy(
        study=study.name,
        description=study.description,
        study_sha256=lock["study_sha256"],
        results_sha256=lock["files_sha256"]["results.parquet"],
        data_sha256=lock["data_sha256"],
        code_version=lock["code_version"],
        definition=lock["definition"],
        lock_file=folder / "study.lock.yaml",
        report=folder / "report.html",
        figures=output.figures,
        results=tables.results,
        predictions=tables.predictions,
        comparisons=tables.comparisons,
        layers=tables.layers,
        claims=tables.claims,
        kspace="measured" if study.data.measured else "synthetic",
        cohorts=record.cohort_tables(plan, store),
        training=record.training_records(plan, store),
        protocol=lock.get("protocol", {}).get("name"),
        protocol_sha256=lock.get("protocol", {}).get("sha256"),
        tags={} if verdict is None else {"verdict": verdict.verdict, "protocol_version": lock["protocol"]["version"]},
    )
    runs = log_study(tracked, uri=uri, artifact_root=workspace.root / "artifacts")
    register_trained(study, workspace, plan, uri=uri)
    return list(runs.values())
