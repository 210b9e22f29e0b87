"""What several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from scanproof.study.definition import Study


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


def cores() -> int:
    """Number of CPU cores that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
