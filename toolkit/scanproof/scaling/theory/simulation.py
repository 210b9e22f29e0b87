"""One draw of examples, and what was learned from them; and a table of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from scanproof.scaling.theory.asymptotics import asymptotes
from scanproof.scaling.theory.estimators import Decomposition
from scanproof.scaling.theory.subspace import Subspace
from scanproof.seeds import derive_seed
from scanproof.study.store import Payload
from scanproof.study.tasks.context import Context, Inputs, Params

#: estimators, as columns name their risks
ESTIMATORS = ("early_stopped", "pca", "minimum_norm")
SETTING = ("d", "n", "sigma")


def simulate(model: Subspace, examples: int, *, run: int, seed: int) -> dict[str, float | int]:
    """Draw examples, learn from them, and compute the exact risks.

    Args:
        model: the setting.
        examples: N.
        run: number of the draw; each has a subspace of its own.
        seed: of the study.

    Returns:
        Setting, ``examples``, ``run``, the best number of ``steps`` of gradient descent, and a risk for each of
        :data:`ESTIMATORS`.

    Example:
        >>> row = simulate(Subspace(2, 10, 0.1), 50, run=0, seed=1)
        >>> row["early_stopped"] < 0.02
        True
    """
    drawing = derive_seed(seed, "subspace", model.d, model.n, repr(model.sigma), examples, run)
    learned = Decomposition(model.draw(examples, np.random.default_rng(drawing)))
    stopped = learned.early_stopped()
    return {
        "d": model.d,
        "n": model.n,
        "sigma": model.sigma,
        "examples": examples,
        "run": run,
        "steps": stopped.steps,
        "early_stopped": stopped.risk,
        "pca": learned.pca(),
        "minimum_norm": learned.minimum_norm(),
    }


def simulate_task(key: str, params: Params, inputs: Inputs, context: Context) -> Payload:
    """A draw as a task: :func:`simulate` by the task's parameters."""
    row = simulate(
        Subspace(params["d"], params["n"], params["sigma"]), params["examples"], run=params["run"], seed=params["seed"]
    )
    return Payload(facts=row)


def risk_table(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Median, least and largest risk of every estimator over the runs, beside the closed forms.

    Args:
        rows: of :func:`simulate`.

    Returns:
        One row a setting, number of examples and estimator: ``d, n, sigma, examples, estimator, runs, median, least,
        largest, closed_form, few_examples, optimal``; closed forms are missing where they do not hold.
    """
    table = pd.DataFrame(list(rows)).melt([*SETTING, "examples", "run"], list(ESTIMATORS), "estimator", "risk")
    grouped = table.groupby([*SETTING, "examples", "estimator"], sort=True)["risk"]
    summary = grouped.agg(runs="size", median="median", least="min", largest="max").reset_index()
    settings = summary[[*SETTING, "examples"]].to_numpy(float)
    forms = [asymptotes(Subspace(int(d), int(n), float(sigma)), int(count)) for d, n, sigma, count in settings]
    summary["closed_form"] = [form[name] for form, name in zip(forms, summary["estimator"], strict=True)]
    summary["few_examples"] = [form["few_examples"] for form in forms]
    summary["optimal"] = [form["optimal"] for form in forms]
    return summary
