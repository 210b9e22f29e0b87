"""``scanproof scaling run`` and ``theory``: train the networks of a scaling file, or simulate what theory knows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from scanproof.commands.common import (
    Address,
    Executor,
    GpusPerTask,
    MemoryPerTask,
    StoreAt,
    choose_cluster,
    count_workers,
    interruptible,
)


def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="Scaling file (YAML).", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default ROOT/scaling/NAME.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option("--workers", "-j", min=0, help="Processes; 0 for one a CPU core. Results do not depend on it."),
    ] = 0,
    device: Annotated[Literal["cpu", "cuda"], typer.Option("--device", help="Where networks are trained.")] = "cpu",
    executor: Executor = "local",
    address: Address = None,
    gpus_per_task: GpusPerTask = 0,
    memory_per_task: MemoryPerTask = 0,
    store: StoreAt = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option("--tracking-uri", metavar="URI", help="MLflow; default $MLFLOW_TRACKING_URI or ROOT/mlflow.db."),
    ] = None,
    no_tracking: Annotated[bool, typer.Option("--no-tracking", help="Do not log to MLflow.")] = False,
    root: Annotated[Path, typer.Option("--root", help="Folder of the store, the MLflow database and outputs.")] = Path(
        "mlruns"
    ),
) -> None:
    """Train every network of a scaling file and measure it: results, report and MLflow runs."""
    from scanproof.commands.repeatable import repeatable_command
    from scanproof.progress import show_progress
    from scanproof.scaling.load import load_sweep
    from scanproof.scaling.run import run_sweep
    from scanproof.tracking.uri import resolve_tracking_uri

    gpus = gpus_per_task or (1 if device == "cuda" and executor == "ray" else 0)
    cluster = choose_cluster(executor, address=address, gpus=gpus, memory=memory_per_task)
    sweep = load_sweep(study)
    uri = None if no_tracking else resolve_tracking_uri(tracking_uri, root)
    with interruptible("finished work is kept, run again to go on"), show_progress(sweep.name) as progress:
        finished = run_sweep(
            sweep,
            root,
            output=output,
            workers=count_workers(workers, cluster),
            cluster=cluster,
            device="cuda" if gpus else device,
            store_at=store,
            tracking_uri=uri,
            command=repeatable_command(sys.argv[1:]),
            on_start=progress.start,
            on_done=progress.done,
            on_stage=progress.stage,
        )
    print(finished.table)
    print(finished.report)


def theory(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="Simulation file (YAML).", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default ROOT/scaling/NAME.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-j", min=0, help="Processes; 0 for one a CPU core.")] = 0,
    executor: Executor = "local",
    address: Address = None,
    store: StoreAt = None,
    root: Annotated[Path, typer.Option("--root", help="Folder of the store and outputs.")] = Path("mlruns"),
) -> None:
    """Simulate linear estimators, whose risks can be computed, and hold them against theory: a table and a figure."""
    from scanproof.progress import show_progress
    from scanproof.scaling.theory.run import load_theory, run_theory

    cluster = choose_cluster(executor, address=address)
    simulation = load_theory(study)
    folder = output or root / "scaling" / simulation.name
    with interruptible("finished draws are kept, run again to go on"), show_progress(simulation.name) as progress:
        run_theory(
            simulation,
            root,
            folder,
            workers=count_workers(workers, cluster),
            cluster=cluster,
            store_at=store,
            on_start=progress.start,
            on_done=progress.done,
        )
    for name in ("risks.csv", "risks.png"):
        print(folder / name)
