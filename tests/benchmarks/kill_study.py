"""Kills runs at many moments of their lives, starts them again, and compares what they end with.

Each command is run once undisturbed, and once more from nothing with SIGKILL at random moments (seeded, spread over
start-up, computing, writing and logging; the main process, all of its processes, or one worker). After every kill no
process may stay alive, and no finished result may be written again; at the end, tables and MLflow must be the same:

    python tests/benchmarks/kill_study.py --json build/bench/kills.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from killing import Moment, Running, Whom, entries, inventory
from scanproof.data.demo.generator import demo_cohort

STUDY = """
name: small
seed: 7
data: {kind: demo, sites: [north, south], subjects: {train: 6, val: 6, test: 6}, slices: 2, matrix: [32, 28]}
acquisition: {accelerations: [2]}
shifts: [{name: complex_noise, severities: [2]}]
reconstruction:
  - {name: fully_sampled}
  - {name: unet, options: {features: [4, 4, 4, 4, 4, 4], epochs: 8}}
classification:
  - {name: resnet18, norms: [batch, layer], options: {width: 0.0625}, training: {epochs: 8, batch_size: 8}}
evaluation: {resamples: 100, image_metrics: [nrmse]}
claims:
  - {text: Alike., compare: unet, against: fully_sampled, metric: nrmse, expect: similar, margin: 0.01}
