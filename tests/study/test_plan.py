from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest

from scanproof.errors import ScanproofError
from scanproof.study.executor import count_by_kind, missing_tasks
from scanproof.study.fingerprint import code_fingerprint, code_version
from scanproof.study.kinds import KINDS
from scanproof.study.load import load_study
from scanproof.study.plan import Plan, Task, make_plan
from scanproof.study.record import training_name
from scanproof.study.store import Payload, Store


@pytest.fixture
def planned(small, write_study):
    def plan(**changes: object) -> Plan:
        return make_plan(load_study(write_study({**small, **changes})))

    return plan


def keys(plan: Plan, kind: str) -> set[str]:
    return {task.key for task in plan.tasks if task.kind == kind}


def test_counts_by_hand(planned) -> None:
    # test: 2 sites x 4 conditions x 2 methods; clean val of 2 methods and train of 1 at the training site
    # predictions: 4 classifiers x (16 test + 2 validation)
    assert count_by_kind(planned().tasks) == {
        "cohort": 2,
        "fit_reconstruction": 1,
        "load_reconstruction": 0,
        "load_classifier": 0,
        "reconstruct": 19,
        "train_classifier": 4,
        "predict": 72,
        "evaluate": 1,
        "judge": 0,
    }


def test_keys_are_hashes_of_plain_json(planned, small, claims) -> None:
    """As they were from the first version on: what users have stored stays valid."""
    small["classification"][0]["norms"] = ["batch", "batch_site"]
    for task in planned(classification=small["classification"], claims=claims).tasks:
        content = {
            "kind": task.kind,
            "params": task.params,
            "inputs": {role: [child.key for child in tasks] for role, tasks in task.inputs.items()},
            "code": code_fingerprint(task.kind),
        }
        assert task.key == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    odd = Task("judge", {"text": 'ä "quoted"', "a": [1.5, None]}, {"b": (), "a": (task, task)})
    content |= {"kind": "judge", "params": odd.params, "inputs": {"b": [], "a": [task.key, task.key]}}
    content["code"] = code_fingerprint("judge")
    assert odd.key == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert pickle.loads(pickle.dumps(odd)).key == odd.key  # noqa: S301


def test_inputs_stand_before_readers_and_each_task_once(planned) -> None:
    seen: set[str] = set()
    for task in planned().tasks:
        assert {key for keys in task.input_keys.values() for key in keys} <= seen
        assert task.key not in seen
        seen.add(task.key)


def test_the_same_study_gives_the_same_keys(planned) -> None:
    assert [t.key for t in planned().tasks] == [t.key for t in planned().tasks]


def test_another_shift_reuses_every_trained_network(planned) -> None:
    first = planned()
    second = planned(shifts=[{"name": "ghosting", "severities": [3]}, {"name": "bias_field", "severities": [1]}])
    for kind in ("cohort", "fit_reconstruction", "train_classifier"):
        assert keys(first, kind) == keys(second, kind)
    # what is new: two sites x two methods x one condition, and its predictions
    assert len(keys(second, "reconstruct") - keys(first, "reconstruct")) == 4
    assert len(keys(second, "predict") - keys(first, "predict")) == 16


def test_weights_are_trained_once_for_those_who_share_them(planned, small) -> None:
    shared = {"name": "adapted", "method": "unet_ttt", "weights_from": "unet", "options": {"adaptation_steps": 2}}
    plan = planned(reconstruction=[*small["reconstruction"], shared])
    assert keys(plan, "fit_reconstruction") == keys(planned(), "fit_reconstruction")
    adapted = [task for task in plan.reconstructions if task.params["reconstruction"] == "adapted"]
    assert {task.params["method"] for task in adapted} == {"unet_ttt"}
    assert adapted[0].params["options"] == {**small["reconstruction"][1]["options"], "adaptation_steps": 2}
    assert all(task.inputs["model"] == tuple(plan.fits) for task in adapted)


