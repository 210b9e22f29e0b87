"""What runs say of normalizations against each other, from comparisons to MLflow and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from reporting.compared import Compared, make_compared
from scanproof.tracking.client import connect
from scanproof.tracking.differences import chain_differences, chain_tags, difference_points, worst_shift
from scanproof.tracking.metrics import Chain, chain_rows, site_rows
from scanproof.tracking.model import TrackedStudy, TrainingRecord
from scanproof.tracking.notes import claims_of, is_behind
from scanproof.tracking.study_log import log_study
from scanproof.tracking.views import PREFIX, study_views


@pytest.fixture(scope="module")
def compared() -> Compared:
    return make_compared(subjects=20)


def one(table: pd.DataFrame, **where: Any) -> Any:
    for column, value in where.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row


def test_points_are_those_of_the_comparisons(compared: Compared) -> None:
    rows = chain_differences(compared.comparisons, "all", Chain("unet", 4.0, "resnet18", "group"))
    values = {point.key: point.value for point in difference_points(rows)}
    table = compared.comparisons[(compared.comparisons["norm"] == "group") & (compared.comparisons["site"] == "all")]
    change, gap = (one(table, shift="all", measure=measure) for measure in ("change", "quality"))
    assert values["change_to_batch"] == change["difference"]
    assert values["change_to_batch_p"] == change["p_value"]
    assert (values["gap_to_batch_lower"], values["gap_to_batch_upper"]) == (gap["lower"], gap["upper"])
    ghosting = one(table, shift="ghosting", measure="change")
    assert values["ghosting/change_to_batch"] == ghosting["difference"]
    assert values["ghosting/p_holm"] == ghosting["p_holm"]


def test_reference_and_images_have_no_difference(compared: Compared) -> None:
    for chain in (Chain("unet", 4.0, "resnet18", "batch"), Chain("unet", 4.0, None, None)):
        rows = chain_differences(compared.comparisons, "all", chain)
        assert rows.empty
        assert difference_points(rows) == []


def test_tags_follow_the_interval(compared: Compared) -> None:
    chain = Chain("unet", 4.0, "resnet18", "group")
    rows = chain_rows(site_rows(compared.results, "all"), chain)
    differences = chain_differences(compared.comparisons, "all", chain)
    over = (differences["shift"] == "all") & (differences["measure"] == "change")
    for lower, upper, expected in ((0.1, 0.2, "less"), (-0.2, -0.1, "more"), (-0.1, 0.1, "undecided")):
        differences.loc[over, ["lower", "upper"]] = lower, upper
        assert chain_tags(rows, differences)["to_batch"] == expected
    curves = rows[(rows["metric"] == "auroc") & rows["seed"].isna() & (rows["shift"] != "none")]
    lowest = curves.groupby("shift")["value"].mean().idxmin()
    assert worst_shift(rows) == lowest
    p_holm = one(differences, shift=lowest, measure="change")["p_holm"]
    assert float(chain_tags(rows, differences)["worst_shift.p_holm"]) == pytest.approx(p_holm, rel=6e-3)


def test_claims_stay_with_their_site() -> None:
    claims = pd.DataFrame({"site": ["all", "south"], "text": ["a", "b"], "verdict": ["agree", "disagree"]})
    assert claims_of(claims, "south", alone=False)["text"].tolist() == ["b"]
    assert claims_of(claims, "south", alone=True)["text"].tolist() == ["a", "b"]
    assert claims_of(None, "south", alone=True).empty


def test_trainings_of_a_reconstruction_know_its_acceleration() -> None:
    record = TrainingRecord(
        key="a",
        name="train unet, R = 2",
        kind="reconstruction",
        params={"method": "unet", "acceleration": 2.0},
        history=pd.DataFrame({"epoch": [1]}),
        model_sha256="f0",
    )
    assert is_behind(record, Chain("unet", 2.0, "resnet18", "group"))
    assert not is_behind(record, Chain("unet", 4.0, "resnet18", "group"))
    assert not is_behind(record, Chain("zero_filled", 2.0, "resnet18", "group"))


def test_runs_tell_a_reviewer_what_was_found(
    compared: Compared, make_study: Callable[..., TrackedStudy], uri: str
) -> None:
    claims = pd.DataFrame({"site": ["all", "south"], "text": ["GN.", "LN."], "verdict": ["agree", "undecided"]})
    study = make_study(
        study="compared",
        results=compared.results,
        predictions=compared.predictions,
        comparisons=compared.comparisons,
        claims=claims,
    )
    runs = log_study(study, uri=uri)
    with connect(uri) as client:
        overall = client.get_run(runs["all"])
        experiment = client.get_experiment(overall.info.experiment_id)
        best = client.search_runs(
            [experiment.experiment_id],
            filter_string="tags.`scanproof.kind` = 'chain' and tags.site = 'all' and metrics.change_to_batch > -1",
            order_by=["metrics.change_to_batch DESC"],
        )
        shown = {view.key: client.search_runs([experiment.experiment_id], filter_string=view.runs)
                 for view in study_views("all", read=True)}  # fmt: skip
    table = compared.comparisons
    table = table[(table["site"] == "all") & (table["shift"] == "all") & (table["measure"] == "change")]
    expected = table.sort_values("difference", ascending=False)
    assert [run.data.tags["norm"] for run in best] == expected["norm"].tolist()
    assert [run.data.metrics["change_to_batch"] for run in best] == expected["difference"].tolist()
    tags = overall.data.tags
    assert {tags["claims"], tags["claim.1"]} == {"1 agree", "agree: GN."}
    assert "claim.2" not in tags
    assert (tags["best_norm"], tags["worst_norm"]) == ("group", "batch")
    assert tags["worst_shift"] in compared.shifts
    note = best[0].data.tags["mlflow.note.content"]
    assert "resnet18/batch/seed 1" not in note
    assert "| chain | AUROC, no shift |" in note
    # every column of a view is one that its runs have
    for view in study_views("all", read=True):
        state = json.loads(json.loads(experiment.tags[PREFIX + view.key])["state"])
        assert state["searchFilter"] == view.runs
        assert shown[view.key]
        found = {name for run in shown[view.key] for name in (*run.data.tags, *run.data.metrics)}
        assert {*view.tags, *view.metrics} - found == set()
