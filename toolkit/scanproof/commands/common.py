"""What several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scanproof.errors import ScanproofError

if TYPE_CHECKING:
    from scanproof.study.definition import Study
    from scanproof.study.executors.cluster import Cluster

Executor = Annotated[
    Literal["local", "ray"], typer.Option("--executor", help="Processes of this machine, or a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help="Of a running Ray cluster; default $RAY_ADDRESS, or one started here."
    ),
]
GpusPerTask = Annotated[
    float, typer.Option("--gpus-per-task", min=0, help="That Ray gives each training, which then computes on CUDA.")
]
MemoryPerTask = Annotated[
    float, typer.Option("--memory-per-task", metavar="GIB", min=0, help="That Ray sets aside for each task.")
]
StoreAt = Annotated[
    str | None,
    typer.Option("--store", metavar="DIR|URL", help="Of finished work, e.g. s3://bucket/prefix; default ROOT/store."),
]


def load_definition(
    study: Path,
    data: Path | None,
    manifest: Path | None,
    tracking_uri: str | None,
    root: Path,
    trust: Sequence[str] = (),
) -> Study:
    """The definition in a study file; what a reader must know of its saved reconstructions is said at once."""
    from scanproof.study.load import load_study
    from scanproof.study.model_notes import model_warnings
    from scanproof.study.model_source import ModelSource
    from scanproof.study.sources import data_notes

    models = ModelSource(root=root, tracking_uri=tracking_uri, trusted=frozenset(trust))
    definition = load_study(study, data=data, manifest=manifest, models=models)
    for warning in [*data_notes(definition), *model_warnings(definition)]:
        warn(warning)
    return definition


def warn(text: str) -> None:
    """Say what a user should know, and go on."""
    print(f"scanproof: warning: {text}", file=sys.stderr)


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """An interruption in the block ends the program with a line that says what is kept; typer would end silently."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"scanproof: interrupted; {kept}", file=sys.stderr)
        raise typer.Exit(130) from None


def choose_cluster(executor: str, *, address: str | None = None, gpus: float = 0, memory: float = 0) -> Cluster | None:
    """The Ray cluster of a command line; None for processes of this machine.

    Args:
        executor: ``"local"`` or ``"ray"``.
        address: see :class:`~scanproof.study.executors.cluster.Cluster`.
        gpus: likewise.
        memory: likewise, in GiB.

    Raises:
        ScanproofError: what only Ray can do is asked of processes.
    """
    if executor == "ray":
        from scanproof.study.executors.cluster import Cluster

        return Cluster(address=address, gpus=gpus, memory=int(memory * 2**30))
    for name, value in (("--address", address), ("--gpus-per-task", gpus), ("--memory-per-task", memory)):
        if value:
            raise ScanproofError("needs --executor ray", key=name, value=value)
    return None


def count_workers(workers: int, cluster: Cluster | None) -> int:
    """Tasks at once; where nothing is said, one a CPU core of this machine, or what a running cluster holds."""
    return workers or (0 if cluster is not None and cluster.running else cores())


def cores() -> int:
    """Number of CPU cores that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
