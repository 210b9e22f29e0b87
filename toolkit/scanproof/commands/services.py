"""``scanproof services``: a PostgreSQL and an MLflow server of one's own, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scanproof.services.lab import Services

services_app = typer.Typer(help="A PostgreSQL and an MLflow server on this machine.", no_args_is_help=True)

Folder = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder of all their data.", envvar="SCANPROOF_SERVICES")
]
_FOLDER = Path("mlruns/services")


@services_app.command()
def start(
    data: Folder = _FOLDER,
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="Of MLflow.")] = 5000,
    postgresql_port: Annotated[int, typer.Option("--postgresql-port", min=1, max=65535)] = 5433,
) -> None:
    """Start what does not run, and print the variables by which programs find it."""
    from scanproof.services.lab import Services

    _print(Services(data, port, postgresql_port).start())


@services_app.command()
def stop(data: Folder = _FOLDER) -> None:
    """Stop what runs; all data is kept."""
    from scanproof.services.lab import Services

    print(f"stopped: {', '.join(Services(data).stop()) or 'nothing ran'}")


@services_app.command()
def status(data: Folder = _FOLDER) -> None:
    """Say what runs; exit code 1 where something does not."""
    import sys

    from scanproof.services.lab import Services

    found = Services.find(data)
    states = {"PostgreSQL": found.cluster.is_running(), "MLflow": found.server.is_running()}
    for name, runs in states.items():
        print(f"scanproof: {name} {'runs' if runs else 'does not run'}", file=sys.stderr)
    if not all(states.values()):
        raise typer.Exit(1)
    _print(found)


def _print(found: Services) -> None:
    import shlex

    for name, value in found.variables().items():
        print(f"export {name}={shlex.quote(value)}")