def test_one_method_may_stand_in_a_study_twice(planned, small) -> None:
    wide = {"name": "wide", "method": "unet", "options": {"features": [8, 8, 8, 8, 8, 8], "epochs": 1}}
    plan = planned(reconstruction=[*small["reconstruction"], wide])
    assert len(keys(plan, "fit_reconstruction")) == 2
    assert {task.params["reconstruction"] for task in plan.reconstructions} == {"fully_sampled", "unet", "wide"}


def test_another_seed_trains_the_same_method_again(planned, small) -> None:
    fully_sampled, unet = small["reconstruction"]
    again = {**unet, "name": "unet_2", "method": "unet", "training_seed": 2}
    plan = planned(reconstruction=[fully_sampled, unet, again])
    assert keys(planned(), "fit_reconstruction") < keys(plan, "fit_reconstruction")
    assert [task.params["training_seed"] for task in plan.fits] == [0, 2]
    assert [training_name(task.params) for task in plan.fits] == ["train unet, R = 2", "train unet, R = 2, seed 2"]


def test_another_name_or_interval_changes_the_evaluation_alone(planned) -> None:
    first = planned()
    for other in (planned(name="other"), planned(evaluation={"resamples": 200})):
        changed = {t.kind for t in other.tasks} - {kind for kind in KINDS if keys(first, kind) == keys(other, kind)}
        assert changed == {"evaluate"}


def test_another_norm_trains_that_norm_alone(planned, small) -> None:
    more = [{**small["classification"][0], "norms": ["batch", "layer", "group"]}]
    first, second = planned(), planned(classification=more)
    assert keys(first, "train_classifier") < keys(second, "train_classifier")
    assert keys(first, "predict") < keys(second, "predict")
    assert keys(first, "reconstruct") == keys(second, "reconstruct")


@pytest.mark.parametrize("change", [{"seed": 8}, {"compute": {"threads": 2}}])
def test_seed_and_threads_change_everything(planned, change) -> None:
    first, second = planned(), planned(**change)
    assert not {t.key for t in first.tasks} & {t.key for t in second.tasks}


def test_training_data_alone_change_training(planned, small) -> None:
    data = {**small["data"], "sites": ["north", "south", "west"]}
    assert keys(planned(), "train_classifier") == keys(planned(data=data), "train_classifier")


def test_a_study_without_classifiers_plans_images_alone(planned) -> None:
    counts = count_by_kind(planned(classification=[]).tasks)
    assert (counts["train_classifier"], counts["predict"]) == (0, 0)
    assert counts["reconstruct"] == 16


COMPOSITION = {
    "name": "both",
    "compose": [
        {"name": "snr", "severity": 2},
        {"name": "anatomy", "severity": 1},
        {"name": "ghosting", "severity": 3},
    ],
}


