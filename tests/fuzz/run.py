"""Read many damaged, odd and hostile inputs of every kind, and say what became of them.

Every input must end in a right result or in one line of ours, in bounded time and memory. Inputs depend on the seed,
their kind and their number alone; ``--keep`` writes one to a folder:

    cd tests && python -m fuzz.run --json ../build/bench/fuzz.json
    cd tests && python -m fuzz.run --only nifti --number 17 --keep /tmp/input
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path

from fuzz.harness import Outcome, attempt, kind_of, run
from fuzz.kinds import KINDS

#: seconds and bytes that an input may take
SLOWEST, MOST = 5.0, 2**30
#: states that are defects
WRONG = ("unclear", "traceback", "died", "endless")


def wrong(found: Outcome) -> bool:
    """Whether an outcome is a defect."""
    return found.state in WRONG or found.seconds > SLOWEST or found.peak > MOST


def fuzz(options: argparse.Namespace) -> dict[str, object]:
    print(f"{'kind':<18} {'inputs':>7} {'refused':>8} {'accepted':>9} {'tracebacks':>11} {'slowest':>9} {'peak':>9}")
    rows: dict[str, object] = {}
    for name in options.only or KINDS:
        outcomes = []
        for found in run(name, range(options.start, options.start + options.count), seed=options.seed):
            outcomes.append(found)
            if wrong(found):
                place = f"{name} {found.number}: {found.state}, {found.seconds:.1f} s, {found.peak / 1e6:.0f} MB"
                print(f"{place}\n{found.said}", file=sys.stderr, flush=True)
        states = Counter(found.state for found in outcomes)
        row = {
            "inputs": len(outcomes),
            "refused": states["refused"],
            "accepted": states["accepted"],
            "tracebacks": sum(states[state] for state in WRONG),
            "slowest_s": max(found.seconds for found in outcomes),
            "peak_mb": max(found.peak for found in outcomes) / 1e6,
            "wrong": [found.number for found in outcomes if wrong(found)],
        }
        rows[name] = row
        print(
            f"{name:<18} {row['inputs']:>7} {row['refused']:>8} {row['accepted']:>9} {row['tracebacks']:>11} "
            f"{row['slowest_s']:>7.2f} s {row['peak_mb']:>6.0f} MB",
            flush=True,
        )
    return {"seed": options.seed, "start": options.start, "cores": os.cpu_count(), "kinds": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--count", type=int, default=500, help="inputs of each kind")
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(KINDS), help="may be given several times")
    parser.add_argument("--number", type=int, help="one input, of one kind")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to write that input")
    options = parser.parse_args()
    if options.number is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        kind = kind_of(options.only[0], options.keep / "base")
        print(attempt(kind, options.only[0], options.number, seed=options.seed, keep=options.keep))
        return
    result = fuzz(options)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1))
    sys.exit(any(row["wrong"] for row in result["kinds"].values()))  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
