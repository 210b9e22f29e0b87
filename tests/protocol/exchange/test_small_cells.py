"""What an attacker can work out of what is left: no count of fewer people than the threshold."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scanproof.errors import ScanproofError
from scanproof.evaluation.table import PREDICTION_COLUMNS, RESULT_COLUMNS, conform
from scanproof.protocol.exchange.record import DataFacts, LabelCounts
from scanproof.protocol.exchange.small_cells import (
    BALANCED,
    Cells,
    Side,
    check_threshold,
    count_cells,
    suppress_comparisons,
    suppress_facts,
    suppress_results,
    withheld_targets,
)

THRESHOLD = 5
CHAIN = {"reconstruction": "unet", "acceleration": 4.0, "classifier": "resnet18", "norm": "group"}


def study(classes: list[int], slices: list[int], exclusive: bool, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of subjects with one class each, and the rates that a threshold of 0.5 gives."""
    random, rows, names = np.random.default_rng(seed), [], sorted(set(range(max(classes) + 1)))
    targets = names if exclusive else names[:1]
    for number, (kind, count) in enumerate(zip(classes, slices, strict=True)):
        for part, target in product(range(count), targets):
            label = int(kind == target)
            rows.append(
                {"study": "p", "site": "north", "subject": f"s{number}", "case": f"s{number}-{part}", "split": "test"}
                | {"target": f"t{target}", "label": label, "shift": "none", "severity": 0, **CHAIN, "seed": 1}
                | {"probability": float(np.clip(random.normal(0.3 + 0.4 * label, 0.2), 0, 1))}
            )
    predictions = conform(pd.DataFrame(rows), PREDICTION_COLUMNS)
    results, means = [], []
    for target, group in predictions.groupby("target"):
        read, label = group["probability"] >= 0.5, group["label"] == 1
        rates = {"sensitivity": float(read[label].mean()), "specificity": float((~read)[~label].mean())}
        rates["balanced_accuracy"] = (rates["sensitivity"] + rates["specificity"]) / 2
        rates["auroc"] = 0.8
        means.append(rates)
        if len(targets) > 1:
            results += [{"target": target, "metric": name, "value": value} for name, value in rates.items()]
    results += [
        {"target": None, "metric": name, "value": float(np.mean([one[name] for one in means]))} for name in means[0]
    ]
    results.append({"metric": "ssim", "value": 0.9, "classifier": None, "norm": None})
    cases = predictions["case"].nunique()
    table = pd.DataFrame(
        [{"study": "p", "site": "north", "shift": "none", "severity": 0, **CHAIN, "n": cases, **one} for one in results]
    )
    return predictions, conform(table.dropna(subset=["value"]), RESULT_COLUMNS)


def facts(predictions: pd.DataFrame) -> DataFacts:
    cases = predictions[["target", "case", "label"]].drop_duplicates()
    labels = {
        str(name): LabelCounts(positive=int((g["label"] == 1).sum()), negative=int((g["label"] == 0).sum()))
        for name, g in cases.groupby("target")
    }
    people, images = predictions["subject"].nunique(), predictions["case"].nunique()
    return DataFacts(
        kind="volumes", kspace="synthetic", subjects=people, cases=images, labels=labels, data_sha256="a" * 64
    )


@settings(max_examples=200, deadline=None)
@given(
    classes=st.lists(st.integers(0, 3), min_size=2, max_size=60),
    slices=st.integers(1, 4),
    exclusive=st.booleans(),
    seed=st.integers(0, 100),
    data=st.data(),
)
def test_nothing_small_can_be_worked_out(
    classes: list[int], slices: int, exclusive: bool, seed: int, data: st.DataObject
) -> None:
    counts = data.draw(st.lists(st.integers(1, slices), min_size=len(classes), max_size=len(classes)))
    predictions, results = study(classes, counts, exclusive, seed)
    known = facts(predictions)
    cells = count_cells(results, predictions, known=known)
    public, kept = suppress_facts(known, cells, THRESHOLD), suppress_results(results, cells, THRESHOLD)
    targets = list(known.labels)
    people = {
        (target, label): set(rows_of(predictions, target, label)["subject"])
        for target, label in product(targets, (0, 1))
    }
    shown = {name for name, labels in public.labels.items() if labels.positive is not None}
    # counts that are told are of enough people
    if public.subjects is None:
        assert kept.empty
        assert not shown
        return
    assert public.subjects >= THRESHOLD
    for name in shown:
        assert min(len(people[name, 0]), len(people[name, 1])) >= THRESHOLD
    # what is left of the sum of classes is of several classes, and of enough people
    hidden = set(targets) - shown
    if len(targets) > 1 and hidden:
        assert len(hidden) > 1
        left = set().union(*(people[name, 1] for name in hidden))
        assert len(left) >= THRESHOLD or not shown
    # nothing that was measured on a hidden target is told, nor a mean over targets from which it follows
    read = kept[kept["classifier"].notna()]
    assert set(read["target"].dropna()) <= shown
    if hidden:
        assert read["target"].notna().all()
    # the cells of the 2 x 2 tables that follow from what is told are of enough people
    for name in targets:
        rates = told(read, name, targets)
        for metric, label in (("sensitivity", 1), ("specificity", 0)):
            if metric not in rates:
                continue
            group = rows_of(predictions, name, label)
            right = (group["probability"] >= 0.5) == (label == 1)
            assert rates[metric] == pytest.approx(right.mean())
            for cell in (group[right], group[~right]):
                assert cell["subject"].nunique() >= THRESHOLD


