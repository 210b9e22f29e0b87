"""The ``scanproof`` command: one subcommand a stage, no logic."""

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
    warn,
)
from scanproof.commands.data import data_app
from scanproof.commands.doctor import doctor
from scanproof.commands.exchange import compare_results, export_results, import_results
from scanproof.commands.gathered import gathered_app
from scanproof.commands.protocol import protocol_app, validate
from scanproof.commands.repeatable import ELSEWHERE, exposed
from scanproof.commands.scaling import app as scaling_app
from scanproof.commands.services import services_app
from scanproof.errors import ScanproofError, disk_error

if TYPE_CHECKING:
    from scanproof.study.finished import Finished

app = typer.Typer(
    help="How far can an MR reconstruction and classification chain be trusted?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")
app.add_typer(scaling_app, name="scaling")
app.add_typer(gathered_app, name="gathered")
app.add_typer(services_app, name="services")

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="Study file (YAML).", show_default=False)]
Root = Annotated[Path, typer.Option("--root", help="Folder of the store, the MLflow database and outputs.")]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Run on this folder of volumes, images or raw data.")
]
Manifest = Annotated[
    Path | None, typer.Option("--manifest", metavar="CSV", help="Its manifest; default DIR/cohort.csv.")
]
Image = Annotated[
    Path | None,
    typer.Option("--input", metavar="IMAGE", help="A volume (NIfTI or DICOM); default simulated subjects."),
]
Shifts = Annotated[
    list[str] | None, typer.Option("--shift", metavar="NAME", help="Only this shift; may be given several times.")
]
TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", metavar="URI", help="MLflow; default $MLFLOW_TRACKING_URI or ROOT/mlflow.db."),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", metavar="NAME|FILE", help="A model of others that may execute code; may be given several times."
    ),
]
NoTracking = Annotated[bool, typer.Option("--no-tracking", help="Do not log to MLflow.")]


@app.command()
def run(
    study: StudyFile,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default ROOT/studies/NAME.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option("--workers", "-j", min=0, help="Processes; 0 for one a CPU core. Results do not depend on it."),
    ] = 0,
    executor: Executor = "local",
    address: Address = None,
    gpus_per_task: GpusPerTask = 0,
    memory_per_task: MemoryPerTask = 0,
    store: StoreAt = None,
    data: Data = None,
    manifest: Manifest = None,
    trust: Trust = None,
    tracking_uri: TrackingUri = None,
    no_tracking: NoTracking = False,
    root: Root = Path("mlruns"),
) -> None:
    """Run a study: results, report and MLflow runs."""
    from scanproof.commands.repeatable import repeatable_command
    from scanproof.progress import show_progress
    from scanproof.study.run import Workspace, run_study
    from scanproof.tracking.uri import resolve_tracking_uri

    cluster = choose_cluster(executor, address=address, gpus=gpus_per_task, memory=memory_per_task)
    definition = load_definition(study, data, manifest, tracking_uri, root, trust or ())
    uri = None if no_tracking else resolve_tracking_uri(tracking_uri, root)
    with interruptible("finished work is kept, run again to go on"), show_progress(definition.name) as progress:
        finished = run_study(
            definition,
            Workspace(root=root, output=output, store_at=store),
            workers=count_workers(workers, cluster),
            cluster=cluster,
            tracking_uri=uri,
            command=repeatable_command(sys.argv[1:]),
            on_start=progress.start,
            on_done=progress.done,
            on_stage=progress.stage,
        )
    _summarise(finished, root=root)