@pytest.mark.parametrize(
    ("shift", "cohorts"),
    [
        ({"name": "acceleration", "severities": [3]}, 0),
        ({"name": "mask_type"}, 0),
        ({"name": "coil_count", "severities": [2]}, 0),
        ({"name": "snr", "severities": [5]}, 0),
        ({"name": "contrast", "severities": [2]}, 2),
        ({"name": "anatomy", "severities": [2]}, 2),
        (COMPOSITION, 2),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_a_shift_of_the_acquisition_trains_nothing(planned, small, shift: dict, cohorts: int) -> None:
    first, second = planned(), planned(shifts=[*small["shifts"], shift])
    for kind in ("fit_reconstruction", "train_classifier"):
        assert keys(first, kind) == keys(second, kind)
    new = [t for t in second.tasks if t.key not in {t.key for t in first.tasks}]
    assert count_by_kind(new) == {
        "cohort": cohorts,
        "fit_reconstruction": 0,
        "load_reconstruction": 0,
        "load_classifier": 0,
        "reconstruct": 4,  # two sites, two methods
        "train_classifier": 0,
        "predict": 16,
        "evaluate": 1,
        "judge": 0,
    }
    for task in new:
        if task.kind == "cohort":
            assert task.params["subjects"] == {"test": 6}
        if task.kind == "reconstruct":
            assert task.params["acceleration"] == (1 if task.params["method"] == "fully_sampled" else 2)
            assert (task.params["shift"], len(task.inputs["cohort"])) == (shift["name"], 1)


def test_another_severity_leaves_the_others(planned) -> None:
    def shifts(part: int, *levels: int) -> list[dict]:
        parts = [{"name": "anatomy"}, {"name": "ghosting", "severity": part}]
        return [{"name": "both", "compose": parts, "severities": list(levels)}, {"name": "contrast", "severities": [1]}]

    first, more, other = planned(shifts=shifts(2, 1)), planned(shifts=shifts(2, 1, 3)), planned(shifts=shifts(3, 1))
    for kind in ("cohort", "reconstruct", "predict"):
        assert keys(first, kind) < keys(more, kind)
    assert keys(first, "cohort") == keys(other, "cohort")
    assert len(keys(other, "reconstruct") - keys(first, "reconstruct")) == 4


def sampling(plan: Plan, shift: str) -> dict[str, dict]:
    return {str(t.params["method"]): t.params["sampling"] for t in plan.reconstructions if t.params["shift"] == shift}


def test_sampling_changes_for_methods_that_undersample_alone(planned) -> None:
    parts = [{"name": "acceleration", "severity": 4}, {"name": "mask_type", "severity": 1}]
    acquisition = {"mask": "equispaced", "accelerations": [2], "center_fraction": 0.15}
    plan = planned(shifts=[{"name": "faster", "compose": parts}], acquisition=acquisition)
    full = {"mask": "full", "acceleration": 1.0, "center_fraction": 0.0, "dimensions": 2}
    assert sampling(plan, "none") == {
        "fully_sampled": full,
        "unet": {"mask": "equispaced", "acceleration": 2, "center_fraction": 0.15, "dimensions": 2},
    }
    assert sampling(plan, "faster") == {
        "fully_sampled": full,
        "unet": {"mask": "random", "acceleration": 6, "center_fraction": pytest.approx(0.05), "dimensions": 2},
    }
    (fit,) = plan.fits
    assert (fit.params["mask"], fit.params["acceleration"]) == ("equispaced", 2)


def test_a_shift_of_the_sampling_needs_a_method_that_undersamples(planned) -> None:
    with pytest.raises(ScanproofError, match="shifts: a shift of the sampling needs a reconstruction of undersampled"):
        planned(shifts=[{"name": "mask_type"}], reconstruction=[{"name": "fully_sampled"}])


def test_only_what_is_needed_is_asked_for(planned, tmp_path: Path) -> None:
    plan, store = planned(), Store(tmp_path)
    assert missing_tasks(plan.tasks, store) == list(plan.tasks)
    store.put(plan.classifiers[0].key, Payload(), task={})
    without = missing_tasks(plan.tasks, store)
    assert plan.classifiers[0] not in without
    assert len(without) == len(plan.tasks) - 1
    store.put(plan.result.key, Payload(), task={})
    assert missing_tasks(plan.tasks, store) == []


def test_verdicts_that_are_kept_do_not_stand_for_the_tables(planned, claims, tmp_path: Path) -> None:
    plan, store = planned(claims=claims), Store(tmp_path)
    assert plan.claims is not None
    assert plan.wanted == (plan.result, plan.claims)
    assert count_by_kind(plan.tasks)["judge"] == 1
    store.put(plan.claims.key, Payload(), task={})
    assert missing_tasks(plan.tasks, store, wanted=plan.wanted) == list(plan.tasks)[:-1]
    store.put(plan.result.key, Payload(), task={})
    assert missing_tasks(plan.tasks, store, wanted=plan.wanted) == []


def test_fingerprints_follow_the_code_behind_a_kind() -> None:
    assert len({code_fingerprint(kind) for kind in KINDS}) == len(KINDS)
    assert code_version() == code_version()
    assert "+" in code_version()
