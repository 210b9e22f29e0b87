"""``scanproof scaling``: how much data and how large a network is worth having."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scanproof.commands.repeatable import repeatable_command
from scanproof.commands.sweep import run, theory

if TYPE_CHECKING:
    from scanproof.evaluation.bootstrap import Bootstrap
    from scanproof.scaling.ladder import Draw
    from scanproof.scaling.report import SweepReport

app = typer.Typer(help="Scaling laws: how much data and how large a network is worth having.", no_args_is_help=True)
app.command()(run)
app.command()(theory)

Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="Table of a sweep (parquet), or its folder.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the resamples.")]
Resamples = Annotated[int, typer.Option("--resamples", min=100, help="Behind each interval.")]
Confidence = Annotated[float, typer.Option("--confidence", help="Of the intervals.")]
Axes = Annotated[
    list[str] | None,
    typer.Option("--axis", metavar="NAME", help="mse, nrmse, dssim, psnr or ssim; may be given several times."),
]
_DRAW = "Draw trainings anew size by size, or seeds with all sizes (they draw the examples)"
Together = Annotated[Literal["training", "seed"], typer.Option("--draw", help=f"{_DRAW}.")]
Drawn = Annotated[
    Literal["training", "seed"] | None,
    typer.Option("--draw", help=f"{_DRAW}; default: seed for a sweep that was run here, else training."),
]


@app.command()
def fit(
    results: Results,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default: fits, beside the table.")
    ] = None,
    axis: Axes = None,
    draw: Drawn = None,
    seed: Seed = 0,
    resamples: Resamples = 1000,
    confidence: Confidence = 0.95,
) -> None:
    """Fit power laws to a sweep: exponents, break and asymptote with intervals, and the verdict on flattening."""
    from scanproof.scaling.write import write_fits, write_report

    report = _analysed(results, axis, draw, _bootstrap(seed, resamples, confidence))
    for one in report.found:
        print(f"{one.task}, {one.data}, {one.shift}, {one.axis.label}: {one.finding.verdict} ({one.finding.why})")
    folder = output or _beside(results, "fits")
    print(write_fits(report, folder)[0])
    print(write_report(report, folder))


@app.command()
def tables(
    results: Results,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write.", show_default=False)],
    axis: Axes = None,
    draw: Drawn = None,
    seed: Seed = 0,
    resamples: Resamples = 1000,
    confidence: Confidence = 0.95,
) -> None:
    """Write what a finished sweep found as CSV, Markdown and figures, for a manuscript."""
    from scanproof.scaling.write import write_fits

    for path in write_fits(_analysed(results, axis, draw, _bootstrap(seed, resamples, confidence)), output):
        print(path)


@app.command()
def plan(
    results: Results,
    target_gain: Annotated[
        str, typer.Option("--target-gain", metavar="GAIN", help="What a doubling must bring: 0.1dB, 0.005 (SSIM).")
    ],
    data_cost: Annotated[float, typer.Option("--data-cost", help="Of one more example.")] = 0.0,
    hour_cost: Annotated[float, typer.Option("--hour-cost", help="Of one CPU hour of training.")] = 0.0,
    at: Annotated[
        list[int] | None, typer.Option("--at", metavar="N", help="Double this many examples, too; several times.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the plan into this folder, besides.")
    ] = None,
    draw: Together = "training",
    seed: Seed = 0,
    resamples: Resamples = 1000,
    confidence: Confidence = 0.95,
) -> None:
    """Say what doubling the data or the network gains, and from which size on it is not worth it."""
    from rich.console import Console
    from rich.markdown import Markdown

    from scanproof.scaling.cost import Prices
    from scanproof.scaling.page import plan_page
    from scanproof.scaling.planner import plan_table
    from scanproof.scaling.table import read_sweep
    from scanproof.scaling.target import parse_target
    from scanproof.scaling.write import write_plans

    target, prices = parse_target(target_gain), Prices(example=data_cost, hour=hour_cost)
    bootstrap = _bootstrap(seed, resamples, confidence)
    plans = plan_table(read_sweep(results), target, bootstrap=bootstrap, prices=prices, at=at or (), draw=draw)
    title, command = f"Is twice as much worth {target}?", repeatable_command(sys.argv[1:])
    console = Console()
    text = plan_page(plans, title=title, command=command, level=confidence)
    console.print(Markdown(text)) if console.is_terminal else print(text)
    if output is not None:
        print(write_plans(plans, output, title=title, command=command, level=confidence)[0])


def _analysed(results: Path, axes: list[str] | None, draw: Draw | None, bootstrap: Bootstrap) -> SweepReport:
    from datetime import UTC, datetime

    from rich.console import Console

    from scanproof.scaling.gather import gather

    with Console(stderr=True).status("fitting") as status:
        return gather(
            results,
            bootstrap=bootstrap,
            command=repeatable_command(sys.argv[1:]),
            axes=axes or (),
            draw=draw,
            created=datetime.now(UTC).isoformat("T", "seconds"),
            on_curve=lambda text: status.update(text),
        )


def _bootstrap(seed: int, resamples: int, confidence: float) -> Bootstrap:
    from scanproof.evaluation.bootstrap import Bootstrap

    return Bootstrap(seed=seed, resamples=resamples, confidence=confidence, interval="expanded")


def _beside(results: Path, name: str) -> Path:
    return (results if results.is_dir() else results.parent) / name
