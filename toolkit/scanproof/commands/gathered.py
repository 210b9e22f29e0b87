"""Commands about results of many studies and sites, too many to hold in memory."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

gathered_app = typer.Typer(help="Results of many sites in one folder, asked out of core.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of gathered results.", show_default=False)]


@gathered_app.command()
def add(
    tables: Annotated[
        list[Path], typer.Argument(metavar="RESULTS...", help="Folders of finished studies, or their results.parquet.")
    ],
    folder: Annotated[Path, typer.Option("--to", metavar="DIR", help="Made when missing.")],
) -> None:
    """Take results tables in, a part of their rows at a time."""
    from scanproof.gathered.folder import gather

    new = gather(tables, folder, on_done=lambda path: print(path))
    print(f"{new} new, {len(tables) - new} there already")


@gathered_app.command()
def query(
    folder: Folder,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="COLUMN=VALUE", help="Several times; of one column, any of the values."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="COLUMNS", help="Group by these: shift,severity.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="CSV", help="Default: print.")] = None,
) -> None:
    """Number, mean, spread and extremes of image metrics over cases, group by group."""
    from scanproof.gathered.query import aggregate, parse_where

    names = [name.strip() for name in by.split(",") if name.strip()]
    found = aggregate(folder, where=parse_where(where or ()), by=names)
    if output is None:
        print(found.to_string(index=False))
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    found.to_csv(output, index=False, lineterminator="\n")
    print(output)


@gathered_app.command()
def report(
    folder: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write.")],
    study: Annotated[str, typer.Option("--study", metavar="NAME", help="Default: the only one there is.")] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the resamples.")] = 0,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Behind each interval.")] = 1000,
    confidence: Annotated[float, typer.Option("--confidence", help="Of the intervals.")] = 0.95,
) -> None:
    """Mean image quality at every site and over the sites, with intervals: a report and a table."""
    from scanproof.evaluation.bootstrap import Bootstrap
    from scanproof.gathered.quality import only_study
    from scanproof.gathered.report import report_gathered

    bootstrap = Bootstrap(seed=seed, resamples=resamples, confidence=confidence, interval="expanded")
    command = shlex.join(["scanproof", *sys.argv[1:]])
    name = study or only_study(folder)
    for path in report_gathered(folder, output, study=name, bootstrap=bootstrap, command=command):
        print(path)
