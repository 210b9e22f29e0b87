"""``scanproof doctor``: whether what is stored is whole, and what can be repaired."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    root: Annotated[Path, typer.Option("--root", help="Folder of the store, the MLflow database and outputs.")] = Path(
        "mlruns"
    ),
    store: Annotated[Path | None, typer.Option("--store", metavar="DIR", help="Store; default ROOT/store.")] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option("--tracking-uri", metavar="URI", help="MLflow; default $MLFLOW_TRACKING_URI or ROOT/mlflow.db."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="URL", help="Trials of searches, besides ROOT/tuning.", envvar="SCANPROOF_STORAGE"
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be; nothing intact is ever removed.")
    ] = False,
) -> None:
    """Check store, databases, results and versions; exit code 1 where something is damaged."""
    from rich.console import Console

    from scanproof.commands.common import interruptible
    from scanproof.doctor.checkup import Patient, examine, is_well
    from scanproof.doctor.console import show
    from scanproof.intake.console import counting
    from scanproof.study.store import Store
    from scanproof.tracking.uri import resolve_tracking_uri

    kept = Store(store or root / "store")
    patient = Patient(
        root=root,
        store=kept,
        keys=list(kept.keys()),
        tracking_uri=resolve_tracking_uri(tracking_uri, root),
        storage=storage,
    )
    with (
        interruptible("what was checked so far is not shown"),
        counting(len(patient.keys), doing="doctor", unit="stored results") as done,
    ):
        findings = list(examine(patient, repair=repair, on_done=done))
    show(findings, Console())
    raise typer.Exit(0 if is_well(findings) else 1)