@app.command()
def train(
    study: StudyFile,
    reconstruction: Annotated[
        list[str] | None,
        typer.Option("--reconstruction", "-r", metavar="NAME", help="Only this; may be given several times."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda, one CUDA device a process.")] = "cpu",
    store: StoreAt = None,
    data: Data = None,
    manifest: Manifest = None,
    tracking_uri: TrackingUri = None,
    no_tracking: NoTracking = False,
    root: Root = Path("mlruns"),
) -> None:
    """Train a study's reconstructions, so that a run finds them; `torchrun -m scanproof train` uses several devices."""
    from scanproof.progress import show_progress
    from scanproof.study.run import Workspace
    from scanproof.study.torchrun import joined
    from scanproof.study.train import train_study
    from scanproof.tracking.uri import resolve_tracking_uri

    definition = load_definition(study, data, manifest, tracking_uri, root)
    uri = None if no_tracking else resolve_tracking_uri(tracking_uri, root)
    with (
        interruptible("finished epochs are kept, train again to go on"),
        joined(device) as processes,
        show_progress(definition.name, quiet=not processes.first) as progress,
    ):
        trained = train_study(
            definition,
            Workspace(root=root, store_at=store),
            names=tuple(reconstruction or ()),
            tracking_uri=uri,
            on_start=progress.start,
            on_done=progress.done,
            on_stage=progress.stage,
        )
    for one in trained if processes.first else ():
        print(one)


@app.command()
def plan(
    study: StudyFile,
    store: StoreAt = None,
    data: Data = None,
    manifest: Manifest = None,
    trust: Trust = None,
    tracking_uri: TrackingUri = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Try the models of others, too, as a run does first.")
    ] = False,
    root: Root = Path("mlruns"),
) -> None:
    """Show what a study would compute, and how much of it is finished already."""
    from rich.console import Console
    from rich.table import Table

    from scanproof.study.dry_run import try_models
    from scanproof.study.executor import count_by_kind, missing_tasks
    from scanproof.study.run import Workspace, plan_study

    definition = load_definition(study, data, manifest, tracking_uri, root, trust or ())
    workspace = Workspace(root=root, store_at=store)
    if dry_run:
        for tried in try_models(definition):
            print(tried)
    planned = plan_study(definition, workspace)
    tasks, held = planned.tasks, workspace.store
    present = held.present(task.key for task in tasks)
    cached = count_by_kind(task for task in tasks if task.key in present)
    to_run = count_by_kind(missing_tasks(tasks, held, wanted=planned.wanted))
    table = Table(title=f"Plan of {definition.name}", caption="“to run” leaves out what only finished tasks need")
    table.add_column("task")
    for name in ("all", "cached", "to run"):
        table.add_column(name, justify="right")
    for kind, count in count_by_kind(tasks).items():
        table.add_row(kind.replace("_", " "), str(count), str(cached[kind]), str(to_run[kind]))
    table.add_section()
    table.add_row("total", *(str(n) for n in (len(tasks), sum(cached.values()), sum(to_run.values()))))
    Console().print(table)


@app.command()
def tables(
    study: StudyFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write.", show_default=False)],
    against: Annotated[
        str | None, typer.Option("--against", metavar="NAME", help="Compare the other reconstructions with this one.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Only this on the page; may be given again.")
    ] = None,
    store: StoreAt = None,
    data: Data = None,
    manifest: Manifest = None,
    trust: Trust = None,
    tracking_uri: TrackingUri = None,
    root: Root = Path("mlruns"),
) -> None:
    """Write what a finished study found as CSV, Markdown and figures, for a manuscript."""
    from scanproof.study.run import Workspace
    from scanproof.study.tables import export_tables

    definition = load_definition(study, data, manifest, tracking_uri, root, trust or ())
    command = f"scanproof run {study}"
    written = export_tables(
        definition, Workspace(root=root, store_at=store), output, command=command, against=against, metrics=metric or ()
    )
    for path in written:
        print(path)


@app.command()
def tune(
    study: StudyFile,
    method: Annotated[
        str, typer.Option("--method", "-m", help="Un-trained reconstruction to tune.", show_default=False)
    ],
    trials: Annotated[int, typer.Option("--trials", "-n", min=1, help="In total; a second run goes on.")] = 50,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            metavar="NAME",
            help="held_out (needs no reference; default), psnr, ssim or nrmse; give seconds, too, for a trade-off.",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Most processor time of a slice; slower trials are stopped.")
    ] = None,
    slices: Annotated[int, typer.Option("--slices", min=1, help="Validation slices that a trial reconstructs.")] = 4,
    preset: Annotated[
        str, typer.Option("--preset", metavar="NAME|FILE", help="Settings that the search starts from.")
    ] = "default",
    fixed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Not searched; may be given several times."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="OPTION", help="Search only this; may be given several times.")
    ] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds after which no trial starts.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sampler.")] = 0,
    workers: Annotated[int, typer.Option("--workers", "-j", min=1, help="Processes.")] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            envvar="SCANPROOF_STORAGE",
            show_envvar=False,
            help="Database or .journal file of the trials; default SCANPROOF_STORAGE, else under ROOT.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default ROOT/tuning/STUDY-METHOD.")
    ] = None,
    executor: Executor = "local",
    address: Address = None,
    gpus_per_task: GpusPerTask = 0,
    memory_per_task: MemoryPerTask = 0,
    store: StoreAt = None,
    data: Data = None,
    manifest: Manifest = None,
    tracking_uri: TrackingUri = None,
    no_tracking: NoTracking = False,
    root: Root = Path("mlruns"),
) -> None:
    """Search for the settings of an un-trained reconstruction: a preset, a page and MLflow runs."""
    from scanproof.tracking.uri import resolve_tracking_uri
    from scanproof.tuning.console import TrialLines, show
    from scanproof.tuning.run import Effort, tune as run_search
    from scanproof.tuning.search import Request

    cluster = choose_cluster(executor, address=address, gpus=gpus_per_task, memory=memory_per_task)
    definition = load_definition(study, data, manifest, tracking_uri, root)
    lines = TrialLines(definition.name)
    with interruptible("finished trials are kept, run again to go on"):
        tuned = run_search(
            definition,
            Request(
                method=method,
                objectives=tuple(objective or ("held_out",)),
                slices=slices,
                seconds=seconds,
                preset=preset,
                fixed=tuple(fixed or ()),
                only=tuple(only or ()),
            ),
            Effort(trials=trials, timeout=timeout, workers=workers, seed=seed, storage=storage),
            cluster=cluster,
            root=root,
            store_at=store,
            output=output,
            study_file=str(study),
            tracking_uri=None if no_tracking else resolve_tracking_uri(tracking_uri, root),
            on_stage=lines.stage,
            on_trial=lines.trial,
        )
    show(tuned)