def rows_of(predictions: pd.DataFrame, target: str, label: int) -> pd.DataFrame:
    return predictions[(predictions["target"] == target) & (predictions["label"] == label)]


def told(read: pd.DataFrame, target: str, targets: list[str]) -> dict[str, float]:
    """Rates of a target that follow: as they stand, from the other half of a mean, from a mean over targets."""
    own = {name: rates_of(read, name if len(targets) > 1 else None) for name in targets}
    mean = rates_of(read, None) if len(targets) > 1 else {}
    for metric in ("sensitivity", "specificity", "balanced_accuracy"):
        others = [own[name].get(metric) for name in targets if name != target]
        if metric in mean and metric not in own[target] and all(one is not None for one in others):
            own[target][metric] = len(targets) * mean[metric] - sum(one for one in others if one is not None)
    found = own[target]
    for metric, (first, second) in BALANCED.items():
        for one, other in ((first, second), (second, first)):
            if metric in found and one in found and other not in found:
                found[other] = 2 * found[metric] - found[one]
    return found


def rates_of(read: pd.DataFrame, target: str | None) -> dict[str, float]:
    rows = read[read["target"].isna() if target is None else (read["target"] == target).fillna(False)]
    return {str(metric): float(value) for metric, value in zip(rows["metric"], rows["value"], strict=True)}


def test_a_suppressed_class_takes_the_smallest_other_with_it() -> None:
    sides = {"a": (Side(30, 30, 1), Side(23, 23, 1)), "b": (Side(20, 20, 1), Side(33, 33, 1))}
    sides["c"] = (Side(3, 3, 1), Side(50, 50, 1))
    cells = Cells(subjects=53, cases=53, targets=sides)
    assert withheld_targets(cells, 5) == {"b", "c"}
    # labels that are not classes do not add up to anything
    assert withheld_targets(Cells(subjects=60, cases=60, targets=sides), 5) == {"c"}


def test_slices_of_one_patient_are_one_person() -> None:
    """Twelve false negatives, six slices a patient: it may be two."""
    cells = Cells(subjects=40, cases=240, targets={"lesion": (Side(120, 20, 6), Side(120, 20, 6))})
    rows = pd.DataFrame(
        [
            {"study": "p", "site": "north", "shift": "none", "severity": 0, **CHAIN, "n": 240, "metric": m, "value": v}
            for m, v in (("sensitivity", 0.9), ("specificity", 0.7), ("balanced_accuracy", 0.8), ("auroc", 0.9))
        ]
    )
    kept = suppress_results(conform(rows, RESULT_COLUMNS), cells, 5)
    assert sorted(kept["metric"]) == ["auroc", "specificity"]
    assert sorted(suppress_results(conform(rows, RESULT_COLUMNS), cells, 7)["metric"]) == ["auroc"]


def test_comparisons_go_with_what_they_are_made_of() -> None:
    rows = pd.DataFrame({"difference": [0.1]})
    enough = Cells(subjects=40, cases=40, targets={"lesion": (Side(20, 20, 1), Side(20, 20, 1))})
    few = Cells(subjects=40, cases=40, targets={"lesion": (Side(4, 4, 1), Side(36, 36, 1))})
    assert len(suppress_comparisons(rows, enough, 5)) == 1
    assert suppress_comparisons(rows, few, 5).empty


def test_thresholds_below_the_stated_one_are_refused() -> None:
    assert check_threshold(None, 1) == 3
    with pytest.raises(ScanproofError, match="must be at least 5, got 4"):
        check_threshold(4, 5)
