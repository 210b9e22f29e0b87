"""A study whose classifiers read volumes: one case a volume, from file to report."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from scanproof.data.labels import labels_of
from scanproof.errors import ScanproofError
from scanproof.study.load import load_study
from scanproof.study.plan import make_plan
from scanproof.study.run import Finished, Workspace, plan_study, run_study
from scanproof.study.tasks.cohort import read_cohort

SLICES = 3
VOLUMES = {
    "name": "volumes",
    "seed": 5,
    "data": {"kind": "demo", "sites": ["north"], "subjects": {"train": 6, "val": 6, "test": 8}}
    | {"slices": SLICES, "matrix": [32, 32], "labels": ["left_lesion"]},
    "acquisition": {"mask": "random", "accelerations": [2], "center_fraction": 0.1, "dimensions": 3},
    "shifts": [{"name": "slice_thickness", "severities": [4]}],
    "reconstruction": [{"name": "fully_sampled"}],
    "classification": [
        {"name": "resnet18", "norms": ["batch", "batch_condition"], "dimensions": 3}
        | {"options": {"width": 0.0625}, "training": {"epochs": 1, "batch_size": 3}}
        | {"augment": [{"name": "slice_thickness", "probability": 0.5}]}
    ],
    "evaluation": {"resamples": 100, "image_metrics": ["nrmse"]},
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(root=tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def finished(workspace: Workspace) -> Finished:
    (workspace.root / "volumes.yaml").write_text(yaml.safe_dump(VOLUMES))
    study = load_study(workspace.root / "volumes.yaml")
    return run_study(study, workspace, workers=1, tracking_uri=None, command="test")


def test_a_volume_is_one_case(finished: Finished, workspace: Workspace) -> None:
    predictions = finished.predictions
    assert predictions.groupby("split")["case"].nunique().to_dict() == {"test": 8, "val": 6}
    assert len(predictions) == 2 * (8 * 2 + 6)
    cohort = read_cohort(workspace.store.get(plan_study(finished.study, workspace).cohorts["north"].key))
    for volume in cohort.volumes():
        cases = cohort.cases.iloc[volume]
        own = predictions[predictions["subject"] == cases["subject"].iloc[0]]
        if cases["split"].iloc[0] == "train":
            assert own.empty
            continue
        assert len(cases) == SLICES
        assert own["case"].unique().tolist() == [cases["case"].iloc[0].rpartition("-")[0]]
        assert own["label"].eq(labels_of(cases).max()).all()


def test_numbers_count_volumes_of_readings_and_slices_of_images(finished: Finished) -> None:
    results = finished.results
    about = results[results["case"].isna()]
    assert set(about.loc[about["metric"] == "auroc", "n"]) == {8}
    assert set(about.loc[about["metric"] == "nrmse", "n"]) == {8 * SLICES}
    assert finished.report.is_file()
    assert '<img src="data:image/png' in finished.report.read_text(encoding="utf-8")


def test_rescues_read_volumes_otherwise(finished: Finished) -> None:
    rows = finished.predictions.pivot_table(index=["case", "shift"], columns="norm", values="probability")
    assert not np.allclose(rows["batch"], rows["batch_condition"], atol=1e-5)


def test_what_reads_volumes_needs_them(write_study) -> None:
    one = VOLUMES["classification"][0]
    slices = {"name": "flat", "network": "resnet18", "norms": ["batch"], "dimensions": 2}
    with pytest.raises(ScanproofError, match=r"classification\[1\].dimensions: must be the same for all classifiers"):
        load_study(write_study({**VOLUMES, "classification": [one, slices]}))
    acquisition = {**VOLUMES["acquisition"], "dimensions": 2}
    content = {**VOLUMES, "acquisition": acquisition, "shifts": [], "reconstruction": [{"name": "fully_sampled"}]}
    with pytest.raises(ScanproofError, match=r"classification\[0\].dimensions: must be 2 where slices are acquired"):
        load_study(write_study(content))


def test_slices_of_the_same_study_are_read_by_others(write_study) -> None:
    """Another number of dimensions leaves the images as they are, and trains anew."""
    flat = {**VOLUMES["classification"][0], "dimensions": 2, "augment": []}
    volumes, slices = (
        make_plan(load_study(write_study({**VOLUMES, "classification": [{**one, "augment": []}]})))
        for one in (VOLUMES["classification"][0], flat)
    )
    images = [{task.key for task in plan.tasks if task.kind == "reconstruct"} for plan in (volumes, slices)]
    assert images[0] == images[1]
    assert not {task.key for task in volumes.classifiers} & {task.key for task in slices.classifiers}