@app.command()
def register(
    study: StudyFile,
    network: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Of a reconstruction or classifier in the study.", show_default=False),
    ],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Of the registered model; default STUDY-NAME.")
    ] = None,
    acceleration: Annotated[
        float | None, typer.Option("--acceleration", "-R", help="Of a reconstruction trained for several.")
    ] = None,
    norm: Annotated[str | None, typer.Option("--norm", help="Of a classifier trained with several.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of a classifier trained with several.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the model into this folder, besides.")
    ] = None,
    store: StoreAt = None,
    data: Data = None,
    manifest: Manifest = None,
    tracking_uri: TrackingUri = None,
    root: Root = Path("mlruns"),
) -> None:
    """Put a trained reconstruction or classifier into MLflow's model registry, for other studies to load."""
    from scanproof.study.register import register_network
    from scanproof.study.run import Workspace
    from scanproof.tracking.uri import resolve_tracking_uri

    options = {"--data": data, "--manifest": manifest, "--root": None if root == Path("mlruns") else root}
    given = [part for option, value in options.items() if value for part in (option, str(value))]
    registered = register_network(
        load_definition(study, data, manifest, tracking_uri, root),
        Workspace(root=root, store_at=store),
        network,
        uri=resolve_tracking_uri(tracking_uri, root),
        name=name,
        acceleration=acceleration,
        norm=norm,
        seed=seed,
        folder=output,
        command=["scanproof", "run", str(study), *given],
    )
    version = registered.version
    if not registered.new:
        said = f"the same network is version {version.number} of {version.name} already; nothing was added"
        print(f"scanproof: {said}", file=sys.stderr)
    print(version.uri)


