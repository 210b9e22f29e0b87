"""What the harness adds to the work it drives, and what a second worker gains.

========== =======================================================================================================
bare loop  the functions of a study's tasks, one after the other in one process, results handed on in memory: no
           plan, keys, store, hashes nor checks of what is read
harness    the same tasks by the executor with one worker into an empty store. The ratio of CPU seconds to those of
           the bare loop is the overhead; goal: 1.02. CPU seconds hardly depend on what else the machine does.
1 worker,  a new Python that plans the study and executes it with one and with two workers, start of all processes
2 workers  and imports included, on the clock. Goal: 1.8 times as fast. It needs two idle cores: the load before each
           round is printed, and a round beside other programs says nothing.
========== =======================================================================================================

Each pair is measured in turn; the ratio is the median of the rounds' ratios.

    python tests/benchmarks/bench_workers.py --json build/bench/workers.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from scanproof.study.executor import compute, execute, request_for
from scanproof.study.load import load_study
from scanproof.study.plan import Plan
from scanproof.study.run import Workspace, plan_study
from scanproof.study.store import Payload, Store

#: trainings, reconstructions, predictions and an evaluation, of the size of the demo's
STUDY = {
    "name": "bench",
    "data": {
        "kind": "demo",
        "sites": ["north", "south"],
        "training_sites": ["north"],
        "subjects": {"train": 30, "val": 8, "test": 12},
        "slices": 4,
        "matrix": [96, 80],
    },
    "acquisition": {"accelerations": [4]},
    "shifts": [{"name": "ghosting", "severities": [1, 3, 5]}, {"name": "complex_noise", "severities": [1, 3, 5]}],
    "reconstruction": [{"name": "fully_sampled"}, {"name": "compressed_sensing"}],
    "classification": [
        {"name": "resnet18", "norms": ["batch", "group"], "seeds": [1, 2]}
        | {"options": {"width": 0.25}, "training": {"epochs": 4, "batch_size": 16}}
    ],
    "evaluation": {"resamples": 200},
}


class Memory(Store):
    """Results in memory, as they are."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"))
        self.found: dict[str, Payload] = {}

    def get(self, key: str) -> Payload:
        return self.found[key]


def bare(plan: Plan) -> None:
    """The loop that somebody would write who needs the tables once."""
    store = Memory()
    for task in plan.tasks:
        store.found[task.key] = compute(request_for(task), store, None)


def harness(plan: Plan, workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        execute(plan.tasks, Store(Path(folder)), workers=workers)


def from_scratch(path: Path, workers: int) -> float:
    """Seconds that a new process takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--execute", str(path), str(workers)], check=True)
    return time.perf_counter() - start


def planned(path: Path) -> Plan:
    return plan_study(load_study(path), Workspace(path.parent))


def measure(path: Path, plan: Plan, *, count: int, overhead: bool, two: bool) -> dict[str, list[float]]:
    """Seconds, round by round."""
    rounds: dict[str, list[float]] = {}
    if overhead:
        bare(plan)  # imports, and the atlas that the demo renders, once
    for _ in range(count):
        if overhead:
            began = time.process_time()
            bare(plan)
            between = time.process_time()
            harness(plan, 1)
            rounds.setdefault("bare loop, CPU s", []).append(between - began)
            rounds.setdefault("harness, CPU s", []).append(time.process_time() - between)
        if two:
            rounds.setdefault("load", []).append(os.getloadavg()[0])
            rounds.setdefault("1 worker, s", []).append(from_scratch(path, 1))
            rounds.setdefault("2 workers, s", []).append(from_scratch(path, 2))
    return rounds


def main() -> None:
    if sys.argv[1:2] == ["--execute"]:
        harness(planned(Path(sys.argv[2])), int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["overhead", "workers"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(yaml.safe_dump(STUDY))
        plan = planned(path)
        rounds = measure(path, plan, count=asked.rounds, overhead=asked.only != "workers", two=asked.only != "overhead")
    for name, values in rounds.items():
        print(f"{name:<18} {statistics.median(values):>8.2f}   {' '.join(f'{value:.2f}' for value in values)}")
    found: dict[str, float] = {}
    if asked.only != "workers":
        pairs = zip(rounds["harness, CPU s"], rounds["bare loop, CPU s"], strict=True)
        found["overhead"] = statistics.median(one / other for one, other in pairs)
    if asked.only != "overhead":
        pairs = zip(rounds["1 worker, s"], rounds["2 workers, s"], strict=True)
        found["two workers"] = statistics.median(one / other for one, other in pairs)
    for name, ratio in found.items():
        print(f"{name:<18} {ratio:>8.3f}x")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({"tasks": len(plan.tasks), "rounds": rounds, "ratios": found}, indent=1))


if __name__ == "__main__":
    main()
