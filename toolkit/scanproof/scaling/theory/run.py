"""Running a simulation of linear estimators on the executor and store of studies."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from scanproof.scaling.kinds import KINDS
from scanproof.scaling.theory.definition import TheoryStudy
from scanproof.scaling.theory.figure import risk_figure
from scanproof.scaling.theory.simulation import risk_table
from scanproof.study.executor import execute
from scanproof.study.executors.cluster import Cluster
from scanproof.study.kinds import add_kinds
from scanproof.study.plan import Task
from scanproof.study.reading import explain, read_yaml
from scanproof.study.remote_store import open_store
from scanproof.study.store import write_atomically

add_kinds(KINDS)


def load_theory(path: Path) -> TheoryStudy:
    """Read and check the file of a simulation.

    Raises:
        ScanproofError: unreadable file, YAML error, unknown key or wrong value.
    """
    content = read_yaml(path, what="file of a simulation")
    try:
        return TheoryStudy.model_validate(content)
    except ValidationError as error:
        raise explain(error, path, root=TheoryStudy, variants={}) from None


def theory_tasks(study: TheoryStudy) -> list[Task]:
    """One task a setting, number of examples and run."""
    return [
        Task(
            "simulate_risk",
            {
                "threads": 1,
                "seed": study.seed,
                "d": setting.d,
                "n": setting.n,
                "sigma": setting.sigma,
                "examples": examples,
                "run": run,
            },
        )
        for setting, examples, run in study.points()
    ]


def run_theory(
    study: TheoryStudy,
    root: Path,
    output: Path,
    *,
    workers: int,
    cluster: Cluster | None = None,
    store_at: str | None = None,
    on_start: Callable[[Sequence[Task]], None] = lambda tasks: None,
    on_done: Callable[[Task], None] = lambda task: None,
) -> pd.DataFrame:
    """Simulate what is not finished yet, and write ``risks.csv`` and ``risks.png``.

    Args:
        study: the definition.
        root: folder of the store.
        output: folder of table and figure.
        workers: see :func:`scanproof.study.executor.execute`; the table does not depend on it.
        cluster: likewise.
        store_at: see :func:`~scanproof.study.remote_store.open_store`.
        on_start: see :func:`scanproof.study.executor.execute`.
        on_done: likewise.

    Returns:
        The table, see :func:`~scanproof.scaling.theory.simulation.risk_table`.

    Raises:
        ScanproofError: store or output cannot be written. Finished draws are kept.
    """
    tasks, store = theory_tasks(study), open_store(store_at, root=root)
    execute(tasks, store, workers=workers, cluster=cluster, wanted=tasks, on_start=on_start, on_done=on_done)
    table = risk_table(store.get(task.key).facts for task in tasks)
    write_atomically(output / "risks.csv", table.to_csv(index=False, float_format="%.6g").encode())
    picture = io.BytesIO()
    risk_figure(table).savefig(picture, format="png", dpi=110)
    write_atomically(output / "risks.png", picture.getvalue())
    return table
