"""``scanproof export``, ``import`` and ``compare``: results on their way from the sites to those who compare them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scanproof.protocol.exchange.export import Prepared
    from scanproof.protocol.exchange.intake import Taken

Root = Annotated[Path, typer.Option("--root", help="Folder of the store, the MLflow database and outputs.")]
TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", metavar="URI", help="MLflow; default $MLFLOW_TRACKING_URI or ROOT/mlflow.db."),
]
NoTracking = Annotated[bool, typer.Option("--no-tracking", help="Do not log to MLflow.")]


def export_results(
    site: Annotated[str, typer.Option("--site", metavar="NAME", help="As it was validated.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.zip", help="Where to write.", show_default=False)
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol", metavar="NAME|FILE", help="Where the site followed several; a file states --small-cell."
        ),
    ] = None,
    per_case: Annotated[
        bool, typer.Option("--per-case", help="Add readings of single cases, under new pseudonyms.")
    ] = False,
    small_cell: Annotated[
        int | None,
        typer.Option("--small-cell", metavar="N", help="Tell of no fewer people; default the protocol's, or 5."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would leave; write nothing.")] = False,
    root: Root = Path("mlruns"),
) -> None:
    """Write what a site sends of a validation: numbers about the whole site, nothing of images or persons."""
    from scanproof.errors import ScanproofError
    from scanproof.protocol.exchange.export import prepare_export, write_export

    if output is None and not dry_run:
        raise ScanproofError("must be given", key="--output", hint="or --dry-run, to see what would leave")
    prepared = prepare_export(root, site=site, protocol=protocol, small_cell=small_cell, per_case=per_case)
    _show(prepared)
    if dry_run or output is None:
        return
    print(f"SHA-256  {prepared.sha256}")
    print(write_export(prepared, output))


def import_results(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.zip...", help="What sites sent.", show_default=False)],
    protocol: Annotated[
        Path | None, typer.Option("--protocol", metavar="FILE", help="Frozen protocol that they must have followed.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Let new results of a site replace its old ones.")] = False,
    tracking_uri: TrackingUri = None,
    no_tracking: NoTracking = False,
    root: Root = Path("mlruns"),
) -> None:
    """Take in what sites sent; exit code 2 where a file is refused, which leaves the others as they are."""
    from scanproof.protocol.exchange.intake import import_exports
    from scanproof.protocol.exchange.places import read_identity
    from scanproof.tracking.uri import resolve_tracking_uri

    uri = None if no_tracking else resolve_tracking_uri(tracking_uri, root)
    identity = None if protocol is None else read_identity(protocol)
    taken = import_exports(files, root=root, protocol=identity, replace=replace, on_taken=_tell)
    if uri is not None:
        from scanproof.protocol.exchange.log import log_import

        for one in taken:
            if one.export is not None:
                log_import(one.export, uri=uri, artifact_root=root / "artifacts")
    raise typer.Exit(2 if any(one.state == "refused" for one in taken) else 0)


def compare_results(
    protocol: Annotated[str, typer.Option("--protocol", metavar="NAME", help="Whose imports.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default ROOT/comparisons/NAME.")
    ] = None,
    tracking_uri: TrackingUri = None,
    no_tracking: NoTracking = False,
    root: Root = Path("mlruns"),
) -> None:
    """Compare the imported sites of a protocol: forest plots, how far they differ, site × norm."""
    from scanproof.commands.repeatable import repeatable_command
    from scanproof.protocol.exchange.run import compare_sites
    from scanproof.tracking.uri import resolve_tracking_uri

    uri = None if no_tracking else resolve_tracking_uri(tracking_uri, root)
    command = repeatable_command(sys.argv[1:])
    found = compare_sites(root, protocol, output=output, tracking_uri=uri, command=command)
    for sentence in found.sentences:
        print(sentence)
    print()
    for path in found.files:
        print(path)


def _show(prepared: Prepared) -> None:
    print(prepared.files["README.txt"].decode())
    print("What the file says of the site:")
    print(prepared.files["validation.json"].decode())
    for name, one in prepared.contents.files.items():
        print(f"{one.size:>10} bytes  {name}")


def _tell(taken: Taken) -> None:
    if taken.export is None:
        print(f"scanproof: error: {taken.error}", file=sys.stderr)
        return
    words = {"known": "was imported before, nothing new", "replaced": "replaced what the site sent before"}
    said = words.get(taken.state, "imported")
    print(f"{taken.file}: {taken.export.site}, {taken.export.validation.verdict}: {said}: {taken.folder}")
