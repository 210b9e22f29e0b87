"""What the harness costs beside the work it drives: start-up, an unchanged re-run, storing a result.

Ratios are measured side by side in one run, interleaved, as medians:

    python tests/benchmarks/bench_harness.py --json build/bench/harness.json

``start-up`` is ``scanproof --help`` against a Python that does nothing; ``re-run`` a small study run again with nothing
changed, against importing what it needs; ``store`` one result's bytes through the store against a plain file; with
``--finished ROOT`` a study that is finished there is run again as it is, goal 5 s for ``studies/normalization.yaml``.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scanproof.study.store import Payload, Store

ROOT = Path(__file__).resolve().parents[2]


def interleaved(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each action, taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            began = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def python(*arguments: str, cwd: Path = ROOT) -> None:
    subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, capture_output=True)


def start_up() -> dict[str, float]:
    """The command's help against a Python that does nothing."""
    return interleaved(
        {
            "python -c pass": lambda: python("-c", "pass"),
            "scanproof --help": lambda: python("-m", "scanproof", "--help"),
        },
        rounds=7,
    )


def rerun(folder: Path) -> dict[str, float]:
    """A small study: first run, and again with nothing changed, against importing what it needs."""
    study = folder / "small.yaml"
    study.write_text(
        "name: small\n"
        "data: {kind: demo, sites: [north], subjects: {train: 8, val: 6, test: 8}, slices: 3, matrix: [48, 40]}\n"
        "shifts: [{name: ghosting, severities: [1, 3, 5]}]\n"
        "reconstruction: [{name: fully_sampled}]\n"
        "classification: [{name: resnet18, options: {width: 0.0625}, training: {epochs: 2}}]\n"
        "evaluation: {resamples: 100}\n"
    )
    command = ("-m", "scanproof", "run", "small.yaml", "-j", "1", "--no-tracking")
    began = time.perf_counter()
    python(*command, cwd=folder)
    first = time.perf_counter() - began
    imports = "import torch, pandas, pandera, matplotlib.figure"
    again = interleaved(
        {"imports alone": lambda: python("-c", imports), "unchanged re-run": lambda: python(*command, cwd=folder)},
        rounds=3,
    )
    return {"first run": first, **again}


def rerun_finished(study: Path, root: Path) -> dict[str, float]:
    """A study that is finished in ``root``, run again, tracking included: clock, and CPU of the process alone.

    The first run of it here may have something to write; it is not counted.
    """
    command = ("-m", "scanproof", "run", str(study.absolute()), "--root", str(root.absolute()), "-j", "1")
    python(*command)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = interleaved({study.stem: lambda: python(*command)}, rounds=3)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {f"{study.stem}, CPU": cpu / 3, **found}


def storing(folder: Path) -> dict[str, float]:
    """Storing and reading one reconstruction's images, against writing and reading the same bytes."""
    images = np.random.default_rng(0).integers(0, 2**16, size=(80, 1, 96, 80), dtype=np.uint16)
    store, plain = Store(folder / "store"), folder / "plain.bin"
    keys = iter(f"{n:064x}" for n in range(10_000))
    last: list[str] = []

    def put() -> None:
        last[:] = [next(keys)]
        store.put(last[0], Payload(arrays={"images": images}), task={})

    return interleaved(
        {
            "plain write": lambda: plain.write_bytes(images.tobytes()),
            "store put": put,
            "plain read": plain.read_bytes,
            "store get": lambda: store.get(last[0]),
        },
        rounds=50,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--study", type=Path, default=ROOT / "studies/normalization.yaml")
    parser.add_argument("--finished", type=Path, metavar="ROOT", help="where this study is finished: run it again")
    asked = parser.parse_args()
    target: Path = asked.json
    with tempfile.TemporaryDirectory() as folder:
        measured = {"start-up": start_up(), "re-run": rerun(Path(folder)), "store (1.2 MB)": storing(Path(folder))}
    if asked.finished is not None:
        measured["finished study"] = rerun_finished(asked.study, asked.finished)
    print(f"{'what':<16} {'case':<20} {'median':>10} {'ratio':>8}")
    for what, cases in measured.items():
        reference = next(iter(cases.values()))
        for case, seconds in cases.items():
            print(f"{what:<16} {case:<20} {1000 * seconds:>7.1f} ms {seconds / reference:>7.2f}x")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
