"""Commands about a site's own files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(help="Look at a site's own files.", no_args_is_help=True)


@data_app.callback()
def _data() -> None:
    """Look at a site's own files."""


@data_app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the site.", show_default=False)],
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", metavar="FILE", help="CSV or Parquet; default DIR/cohort.csv, if it is there."),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option("--template", metavar="CSV", help="Write a manifest to fill in, of all files that can be read."),
    ] = None,
    site: Annotated[str, typer.Option("--site", metavar="NAME", help="Where no manifest tells it.")] = "local",
    html: Annotated[Path | None, typer.Option("--html", metavar="PAGE", help="Write a page with pictures.")] = None,
    no_images: Annotated[bool, typer.Option("--no-images", help="Leave pictures out of the page.")] = False,
    record: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all that was found, for programs.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option("--workers", "-j", min=0, help="Processes; 0 for one a CPU core. Results do not depend on it."),
    ] = 0,
) -> None:
    """Read every file of a folder and say what is wrong; exit code 2 where something is."""
    from rich.console import Console

    from scanproof.commands.common import cores, interruptible
    from scanproof.intake.checkup import check_intake
    from scanproof.intake.console import counting, print_check
    from scanproof.intake.discover import take_in, template as template_of
    from scanproof.intake.write import check_target, write_text

    targets = [check_target(path) for path in (template, html, record) if path is not None]
    intake = take_in(folder, manifest=manifest, site=site)
    total = int(intake.examined.manifest.table["path"].notna().sum())
    with interruptible("nothing was written"):
        if template is not None:
            write_text(template, template_of(intake))
        with counting(total) as done:
            pictures = html is not None and not no_images
            found = check_intake(intake, workers=workers or cores(), pictures=pictures, on_done=done)
        if record is not None:
            from scanproof.intake.record import as_json

            write_text(record, as_json(found))
        if html is not None:
            from scanproof.intake.page import render_check

            write_text(html, render_check(found))
    print_check(found, Console())
    for path in targets:
        print(path)
    if not intake.given and template is None:
        hint = f"scanproof data check {folder} --template {folder / 'cohort.csv'}"
        print(f"scanproof: nobody has said whose the files are: write a manifest to fill in by {hint}", file=sys.stderr)
    raise typer.Exit(0 if found.clean else 2)
