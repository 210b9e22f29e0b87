"""The smallest study there is, run again and again by different means."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from scanproof.study.executors.cluster import Cluster
from scanproof.study.load import load_study
from scanproof.study.run import Finished, Workspace, run_study

#: a study of a few tasks, one of which trains
TINY = {
    "name": "tiny",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "matrix": [16, 16],
        "slices": 1,
        "subjects": {"train": 2, "val": 2, "test": 2},
    },
    "shifts": [{"name": "complex_noise", "severities": [1, 2]}],
    "reconstruction": [{"name": "fully_sampled"}],
    "evaluation": {"image_metrics": ["nrmse"], "resamples": 100},
}


@dataclass(frozen=True)
class Lab:
    """Where the study runs.

    Args:
        folder: of workspaces.
        file: of the study.
        done: kinds of the tasks that were computed in each workspace.
    """

    folder: Path
    file: Path
    done: dict[str, list[str]] = field(default_factory=dict)

    def run(self, name: str, cluster: Cluster | None, *, workers: int = 0, store_at: str | None = None) -> Finished:
        """Run the study in a workspace of that name."""
        done = self.done.setdefault(name, [])
        return run_study(
            load_study(self.file),
            Workspace(root=self.folder / name, store_at=store_at),
            workers=workers,
            cluster=cluster,
            tracking_uri=None,
            command="scanproof run",
            on_done=lambda task: done.append(task.kind),
        )


def tables(finished: Finished) -> dict[str, bytes]:
    """Tables and lock file of a finished study, byte by byte."""
    return {
        path.name: path.read_bytes()
        for path in sorted(finished.folder.iterdir())
        if path.suffix != ".html" and not path.name.startswith(".") and path.is_file()
    }