"""
SWEEP = """
scaling: 1
name: small
seed: 3
data: {kind: demo, sites: [north], subjects: {train: 3, val: 2, test: 2}, slices: 2, matrix: [32, 32]}
tasks: [{task: denoising, training: {rate: {start: 1.0e-3, most: 2, steps: 2}}}]
examples: [2, 5]
widths: [2, 3]
seeds: [1, 2]
training: {batch_size: 2, every: 2, steps: 20}
"""
PROTOCOL = """
name: small
seed: 7
data: {kind: demo, sites: [north], subjects: {train: 6, val: 6, test: 6}, slices: 2, matrix: [32, 28]}
acquisition: {accelerations: [2]}
shifts: [{name: complex_noise, severities: [5]}]
reconstruction: [{name: zero_filled}, {name: unet, options: {features: [4, 4, 4, 4, 4, 4], epochs: 1}}]
evaluation: {resamples: 200, image_metrics: [ssim, nrmse]}
"""
PLAN = """
name: small-protocol
version: "1"
title: A small protocol
endpoints: [{name: likeness, role: primary, metric: ssim, reconstruction: unet, rule: at_least, limit: 0.01}]
minimum: {subjects: 6, cases: 12}
data: {extent: [0.1, 0.9]}
"""
TINY = ("channels=4", "layers=3", "kernel=3", "iterations=20", "warmup=5", "check=5", "precision=float32")
LOGGING = "logging to MLflow"


@dataclass(frozen=True)
class Command:
    """A command whose runs are killed.

    Args:
        name: of the command.
        arguments: all but the root.
        writing: what it says before it writes results.
        kills: how many.
        outcome: what a finished run leaves under its root, by name, as texts to compare.
        prepare: makes what it needs in a folder, which is the working folder of all runs.
        exact: MLflow holds the same numbers afterwards, not only as many runs.
    """

    name: str
    arguments: Sequence[str]
    writing: str
    kills: int
    outcome: Callable[[Path], dict[str, str]]
    prepare: Callable[[Path], None]
    exact: bool = True


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def study_outcome(root: Path) -> dict[str, str]:
    folder = root / "studies" / "small"
    names = ("results.parquet", "predictions.parquet", "comparisons.parquet", "claims.csv", "study.lock.yaml")
    return {name: digest(folder / name) for name in names}


def sweep_outcome(root: Path) -> dict[str, str]:
    folder = root / "scaling" / "small"
    rows = pd.read_parquet(folder / "results.parquet").drop(columns="seconds")  # the one thing that time changes
    return {"results": rows.to_csv(), "scaling.lock.yaml": digest(folder / "scaling.lock.yaml")}


def search_outcome(root: Path) -> dict[str, str]:
    """A trial that was interrupted is tried again under the next number, so only what is counted can be the same."""
    rows = pd.read_csv(root / "tuning" / "small-conv_decoder" / "trials.csv", keep_default_na=False)
    finished = rows[rows["state"].isin(["complete", "pruned", "infeasible"])]
    return {"finished trials": str(len(finished)), "start": rows.loc[rows["trial"] == 0, "held_out"].to_csv()}


def validation_outcome(root: Path) -> dict[str, str]:
    folder = root / "validations" / "small-protocol" / "elsewhere"
    record = json.loads((folder / "validation.json").read_text())
    record["files"].pop("report.html", None)  # which says when it was made
    return {"validation.json": json.dumps(record, sort_keys=True), "results": digest(folder / "results.parquet")}


def moments(undisturbed: Running, command: Command, stored: int, seed: int) -> list[Moment]:
    """Random moments in the order in which a run meets them: each run goes on where the one before was killed."""
    draw = random.Random(seed)
    end = undisturbed.told[-1][0]
    writing = undisturbed.when(command.writing)
    logging = undisturbed.when(LOGGING)
    share = command.kills / 24
    early = [Moment("", draw.uniform(0.05, undisturbed.when("reading data") + 2)) for _ in range(round(3 * share))]
    whoms: list[Whom] = ["main", "all", "main", "worker"]
    middle = [
        Moment(round(stored * (number + draw.random()) / (11 * share + 1)), draw.uniform(0, 1), draw.choice(whoms))
        for number in range(round(11 * share))
    ]
    late = [Moment(command.writing, draw.uniform(0, logging - writing)) for _ in range(round(4 * share))]
    rest = command.kills - len(early) - len(middle) - len(late)
    last = [Moment(LOGGING, draw.uniform(0, max(end - logging, 2.0))) for _ in range(rest)]
    return [*early, *middle, *late, *last]


def run(command: Command, folder: Path, *, seed: int) -> dict[str, object]:
    """Kill a command again and again, and compare with its undisturbed run."""
    whole, root = folder / "whole", folder / "killed"
    command.prepare(folder)
    for path in (whole, root):  # pseudonyms depend on the key of an installation
        path.mkdir()
        (path / "site.key").write_text("ab" * 32)
    undisturbed = Running([*command.arguments, "--root", whole], folder)
    assert undisturbed.finish() == 0, undisturbed.text
    expected, stored = command.outcome(whole), len(entries(whole / "store"))
    kept: dict[str, tuple[int, int]] = {}
    kills: list[dict[str, object]] = []
    again: set[str] = set()
    planned = moments(undisturbed, command, stored, seed)
    for moment in planned:
        if isinstance(moment.stage, int):  # what the run before has done is no moment of this one
            done = len(kept)
            moment = replace(moment, stage=max(moment.stage, done + 1) if done < stored else command.writing)
        running = Running([*command.arguments, "--root", root], folder)
        reached = running.reach(moment, root / "store")
        left = running.kill(moment.whom) if reached else 0.0
        code = running.finish()
        now = entries(root / "store")
        again |= {key for key in kept if now.get(key) != kept[key]}
        kept |= now
        row = {"stage": moment.stage, "seconds": round(moment.seconds, 2), "whom": moment.whom, "reached": reached}
        row |= {"code": code, "stored": len(now), "gone after": left, "traceback": "Traceback" in running.text}
        kills.append(row)
        print(f"{command.name:<10} {json.dumps(row)}", flush=True)
    last = Running([*command.arguments, "--root", root], folder)
    assert last.finish() == 0, last.text
    now = entries(root / "store")
    again |= {key for key in kept if now.get(key) != kept[key]}
    found = command.outcome(root)
    return {
        "kills": kills,
        "killed": sum(bool(row["reached"]) for row in kills),
        "results in the store": f"{len(now)} of {stored}",
        "computed again": len(again),
        "processes left": sum(row["gone after"] is None for row in kills),
        "different": [name for name in expected if found[name] != expected[name]],
        "MLflow": differences(logged(whole, exact=command.exact), logged(root, exact=command.exact)),
    }


def logged(root: Path, *, exact: bool) -> list[str]:
    """What MLflow holds; where numbers may differ, only how many runs of which status."""
    lines = inventory(root / "mlflow.db")
    return lines if exact else [line.partition(" in ")[2].partition(",")[0] for line in lines]


def differences(expected: Sequence[str], found: Sequence[str]) -> list[str]:
    """Lines that only one has."""
    missing, more = list(expected), []
    for line in found:
        if line in missing:
            missing.remove(line)
        else:
            more.append(line)
    return [f"- {line[:300]}" for line in missing] + [f"+ {line[:300]}" for line in more]


def write(name: str, text: str) -> Callable[[Path], None]:
    """Writes a file."""

    def prepare(folder: Path) -> None:
        (folder / name).write_text(text)

    return prepare


def write_protocol(folder: Path) -> None:
    """A frozen protocol, and a hospital's folder of volumes."""
    (folder / "frozen.yaml").write_text(PROTOCOL)
    (folder / "plan.yaml").write_text(PLAN)
    for arguments in (
        ("run", "frozen.yaml", "-j", "2", "--no-tracking", "--root", "freezing"),
        ("protocol", "freeze", "frozen.yaml", "-o", "protocol.yaml", "--plan", "plan.yaml", "--root", "freezing"),
    ):
        running = Running(arguments, folder)
        assert running.finish() == 0, running.text
    site = folder / "site"
    site.mkdir()
    cohort = demo_cohort("south", subjects={"test": 10}, slices=2, matrix=(32, 28), seed=3)
    rows = []
    for number, (subject, part) in enumerate(cohort.cases.groupby("subject")):
        volume = np.moveaxis(cohort.images[part.index, 0], 0, -1)[::-1].transpose(1, 0, 2)
        nib.save(nib.Nifti1Image(volume, np.diag([2.0, 2.0, 8.0, 1.0])), site / f"{subject}.nii.gz")
        rows.append({"subject": subject, "path": f"{subject}.nii.gz", "label_lesion": number % 2})
    pd.DataFrame(rows).to_csv(site / "cohort.csv", index=False)


