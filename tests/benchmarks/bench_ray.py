"""What a Ray cluster costs beside processes of this machine: until the first task is done, and on each task after it.

Tasks are draws of a small simulation, which take milliseconds, so that what is measured is the harness. Executors are
taken in turn; figures are medians:

    python tests/benchmarks/bench_ray.py --json build/bench/ray.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from scanproof.scaling.theory.definition import TheoryStudy
from scanproof.scaling.theory.run import theory_tasks
from scanproof.study.executor import execute
from scanproof.study.executors.cluster import Cluster
from scanproof.study.store import Store

STUDY = {
    "scaling": "theory",
    "name": "overhead",
    "settings": [{"d": 2, "n": 10, "sigma": 0.1}],
    "examples": [1, 2, 4, 8, 16],
    "runs": 60,
}
#: a run on one CPU core, on as many processes as Ray has, and on Ray
EXECUTORS: dict[str, tuple[int, Cluster | None]] = {
    "this process": (1, None),
    "2 processes": (2, None),
    "Ray, 2 CPUs": (2, Cluster()),
}


def run(folder: Path, workers: int, cluster: Cluster | None) -> tuple[float, float]:
    """Seconds until the first task is done, and seconds of each after it."""
    tasks = theory_tasks(TheoryStudy.model_validate(STUDY))
    done: list[float] = []
    began = time.perf_counter()
    execute(
        tasks,
        Store(folder),
        workers=workers,
        cluster=cluster,
        wanted=tasks,
        on_done=lambda task: done.append(time.perf_counter()),
    )
    return done[0] - began, (done[-1] - done[0]) / (len(done) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in EXECUTORS}
    for _ in range(given.rounds):
        for name, (workers, cluster) in EXECUTORS.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(run(Path(folder), workers, cluster))
    measured = {
        name: {
            "first_task_s": statistics.median(first for first, _ in runs),
            "each_task_ms": 1000 * statistics.median(each for _, each in runs),
        }
        for name, runs in found.items()
    }
    print(f"{'executor':<14} {'first task':>12} {'each task after it':>20}")
    for name, one in measured.items():
        print(f"{name:<14} {one['first_task_s']:>10.2f} s {one['each_task_ms']:>17.2f} ms")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
