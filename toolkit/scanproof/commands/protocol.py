"""``scanproof protocol`` and ``scanproof validate``: frozen studies, and sites that run them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    load_definition,
)
from scanproof.commands.repeatable import repeatable_command

if TYPE_CHECKING:
    from scanproof.protocol.freeze import Frozen
    from scanproof.protocol.validate import Validation

protocol_app = typer.Typer(help="Freeze a study for sites to run, and look at what was frozen.", no_args_is_help=True)

ProtocolFile = Annotated[Path, typer.Argument(metavar="PROTOCOL", help="Protocol file (YAML).", show_default=False)]
Root = Annotated[Path, typer.Option("--root", help="Folder of the store, the MLflow database and outputs.")]
TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", metavar="URI", help="MLflow; default $MLFLOW_TRACKING_URI or ROOT/mlflow.db."),
]


@protocol_app.command()
def freeze(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="File of a finished study.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Protocol file to write.", show_default=False)
    ],
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Endpoints, limits and minimum; default plan.yaml beside STUDY."),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="As the study was run.")] = None,
    manifest: Annotated[Path | None, typer.Option("--manifest", metavar="CSV", help="As the study was run.")] = None,
    store: StoreAt = None,
    tracking_uri: TrackingUri = None,
    root: Root = Path("mlruns"),
) -> None:
    """Freeze a finished study: definition, weights, code, endpoints and statistical plan, all with hashes."""
    from scanproof.protocol.freeze import freeze_study
    from scanproof.protocol.plan import read_plan
    from scanproof.study.run import Workspace

    agreed = read_plan(plan or study.parent / "plan.yaml")
    definition = load_definition(study, data, manifest, tracking_uri, root)
    command = shlex.join(["scanproof", "run", str(study), *([] if root == Path("mlruns") else ["--root", str(root)])])
    _say(freeze_study(definition, agreed, Workspace(root=root, store_at=store), output, command=command))


@protocol_app.command()
def renew(
    protocol: ProtocolFile,
    version: Annotated[str, typer.Option("--version", help="Of the new protocol.", show_default=False)],
) -> None:
    """Freeze a protocol anew with the code that is installed; weights and endpoints stay."""
    from scanproof.protocol.freeze import renew_protocol

    _say(renew_protocol(protocol, version=version))


@protocol_app.command()
def show(protocol: ProtocolFile) -> None:
    """Show what a protocol asks, for people."""
    from rich.console import Console

    from scanproof.protocol.console import show_protocol
    from scanproof.protocol.file import read_protocol

    show_protocol(read_protocol(protocol), Console())


@protocol_app.command()
def check(protocol: ProtocolFile) -> None:
    """Compare what is here with what was frozen; exit code 1 where weights or code are others."""
    from scanproof.protocol.check import departures
    from scanproof.protocol.file import read_protocol

    found = departures(read_protocol(protocol), path=protocol)
    for one in found:
        print(one)
    decisive = [one for one in found if one.kind != "library"]
    if not decisive:
        print("The protocol, its weights and the code are as they were frozen.")
    raise typer.Exit(1 if decisive else 0)


def validate(
    protocol: ProtocolFile,
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Folder of the site's images.", show_default=False)
    ],
    site: Annotated[str, typer.Option("--site", metavar="NAME", help="Name of the site.", show_default=False)],
    manifest: Annotated[
        Path | None, typer.Option("--manifest", metavar="CSV", help="Its manifest; default DIR/cohort.csv.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option("--workers", "-j", min=0, help="Processes; 0 for one a CPU core. Results do not depend on it."),
    ] = 0,
    allow_other_code: Annotated[
        bool, typer.Option("--allow-other-code", help="Run with other code than was frozen; the verdict says so.")
    ] = False,
    executor: Executor = "local",
    address: Address = None,
    gpus_per_task: GpusPerTask = 0,
    memory_per_task: MemoryPerTask = 0,
    store: StoreAt = None,
    tracking_uri: TrackingUri = None,
    no_tracking: Annotated[bool, typer.Option("--no-tracking", help="Do not log to MLflow.")] = False,
    root: Root = Path("mlruns"),
) -> None:
    """Run a frozen protocol on the data of a site: pass, fail or not enough data."""
    from scanproof.progress import show_progress
    from scanproof.protocol.validate import Site, validate as run_validation
    from scanproof.tracking.uri import resolve_tracking_uri

    cluster = choose_cluster(executor, address=address, gpus=gpus_per_task, memory=memory_per_task)
    uri = None if no_tracking else resolve_tracking_uri(tracking_uri, root)
    with interruptible("finished work is kept, run again to go on"), show_progress(protocol.stem) as progress:
        validation = run_validation(
            protocol,
            Site(site, data, manifest),
            root=root,
            workers=count_workers(workers, cluster),
            cluster=cluster,
            store_at=store,
            tracking_uri=uri,
            command=repeatable_command(sys.argv[1:]),
            allow_other_code=allow_other_code,
            on_start=progress.start,
            on_done=progress.done,
            on_stage=progress.stage,
        )
    _summarise(validation)


def _say(frozen: Frozen) -> None:
    protocol = frozen.protocol
    print(frozen.file)
    said = "frozen" if frozen.new else "was frozen already, nothing changed"
    print(
        f"scanproof: {protocol.name} {protocol.version} {said}; sha256 {protocol.protocol_sha256}",
        file=sys.stderr,
    )


def _summarise(validation: Validation) -> None:
    from rich.console import Console

    from scanproof.protocol.console import show_validation

    show_validation(validation.record, Console())
    for what, name in (("Report", "report.html"), ("Record", "validation.json")):
        print(f"{what:<8} {validation.folder / name}")