@app.command()
def power(
    half_width: Annotated[
        list[float] | None,
        typer.Option("--half-width", help="Know an AUROC to plus or minus this; may be given several times."),
    ] = None,
    difference: Annotated[
        list[float] | None,
        typer.Option("--difference", help="Show that two models differ, when by this AUROC."),
    ] = None,
    margin: Annotated[
        list[float] | None,
        typer.Option("--margin", help="Show that one is no worse by this AUROC, when equal."),
    ] = None,
    target: Annotated[float, typer.Option("--power", help="Probability with which the study shows it.")] = 0.8,
    auroc: Annotated[float | None, typer.Option("--auroc", help="Expected; default 0.8.")] = None,
    prevalence: Annotated[float | None, typer.Option("--prevalence", help="Of positive cases; default 0.3.")] = None,
    slices: Annotated[int | None, typer.Option("--slices", help="Of each subject; default 1.")] = None,
    intraclass: Annotated[
        float | None, typer.Option("--intraclass", help="Correlation of two slices of a subject; default 0.5.")
    ] = None,
    correlation: Annotated[
        float | None, typer.Option("--correlation", help="Of two models on the same slice; default 0.5.")
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", help="Trainings of each model; default 5.")] = None,
    spread: Annotated[
        float | None, typer.Option("--spread", help="Standard deviation of the AUROC between trainings; default 0.01.")
    ] = None,
    confidence: Annotated[float, typer.Option("--confidence", help="Of the intervals.")] = 0.95,
    pilot: Annotated[
        Path | None, typer.Option("--pilot", metavar="STUDY", help="Finished study that says what to expect.")
    ] = None,
    reconstruction: Annotated[
        str | None, typer.Option("--reconstruction", "-r", metavar="NAME", help="Of the pilot; default all.")
    ] = None,
    simulate: Annotated[
        int, typer.Option("--simulate", metavar="N", min=0, help="Check the plan by so many simulated studies.")
    ] = 0,
    root: Root = Path("mlruns"),
) -> None:
    """Say how many subjects a study needs, before it is run."""
    from rich.console import Console

    from scanproof.study.power import expectation, planned, power_table

    given = {
        "auroc": auroc,
        "prevalence": prevalence,
        "slices": slices,
        "intraclass": intraclass,
        "correlation": correlation,
        "trainings": seeds,
        "spread": spread,
        "confidence": confidence,
    }
    study = None if pilot is None else load_definition(pilot, None, None, None, root)
    expected = expectation(given, pilot=study, root=root, reconstruction=reconstruction)
    sizes = {"half_width": half_width or (), "difference": difference or (), "margin": margin or ()}
    plans = planned(sizes, expected, power=target, simulated=simulate)
    Console().print(power_table(plans, expected))


@app.command()
def schema() -> None:
    """Print the JSON schema of a study file, for editors."""
    from scanproof.study.schema import study_schema

    print(study_schema())


@app.command()
def ui(
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535)] = 5000,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; the default is this machine alone.")
    ] = "127.0.0.1",
    tracking_uri: TrackingUri = None,
    root: Root = Path("mlruns"),
) -> None:
    """Open MLflow's own interface on the results."""
    from scanproof.tracking.server import is_loopback, serve_ui, study_addresses
    from scanproof.tracking.uri import resolve_tracking_uri

    uri = resolve_tracking_uri(tracking_uri, root)
    if not is_loopback(host):
        warn(f"no password is asked for: whoever reaches {host} on port {port} can read, change and delete the runs")
    for name, address in study_addresses(uri, host=host, port=port).items():
        print(f"{name}: {address}", flush=True)
    raise typer.Exit(serve_ui(uri, host=host, port=port))


@app.command("severity-table")
def severity_table(
    image: Image = None,
    shift: Shifts = None,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write .md, .csv or .json; may be given several times."),
    ] = None,
) -> None:
    """Measure what every severity of every shift does to an image; exit code 1 where one is not monotone."""
    from scanproof.atlas.families import by_family
    from scanproof.atlas.write import TABLES, check_output, write_table

    # what is wrong is said before anything slow begins
    names, files = by_family(shift), [check_output(path, TABLES) for path in output or []]

    from rich.console import Console

    from scanproof.atlas.console import console_table, tracked
    from scanproof.atlas.measure import measure_shift
    from scanproof.atlas.sources import measured
    from scanproof.atlas.table import SeverityTable

    anatomies = measured(image)
    levels = [level for name in tracked(names, doing="measuring") for level in measure_shift(name, anatomies)]
    table = SeverityTable(
        levels=levels, anatomies=anatomies.text, command=_command("severity-table", image, shift, output)
    )
    Console().print(console_table(table))
    for path in files:
        print(write_table(table, path))
    for (name, _), fault in table.faults.items():
        print(f"scanproof: not monotone: {name}: {fault}", file=sys.stderr)
    raise typer.Exit(1 if table.faults else 0)


