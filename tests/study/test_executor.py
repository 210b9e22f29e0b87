"""The order in which tasks are started."""

from __future__ import annotations

from pathlib import Path

from scanproof.study.executor import execute
from scanproof.study.load import load_study
from scanproof.study.plan import Task, make_plan
from scanproof.study.store import Store

WORKERS = 2


def test_equally_urgent_tasks_are_started_in_the_order_of_the_plan(small, write_study, tmp_path: Path) -> None:
    """What is done next was among the first that were not yet done: so few are handed out ahead."""
    data = {"kind": "demo", "sites": ["north"], "matrix": [16, 16], "slices": 1}
    small["data"] = data | {"subjects": {"train": 2, "val": 2, "test": 2}}
    small["shifts"] = [
        {"name": name, "severities": [1, 2, 3, 4, 5]} for name in ("complex_noise", "gamma_up", "gamma_down")
    ]
    small["reconstruction"] = [{"name": "fully_sampled"}]
    study = load_study(write_study({**small, "classification": [], "evaluation": {"image_metrics": ["nrmse"]}}))
    plan, store = make_plan(study), Store(tmp_path / "store")
    done: list[Task] = []
    execute(plan.tasks, store, workers=WORKERS, on_done=done.append)
    assert len(done) == len(plan.tasks)
    images = [task for task in plan.tasks if task.kind == "reconstruct"]
    order = [images.index(task) for task in done if task.kind == "reconstruct"]
    assert sorted(order) == list(range(16))
    assert all(place <= number + WORKERS for number, place in enumerate(order))
    read = {key: number for number, task in enumerate(done) for key in [task.key]}
    for task in done:
        assert all(read[child.key] < read[task.key] for children in task.inputs.values() for child in children)
