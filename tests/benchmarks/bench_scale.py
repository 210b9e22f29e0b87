"""What a study costs as it grows: planning a million tasks, and asking and reporting a hundred million rows.

========== =======================================================================================================
planning   ``studies/normalization.yaml`` with so many training seeds that its plan has a million tasks: reading the
           file, making the plan with all keys, and finding that none of them is stored. Goal: 10 s, 1 GB.
gather     results tables of so many sites that they have 10^8 rows about cases (10,000 cases a site), checked against
           the schema and laid into partitions by ``scanproof gathered add``, one site a table.
one site   ``scanproof gathered query --where site=... --by shift,severity``: only its partition is read.
all rows   ``scanproof gathered query --by metric,shift,severity``: every row is read.
report     ``scanproof gathered report``: means and intervals of all sites, from bootstraps of subjects. Goal: 2 GB.
========== =======================================================================================================

Every line is a process of its own: CPU seconds, seconds on the clock, and the most memory that it held.

    python tests/benchmarks/bench_scale.py --rows 100_000_000 --json build/bench/scale.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

from scanproof.evaluation.table import RESULT_COLUMNS, conform
from scanproof.gathered.folder import gather

ROOT = Path(__file__).resolve().parents[2]
CASES = 10_000
#: of a site: 5 conditions and 2 metrics of each of its cases
CONDITIONS = (("none", 0), ("ghosting", 3), ("ghosting", 5), ("complex_noise", 3), ("complex_noise", 5))
METRICS = ("ssim", "nrmse")
SITE_ROWS = CASES * len(CONDITIONS) * len(METRICS)

PLAN = """
from pathlib import Path
from scanproof.study.executor import missing_tasks
from scanproof.study.load import load_study
from scanproof.study.run import Workspace, plan_study
workspace = Workspace(Path({root!r}))
plan = plan_study(load_study(Path({study!r})), workspace)
print(len(missing_tasks(plan.tasks, workspace.store, wanted=plan.wanted)))
"""


class Cost(NamedTuple):
    """Of a process."""

    cpu: float
    wall: float
    megabytes: float


def cost(*arguments: str) -> Cost:
    """Run Python and measure it."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"failed: {' '.join(arguments)[:200]}")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, usage.ru_maxrss / 1024)


def planning(folder: Path, tasks: int) -> Cost:
    """Planning, in a study that has almost so many predictions."""
    content = yaml.safe_load((ROOT / "studies/normalization.yaml").read_text())
    # 3 normalizations; at 3 sites, 3 reconstructions of 23 shifts at 5 severities and the clean condition, and 3 more
    seeds = round(tasks / (3 * (3 * 3 * (23 * 5 + 1) + 3)))
    content["classification"][0]["seeds"] = list(range(1, seeds + 1))
    study = folder / "million.yaml"
    study.write_text(yaml.safe_dump(content))
    return cost("-c", PLAN.format(root=str(folder / "none"), study=str(study)))


def sites(folder: Path, rows: int) -> Path:
    """Tables of sites, gathered one after the other; each is deleted once it is there."""
    template = pd.DataFrame(
        [
            {"case": case, "shift": shift, "severity": severity, "metric": metric}
            for case in range(CASES)
            for shift, severity in CONDITIONS
            for metric in METRICS
        ]
    ).assign(study="hospitals", reconstruction="unet", acceleration=4.0, n=1)
    lock = {"study": "hospitals", "study_sha256": "0", "code_version": "generated", "versions": {}}
    lock["definition"] = {"name": "hospitals", "description": "Generated rows.", "data": {"kind": "demo"}}
    source, target = folder / "site", folder / "gathered"
    source.mkdir()
    (source / "study.lock.yaml").write_text(yaml.safe_dump(lock))
    rng = np.random.default_rng(0)
    for number in range(max(1, rows // SITE_ROWS)):
        site = f"hospital {number:04d}"
        subject = site + "-" + (template["case"] // 4).astype(str)
        case = site + "-" + template["case"].astype(str)
        value = rng.beta(8, 2, size=len(template)).round(6)
        rows_of = template.assign(site=site, subject=subject, case=case, value=value)
        means = rows_of.groupby(["shift", "severity", "metric"], as_index=False)["value"].mean()
        whole = means.assign(study="hospitals", site=site, reconstruction="unet", acceleration=4.0, n=CASES)
        table = conform(pd.concat([rows_of, whole], ignore_index=True), RESULT_COLUMNS)
        table.to_parquet(source / "results.parquet", index=False)
        gather([source], target)
    return target


def main() -> None:
    if sys.argv[1:2] == ["--gather"]:
        sites(Path(sys.argv[2]), int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where 10^8 rows find 3 GB; default: of temporary files")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        gathered = str(folder / "gathered")
        command = ("-m", "scanproof", "gathered")
        asked_of = ("--where", "site=hospital 0000", "--by", "shift,severity")
        measured = {
            "imports alone": cost("-c", "import scanproof.study.load, scanproof.study.run"),
            f"planning {asked.tasks:,} tasks": planning(folder, asked.tasks),
            f"gather {asked.rows:,} rows": cost(__file__, "--gather", str(folder), str(asked.rows)),
            "one site": cost(*command, "query", gathered, *asked_of),
            "all rows": cost(*command, "query", gathered, "--by", "metric,shift,severity"),
            "report": cost(*command, "report", gathered, "-o", f"{folder}/page", "--resamples", str(asked.resamples)),
        }
        size = sum(file.stat().st_size for file in Path(gathered).rglob("*.parquet")) / 2**30
    print(f"{'what':<28} {'CPU':>9} {'clock':>9} {'memory':>10}")
    for what, (cpu, wall, megabytes) in measured.items():
        print(f"{what:<28} {cpu:>7.1f} s {wall:>7.1f} s {megabytes:>7.0f} MB")
    print(f"{size:.2f} GB on disk")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({what: one._asdict() for what, one in measured.items()} | {"GB": size}, indent=1))


if __name__ == "__main__":
    main()
