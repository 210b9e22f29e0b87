"""The tables of a sweep, read from the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scanproof.data.cohort import SPLITS
from scanproof.scaling.definition import Sweep
from scanproof.scaling.plan import SweepPlan
from scanproof.study.saved_model import hash_weights
from scanproof.study.store import Store

#: columns of the results table: one row a case and metric
RESULT_COLUMNS = {
    "study": "string",
    "task": "string",
    "data": "string",
    "examples": "int64",
    "width": "int64",
    "parameters": "int64",
    "seed": "int64",
    "split": "string",
    "shift": "string",
    "severity": "int64",
    "subject": "string",
    "case": "string",
    "metric": "string",
    "value": "float64",
    "seconds": "float64",
}


def results_table(sweep: Sweep, plan: SweepPlan, store: Store) -> pd.DataFrame:
    """All measurements of a finished sweep, with the columns of :data:`RESULT_COLUMNS`.

    ``split`` is ``val`` or ``test``, ``shift`` ``none`` or an artifact, and ``seconds`` the processor time of the
    network's training (of a clock, where it was trained on a GPU), the search for its learning rate left out.
    """
    tables = []
    for cell in plan.cells:
        trained, measured = store.get(cell.training.key), store.get(cell.test.key)
        facts: Mapping[str, Any] = {
            "study": sweep.name,
            "task": cell.task,
            "data": sweep.data.kind,
            "examples": cell.examples,
            "width": cell.width,
            "seed": cell.seed,
            **{name: trained.facts[name] for name in ("parameters", "seconds")},
        }
        tables.append(measured.tables["cases"].assign(**facts))
    together = pd.concat(tables, ignore_index=True)
    return together[list(RESULT_COLUMNS)].astype(RESULT_COLUMNS)


def searches_table(plan: SweepPlan, store: Store) -> pd.DataFrame:
    """The learning rates that were found: one row a search, ``at_edge`` where a larger one may be better."""
    rows = []
    for task in plan.tasks:
        if task.kind == "scale_rate":
            names = [cell.task for cell in plan.cells if task in cell.training.inputs.get("rate", ())]
            facts = store.get(task.key).facts
            asked = {name: task.params[name] for name in ("examples", "width")}
            rows.append({"task": names[0], **asked, "rate": facts["rate"], "at_edge": facts["at_edge"]})
    return pd.DataFrame(rows)


def trainings_table(plan: SweepPlan, store: Store) -> pd.DataFrame:
    """How every network was trained: one row a network.

    ``ended`` is ``plateau`` where the protocol had stopped improving, and ``steps`` where the training came to the most
    steps that it may take; such a network may get better with more.
    """
    rows = []
    for cell in plan.cells:
        trained = store.get(cell.training.key)
        protocol: Mapping[str, Any] = cell.training.params["protocol"]  # type: ignore[assignment]
        history, most = trained.tables["history"], protocol["steps"]
        last, best = history.iloc[-1], int(str(trained.facts["best_round"]))
        rows.append(
            {
                "task": cell.task,
                "examples": cell.examples,
                "width": cell.width,
                "seed": cell.seed,
                "rate": trained.facts["rate"],
                "steps": int(last["step"]),
                "best_step": int(history["step"].iloc[best - 1]),
                "val_loss": float(history["val_loss"].min()),
                "ended": "steps" if most is not None and last["step"] >= most else "plateau",
                "seconds": trained.facts["seconds"],
                "model_sha256": hash_weights(trained.arrays),
            }
        )
    return pd.DataFrame(rows)


def participants_table(plan: SweepPlan, store: Store) -> pd.DataFrame:
    """How many subjects and cases there are, before training sets are drawn: one row a site and split."""
    rows = []
    for site, task in plan.cohorts.items():
        cases = store.get(task.key).tables["cases"]
        for split in SPLITS:
            own = cases[cases["split"] == split]
            rows.append({"site": site, "split": split, "subjects": own["subject"].nunique(), "cases": len(own)})
    return pd.DataFrame(rows)
