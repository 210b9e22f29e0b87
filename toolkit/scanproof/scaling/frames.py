"""What an analysis found, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from scanproof.scaling.analysis import Scaling
from scanproof.scaling.planner import Plan
from scanproof.scaling.robustness import Robustness


def point_table(found: Iterable[Scaling]) -> pd.DataFrame:
    """A row each number of examples: the width that was chosen, where it stands in the grid, and what it measures."""
    rows = []
    for one in found:
        for index, best in enumerate(one.best):
            value, lower, upper = (float(part[index]) for part in one.points)
            rows.append(
                {
                    **_place(one),
                    "examples": best.examples,
                    "width": best.width,
                    "parameters": best.parameters,
                    "edge": best.edge,
                    "trainings": int(one.ladder.trainings[index]),
                    "cases": one.ladder.values[index].shape[1],
                    "subjects": len(set(one.ladder.subjects)),
                    "value": value,
                    "lower": lower,
                    "upper": upper,
                }
            )
    return pd.DataFrame(rows)


def fit_table(found: Iterable[Scaling]) -> pd.DataFrame:
    """A row each form and parameter, with its interval."""
    rows = []
    for one in found:
        for form, law in one.laws.items():
            for name, estimate in law.estimates().items():
                value, lower, upper = (float(part) for part in estimate)
                row = {"form": form, "chosen": form == one.choice.form, "parameter": name}
                rows.append({**_place(one), **row, "value": value, "lower": lower, "upper": upper})
    return pd.DataFrame(rows)


def choice_table(found: Iterable[Scaling]) -> pd.DataFrame:
    """A row each form: its AICc and how well it predicts held-out sizes."""
    rows = []
    for one in found:
        for form, candidate in one.choice.candidates.items():
            rows.append(
                {
                    **_place(one),
                    "form": form,
                    "chosen": form == one.choice.form,
                    "aicc": candidate.aicc,
                    "held_out": len(candidate.held_out),
                    "held_out_error": candidate.error,
                    "held_out_error_single": candidate.single,
                }
            )
    return pd.DataFrame(rows)


def verdict_table(found: Iterable[Scaling]) -> pd.DataFrame:
    """A row each axis: the verdict on the claim, and why."""
    return pd.DataFrame(
        [
            {**_place(one), "form": one.choice.form, "verdict": one.finding.verdict, "why": one.finding.why}
            for one in found
        ]
    )


def robustness_table(found: Iterable[Robustness]) -> pd.DataFrame:
    """A row each artifact: how its error and the ratio of it to the clean error go with the number of examples."""
    rows = []
    for one in found:
        row: dict[str, object] = {"task": one.task, "data": one.data, "shift": one.shift, "axis": one.axis.name}
        for place, index in (("smallest", 0), ("largest", -1)):
            row[f"ratio_{place}"] = float(one.ratio.value[index])
            row[f"ratio_{place}_lower"], row[f"ratio_{place}_upper"] = (float(end[index]) for end in one.ratio[1:])
        for name, estimate in (("exponent", one.exponent), ("trend", one.trend)):
            row[name], row[f"{name}_lower"], row[f"{name}_upper"] = (float(part) for part in estimate)
        rows.append({**row, "more_data": one.effect})
    return pd.DataFrame(rows)


def plan_rows(plans: Sequence[Plan]) -> pd.DataFrame:
    """A row each doubling."""
    rows = []
    for plan in plans:
        for one in plan.doublings:
            gain = (float("nan"),) * 3 if one.gain is None else tuple(float(part) for part in one.gain)
            rows.append(
                {
                    **_place(plan.scaling),
                    "of": one.of,
                    "start": one.start,
                    "end": one.end,
                    "basis": one.basis,
                    "gain": gain[0],
                    "lower": gain[1],
                    "upper": gain[2],
                    "more_examples": one.examples,
                    "hours": one.hours,
                    "cost": one.cost,
                    "why": one.why,
                }
            )
    return pd.DataFrame(rows)


def enough_table(plans: Sequence[Plan]) -> pd.DataFrame:
    """A row each plan: from which number of examples on a doubling brings less than the target."""
    rows = []
    for plan in plans:
        value, lower, upper = (float(part) for part in plan.enough)
        row = {"form": plan.scaling.choice.form, "target": str(plan.target), "examples": value, "lower": lower}
        rows.append({**_place(plan.scaling), **row, "upper": upper, "limit": plan.data.limit, "why": plan.data.why})
    return pd.DataFrame(rows)


def _place(one: Scaling) -> dict[str, str]:
    return {"task": one.task, "data": one.data, "shift": one.shift, "axis": one.axis.name}