@app.command()
def gallery(
    image: Image = None,
    index: Annotated[
        int | None,
        typer.Option("--slice", metavar="N", help="Axial slice, from 0 at the bottom; default the middle."),
    ] = None,
    shift: Shifts = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A .html, .png or .pdf file.")] = Path(
        "gallery.html"
    ),
) -> None:
    """Show every severity of every shift on one page."""
    from scanproof.atlas.families import by_family
    from scanproof.atlas.write import GALLERIES, check_output, write_gallery

    names, path = by_family(shift), check_output(output, GALLERIES)

    from scanproof.atlas.console import tracked
    from scanproof.atlas.gallery import gallery_row
    from scanproof.atlas.sources import shown

    anatomies = shown(image, index=index)
    rows = [gallery_row(name, anatomies) for name in tracked(names, doing="drawing")]
    choice = [] if index is None else ["--slice", str(index)]
    command = _command("gallery", image, shift, [output], *choice)
    print(write_gallery(rows, path, text=anatomies.text, command=command))


def _command(name: str, image: Path | None, shifts: list[str] | None, files: list[Path] | None, *more: str) -> str:
    """The command as a reader may repeat it, without the image's name, which may be a patient's."""
    parts = [name, *(["--input", "IMAGE"] if image else []), *more]
    for option, values in (("--shift", shifts), ("--output", files)):
        parts += [part for value in values or [] for part in (option, str(value))]
    return shlex.join(["scanproof", *parts])


def _summarise(finished: Finished, *, root: Path) -> None:
    import shutil

    from rich.console import Console

    from scanproof.progress import claims_table, summary_table
    from scanproof.tracking.server import ui_address
    from scanproof.tracking.uri import default_tracking_uri, is_database, redact
    from scanproof.tracking.views import FIRST

    console = Console()
    console.print(summary_table(finished.summary))
    if finished.claims is not None:
        console.print(claims_table(finished.claims))

    def line(what: str, value: object) -> None:
        console.print(f"{what:<8} {value}", soft_wrap=True, highlight=False, markup=False)

    line("Report", finished.report)
    line("Tables", finished.folder / "results.parquet")
    uri = finished.tracking_uri
    if uri is None:
        return
    if not is_database(uri):
        line("MLflow", redact(uri))
        return
    # a virtual environment that is not activated has its commands under their paths alone
    program = ["scanproof"] if shutil.which("scanproof") else [sys.argv[0]]
    if Path(sys.argv[0]).name == "__main__.py":
        program = ["python", "-m", "scanproof"]
    place = [] if root == Path("mlruns") else ["--root", str(root)]
    if uri != default_tracking_uri(root):
        place = ["--tracking-uri", redact(uri)]
    line("MLflow", shlex.join([*program, "ui", *place]))
    line("", f"then open {ui_address(str(finished.experiment_id), view=FIRST)}")


app.add_typer(protocol_app, name="protocol")
app.command()(validate)
app.command()(doctor)
app.command("export")(export_results)
app.command("import")(import_results)
app.command("compare")(compare_results)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from scanproof import __version__

        print(f"scanproof {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; wrong input ends with one clear line and exit code 2."""
    for option in exposed(sys.argv[1:]):
        warn(f"{option} holds a password that other users of this machine can read; {ELSEWHERE}")
    try:
        app()
    except (ScanproofError, OSError) as error:
        told = disk_error(error) if isinstance(error, OSError) else error
        if told is None:
            raise
        print(f"scanproof: error: {told}", file=sys.stderr)
        sys.exit(2)