def commands(*, kills: int, few: int) -> list[Command]:
    """All commands; the study is killed ``kills`` times, the others ``few`` times."""
    tune = ["tune", "study.yaml", "--method", "conv_decoder", "--trials", "6", "--slices", "3", "--workers", "2"]
    tune += [part for text in TINY for part in ("--set", text)] + ["--only", "learning_rate", "--only", "norm"]
    sweep = ["scaling", "run", "sweep.yaml", "-j", "2"]
    validate = ["validate", "protocol.yaml", "--data", "site", "--site", "elsewhere", "-j", "2"]
    results, study = "writing results", write("study.yaml", STUDY)
    return [
        Command("run", ["run", "study.yaml", "-j", "2"], results, kills, study_outcome, study),
        Command("scaling", sweep, results, few, sweep_outcome, write("sweep.yaml", SWEEP)),
        Command("tune", tune, "writing preset", few, search_outcome, study, exact=False),
        Command("validate", validate, results, few, validation_outcome, write_protocol),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=24, help="of the study; at least 20")
    parser.add_argument("--few", type=int, default=5, help="of each other command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="only this command")
    options = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    for command in commands(kills=options.kills, few=options.few):
        if options.only and command.name not in options.only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found[command.name] = run(command, Path(folder), seed=options.seed)
    columns = ("killed", "results in the store", "computed again", "processes left", "different", "MLflow")
    print(" | ".join(("command", *columns)))
    for command, row in found.items():
        print(" | ".join((command, *(str(row[column]) for column in columns))))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1))
    wrong = [row for row in found.values() if row["computed again"] or row["processes left"] or row["different"]]
    return 1 if wrong or any(row["MLflow"] for row in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
