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

app = typer.Typer(help="Scaling laws: how much data and how large a network is worth having.", no_args_is_help=True)
app.command()(run)
app.command()(theory)

Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="Table of a sweep (parquet), or its folder.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the resamples.")]
Resamples = Annotated[int, typer.Option("--resamples", min=100, help="Behind each interval.")]
Confidence = Annotated[float, typer.Option("--confidence", help="Of the intervals.")]
Together = Annotated[
    Literal["training", "seed"],
    typer.Option("--draw", help="Draw trainings anew size by size, or seeds with all sizes (they draw the examples)."),
]


@app.command()
def fit(
    results: Results,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default: fits, beside the table.")
    ] = None,
    axis: Annotated[
        list[str] | None,
        typer.Option("--axis", metavar="NAME", help="mse, nrmse, dssim, psnr or ssim; may be given several times."),
    ] = None,
    draw: Together = "training",
    seed: Seed = 0,
    resamples: Resamples = 1000,
    confidence: Confidence = 0.95,
) -> None:
    """Fit power laws to a sweep: exponents, break and asymptote with intervals, and the verdict on flattening."""
    from rich.console import Console

    from scanproof.scaling.analysis import analyse_table
    from scanproof.scaling.table import read_sweep
    from scanproof.scaling.write import write_fits

    table = read_sweep(results)
    bootstrap = _bootstrap(seed, resamples, confidence)
    with Console(stderr=True).status("fitting") as status:
        found = analyse_table(
            table, bootstrap=bootstrap, axes=axis or (), draw=draw, on_curve=lambda text: status.update(text)
        )
    for one in found:
        print(f"{one.task}, {one.data}, {one.shift}, {one.axis.label}: {one.finding.verdict} ({one.finding.why})")
    files = write_fits(
        found,
        output or _beside(results, "fits"),
        title="Scaling laws",
        command=repeatable_command(sys.argv[1:]),
        level=confidence,
    )
    print(files[0])


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


def _bootstrap(seed: int, resamples: int, confidence: float) -> Bootstrap:
    from scanproof.evaluation.bootstrap import Bootstrap

    return Bootstrap(seed=seed, resamples=resamples, confidence=confidence, interval="expanded")


def _beside(results: Path, name: str) -> Path:
    return (results if results.is_dir() else results.parent) / name
