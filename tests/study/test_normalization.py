"""Studies of normalizations from file to report and MLflow: several labels, rescues, augmentation, claims."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml

from scanproof.classification.norms import BATCH_RESCUES
from scanproof.errors import ScanproofError
from scanproof.study.definition import Study
from scanproof.study.examples import failure_panels
from scanproof.study.load import load_study
from scanproof.study.plan import Plan, Task, make_plan
from scanproof.study.run import Finished, Workspace, plan_study, run_study
from scanproof.study.store import Store

NORMS = ["batch", "group", *BATCH_RESCUES]
CLAIMS = [
    {"text": "Groups hold better under noise.", "compare": "group", "against": "batch", "metric": "auroc"}
    | {"shift": "complex_noise", "measure": "change"},
    {"text": "Both read clean images alike.", "compare": "group", "against": "batch", "metric": "auroc"}
    | {"classifier": "resnet18", "expect": "similar", "margin": 0.2, "site": "south"},
]
#: as small as it can be
RESCUES = {
    "name": "rescues",
    "seed": 3,
    "data": {"kind": "demo", "sites": ["north", "south"], "labels": ["lesion", "left_lesion"]}
    | {"subjects": {"train": 8, "val": 8, "test": 8}, "slices": 3, "matrix": [48, 40]},
    "shifts": [{"name": "complex_noise", "severities": [5]}],
    "reconstruction": [{"name": "fully_sampled"}],
    "classification": [
        {"name": "resnet18", "norms": NORMS, "seeds": [1, 2]}
        | {"options": {"width": 0.0625}, "training": {"epochs": 2, "batch_size": 8}},
        {"name": "augmented", "network": "resnet18", "norms": ["batch"]}
        | {"options": {"width": 0.0625}, "training": {"epochs": 2, "batch_size": 8}}
        | {"augment": [{"name": "complex_noise", "probability": 1, "severities": [4, 5]}]},
    ],
    "claims": CLAIMS,
    "evaluation": {"resamples": 100, "image_metrics": ["nrmse"]},
}


class Ran(NamedTuple):
    """A study that was run, and the kinds of tasks that it took."""

    study: Study
    plan: Plan
    store: Store
    finished: Finished
    tasks: list[Task]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("rescues")
    (folder / "rescues.yaml").write_text(yaml.safe_dump(RESCUES))
    study, workspace = load_study(folder / "rescues.yaml"), Workspace(root=folder / "mlruns")
    done: list[Task] = []
    finished = run_study(
        study,
        workspace,
        workers=1,
        tracking_uri=f"sqlite:///{folder}/mlruns/mlflow.db",
        command="test",
        on_done=done.append,
    )
    return Ran(study, plan_study(study, workspace), workspace.store, finished, done)


def test_rescues_share_the_training_of_batch_normalization(ran: Ran) -> None:
    """Of five norms of two seeds, three rescues are no trainings; the augmented one is a training of its own."""
    trained = [task for task in ran.tasks if task.kind == "train_classifier"]
    assert [t.key for t in trained] == [t.key for t in ran.plan.classifiers]
    assert sorted((t.params["classifier"], t.params["norm"], t.params["training_seed"]) for t in trained) == [
        ("augmented", "batch", 1),
        *(("resnet18", norm, seed) for norm in ("batch", "batch_frozen", "group") for seed in (1, 2)),
    ]
    assert len({task.key for task in ran.tasks}) == len(ran.tasks)
    sources: dict[str, set[str]] = {}
    for task in ran.plan.tasks:
        if task.kind == "predict":
            [model] = task.inputs["model"]
            if model.params["classifier"] == "resnet18":
                sources.setdefault(str(task.params["norm"]), set()).add(model.key)
    assert set(sources) == set(NORMS)
    for norm in ("batch_site", "batch_condition", "batch_entropy"):
        assert sources[norm] == sources["batch"]
    assert not sources["batch_frozen"] & sources["batch"]


def test_only_the_rescue_by_the_site_looks_at_its_undisturbed_images(ran: Ran) -> None:
    for task in ran.plan.tasks:
        if task.kind != "predict":
            continue
        assert ("reference" in task.inputs) == (task.params["norm"] == "batch_site")
        if task.params["norm"] == "batch_site":
            [images], [reference] = task.inputs["images"], task.inputs["reference"]
            assert reference.params["shift"] == "none"
            assert reference.params["split"] == images.params["split"]
            assert reference.inputs["cohort"][0].params["site"] == images.inputs["cohort"][0].params["site"]


def readings(predictions: pd.DataFrame, norm: str, **where: object) -> np.ndarray:
    rows = predictions[(predictions["norm"] == norm) & (predictions["classifier"] == "resnet18")]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.sort_values(["seed", "case", "target"])["probability"].to_numpy()


def test_every_way_to_read_gives_other_probabilities(ran: Ran) -> None:
    predictions = ran.finished.predictions
    where = {"site": "south", "shift": "complex_noise", "split": "test"}
    read = {norm: readings(predictions, norm, **where) for norm in NORMS}
    assert {len(values) for values in read.values()} == {2 * 24 * 2}
    for number, norm in enumerate(NORMS):
        for other in NORMS[number + 1 :]:
            assert not np.allclose(read[norm], read[other], atol=1e-4), (norm, other)
    plain, augmented = (predictions[predictions["classifier"] == name] for name in ("resnet18", "augmented"))
    same = plain[(plain["norm"] == "batch") & (plain["seed"] == 1)]
    keys = ["site", "case", "shift", "target"]
    both = same.merge(augmented, on=[*keys, "split"], suffixes=("", "_augmented"))
    assert len(both) == len(same) == len(augmented)
    assert not np.allclose(both["probability"], both["probability_augmented"], atol=1e-4)


def test_each_label_has_a_row_a_case_and_numbers_of_its_own(ran: Ran) -> None:
    predictions, results = ran.finished.predictions, ran.finished.results
    labels = predictions.drop_duplicates(["site", "case", "target"]).pivot(
        index=["site", "case"], columns="target", values="label"
    )
    assert list(labels.columns) == ["left_lesion", "lesion"]
    assert (labels["left_lesion"] <= labels["lesion"]).all()
    assert (labels["left_lesion"] < labels["lesion"]).any()
    auroc = results[(results["metric"] == "auroc") & results["seed"].isna() & (results["norm"] == "group")]
    by_target = auroc.pivot_table(index=["site", "shift"], columns=auroc["target"].fillna("mean"), values="value")
    np.testing.assert_allclose(by_target["mean"], by_target[["left_lesion", "lesion"]].mean(axis=1))
    assert not np.allclose(by_target["left_lesion"], by_target["lesion"])
    reading = ["site", "case", "shift", "norm", "classifier", "seed"]
    assert not np.allclose(predictions.groupby(reading)["probability"].sum(), 1)


def test_claims_about_norms_say_what_the_comparisons_do(ran: Ran) -> None:
    """A claim about the mean over two classifiers has other pairs, of the one that has both norms the same."""
    claims, comparisons = ran.finished.tables.claims, ran.finished.tables.comparisons
    assert claims is not None
    of_group = comparisons[comparisons["norm"] == "group"].set_index(["site", "shift", "measure"])
    for number, place in enumerate([("all", "complex_noise", "change"), ("south", "none", "quality")]):
        row, found = claims.iloc[number], of_group.loc[place]
        for column in ("difference", "lower", "upper"):
            if pd.isna(found[column]):
                assert pd.isna(row[column])
            else:
                assert row[column] == pytest.approx(found[column], abs=1e-12)
        assert (row["subjects"], row["cases"]) == (found["subjects"], found["cases"])
    lower, upper = claims["lower"][0], claims["upper"][0]
    assert claims["verdict"][0] == ("agree" if lower > 0 else "disagree" if upper < 0 else "undecided")
    lower, upper = claims["lower"][1], claims["upper"][1]
    apart = lower > 0.2 or upper < -0.2
    assert claims["verdict"][1] == ("agree" if lower > -0.2 and upper < 0.2 else "disagree" if apart else "undecided")
    assert pd.read_csv(ran.finished.folder / "claims.csv")["verdict"].tolist() == claims["verdict"].tolist()
    assert "Groups hold better under noise." in ran.finished.report.read_text(encoding="utf-8")


def test_layers_drift_of_networks_that_are_read_as_they_were_trained(ran: Ran) -> None:
    layers = ran.finished.tables.layers
    assert set(layers["norm"]) == {"batch", "group", "batch_frozen"}
    assert set(layers["shift"]) == {"none", "complex_noise"}
    assert not layers.duplicated(["site", "shift", "severity", "classifier", "norm", "layer"]).any()
    mean = layers[layers["norm"] == "batch"].groupby("shift")["input_mean_drift"].mean()
    assert mean["complex_noise"] > mean["none"] > 0


def test_cases_that_shift_misleads_are_pictured(ran: Ran) -> None:
    """Each at the shift's highest severity, a case of the test split, as the best chain's reconstruction sees it."""
    results, predictions = ran.finished.results, ran.finished.predictions
    panels = failure_panels(ran.plan, ran.store, results, predictions, sensitivity=0.9)
    assert 0 < len(panels) <= 4
    test = set(predictions.loc[predictions["split"] == "test", "case"])
    for panel in panels:
        case, wrong = panel.title.split(", ")
        assert case in test
        assert wrong.endswith("readings wrong")
        assert (panel.shift, panel.severity, panel.reconstruction) == ("complex_noise", 5, "fully_sampled")
        assert set(panel.images) == {"reference", "artifact", "reconstruction", "error"}
        assert panel.images["error"].max() > 0
        np.testing.assert_array_equal(panel.images["artifact"], panel.images["reconstruction"])


def test_mlflow_has_every_norm_and_label(ran: Ran) -> None:
    from scanproof.tracking.client import connect

    uri = ran.finished.tracking_uri
    assert uri is not None
    with connect(uri) as client:
        runs = client.search_runs([ran.finished.experiment_id], max_results=1000)
        chains = [run for run in runs if run.data.tags.get("scanproof.kind") == "chain"]
        assert {run.data.tags["norm"] for run in chains} == set(NORMS)
        assert len(chains) == 3 * (len(NORMS) + 1)
        [one] = [
            run
            for run in chains
            if (run.data.tags["site"], run.data.tags["norm"], run.data.tags["classifier"])
            == ("south", "batch_site", "resnet18")
        ]
        results = ran.finished.results
        rows = results[(results["site"] == "south") & (results["norm"] == "batch_site") & results["seed"].isna()]
        rows = rows[(rows["metric"] == "auroc") & (rows["shift"] == "complex_noise")].set_index("target")["value"]
        for target in ("lesion", "left_lesion"):
            assert one.data.metrics[f"complex_noise/auroc.{target}"] == pytest.approx(rows[target])
        trainings = [run for run in runs if run.data.tags.get("scanproof.kind") == "training"]
        assert len(trainings) == 7
        site = next(run for run in runs if run.data.tags.get("scanproof.kind") == "site")
        files = {entry.path for entry in client.list_artifacts(site.info.run_id)}
        tables = {f"{name}.json" for name in ("summary", "results", "predictions", "comparisons", "layers")}
        assert tables | {"claims.csv", "report.html"} <= files


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (0, {"compare": "layer"}, r"claims\[0\].compare: unknown norm, got 'layer' .*known: batch, batch_condition"),
        (0, {"against": "bacth"}, r"claims\[0\].against: unknown norm, got 'bacth' \(did you mean 'batch'"),
        (0, {"metric": "aurok"}, r"claims\[0\].*unknown metric, got 'aurok' \(did you mean 'auroc'"),
        (1, {"classifier": "resnet"}, r"claims\[1\].classifier: unknown classifier, got 'resnet'"),
        (1, {"reconstruction": "unet"}, r"claims\[1\].reconstruction: unknown reconstruction, got 'unet'"),
        (1, {"compare": ["group", "batch"], "against": ["batch_site", "batch_frozen"]}, "must name one normalization"),
        (
            1,
            {"classifier": "augmented"},
            r"claims\[1\].compare: must be trained together with batch in augmented, got 'group'",
        ),
        (0, {"metric": "nrmse"}, r"claims\[0\].compare: unknown reconstruction, got 'group'"),
        (1, {"metric": "nrmse"}, r"claims\[1\].*classifier must be left out where the metric is one of images"),
        (0, {"severity": 4}, r"claims\[0\].severity: severity of complex_noise must be one that is tested: \[5\]"),
        (1, {"site": "west"}, r"claims\[1\].site: unknown site, got 'west'"),
    ],
)
def test_wrong_claims_about_norms_are_named(write_study, number: int, change: dict, message: str) -> None:
    claims = [dict(claim) for claim in CLAIMS]
    claims[number] |= change
    with pytest.raises(ScanproofError, match=message):
        make_plan(load_study(write_study({**RESCUES, "claims": claims})))


def test_claims_about_norms_need_classifiers(write_study) -> None:
    with pytest.raises(ScanproofError, match=r"claims\[0\].metric: unknown metric, got 'auroc'"):
        load_study(write_study({**RESCUES, "classification": [], "claims": CLAIMS[:1]}))


def test_claims_change_nothing_but_their_verdict(write_study) -> None:
    stated, silent = (make_plan(load_study(write_study({**RESCUES, "claims": c}))) for c in (CLAIMS, []))
    assert silent.claims is None
    assert stated.claims is not None
    assert stated.result.key == silent.result.key
    assert [task.key for task in stated.tasks] == [*(task.key for task in silent.tasks), stated.claims.key]


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ([{"name": "ghost"}], r"augment\[0\].*unknown artifact, got 'ghost' \(did you mean"),
        ([{"name": "ghosting"}, {"name": "ghosting"}], "name must be listed once, got 'ghosting' twice"),
        ([{"name": "ghosting", "severities": [0, 3]}], r"severities\[0\]: .*greater than or equal to 1, got 0"),
        ([{"name": "ghosting", "severities": [1.5, 3]}], r"severities\[0\]: .*integer.*got 1.5"),
        ([{"name": "ghosting", "severities": [4, 2]}], "first severity must not be above the second"),
        ([{"name": "ghosting", "probability": 0}], r"probability: .*greater than 0, got 0"),
        (
            [{"name": "spike"}, {"name": "slice_thickness"}],
            r"augment\[1\].name: shift must work in slices, which is what the classifier reads, got 'slice_thickness'",
        ),
    ],
)
def test_wrong_augmentations_are_named(write_study, augment: list[dict], message: str) -> None:
    classifier = {**RESCUES["classification"][1], "augment": augment}
    with pytest.raises(ScanproofError, match=rf"study.yaml: .*{message}"):
        load_study(write_study({**RESCUES, "claims": [], "classification": [classifier]}))


def test_augmentation_trains_anew(write_study) -> None:
    def trained(augment: list[dict]) -> Task:
        classifier = {**RESCUES["classification"][1], "augment": augment}
        plan = make_plan(load_study(write_study({**RESCUES, "claims": [], "classification": [classifier]})))
        [task] = plan.classifiers
        return task

    plain, spike = trained([]), trained([{"name": "spike"}])
    assert plain.key != spike.key
    assert spike.key == trained([{"name": "spike", "probability": 0.2, "severities": [1, 5]}]).key
    assert spike.key != trained([{"name": "spike", "severities": [1, 4]}]).key
    assert spike.inputs == plain.inputs
