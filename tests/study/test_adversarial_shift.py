"""The worst case as a shift of a study: from its definition to its report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from scanproof.errors import ScanproofError
from scanproof.reconstruction.adversarial import perturb
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.seeds import derive_seed
from scanproof.study.acquire import AcquiredCohort, Sampling
from scanproof.study.acquisition_shifts import ACQUISITION_SHIFTS
from scanproof.study.load import load_study
from scanproof.study.run import Finished, Workspace, plan_study, run_study
from scanproof.study.tasks.cohort import read_cohort
from scanproof.study.tasks.images import read_images


@pytest.fixture(scope="module")
def content(small_text: str) -> dict:
    small = yaml.safe_load(small_text)
    data = {**small["data"], "sites": ["north"], "subjects": {"train": 2, "val": 2, "test": 2}, "matrix": [32, 32]}
    return {
        **small,
        "name": "attacked",
        "data": data,
        "shifts": [{"name": "adversarial", "severities": [1, 5]}],
        "reconstruction": [{"name": "fully_sampled"}, {"name": "cg_sense"}],
        "classification": [],
    }


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(root=tmp_path_factory.mktemp("attacked"))


@pytest.fixture(scope="module")
def finished(content: dict, workspace: Workspace) -> Finished:
    path = Path(workspace.root) / "attacked.yaml"
    path.write_text(yaml.safe_dump(content))
    return run_study(load_study(path), workspace, workers=1, tracking_uri=None, command="test")


def test_images_get_worse_with_severity_the_reference_chain_least(finished: Finished) -> None:
    rows = finished.results.query("metric == 'nrmse' and site == 'north' and subject.isna()")
    error: pd.Series = rows.set_index(["reconstruction", "severity"])["value"]
    for name in ("fully_sampled", "cg_sense"):
        assert error[name, 0] < error[name, 1] < error[name, 5]
    added = {name: error[name, 5] ** 2 - error[name, 0] ** 2 for name in ("fully_sampled", "cg_sense")}
    # one can lose no more than the perturbation; what is not sampled the other must make up, and makes up wrongly
    assert added["fully_sampled"] < 0.12**2
    assert added["cg_sense"] > 2 * added["fully_sampled"]


def test_each_method_is_attacked_itself_from_a_seed_of_the_case(finished: Finished, workspace: Workspace) -> None:
    plan = plan_study(finished.study, workspace)
    (task,) = (t for t in plan.reconstructions if t.params["method"] == "cg_sense" and t.params["severity"] == 5)
    cohort = read_cohort(workspace.store.get(task.inputs["cohort"][0].key)).select("test")
    sampling = Sampling(**task.params["sampling"])
    sample = AcquiredCohort(cohort, sampling=sampling, seed=finished.study.seed)[4]
    seed = derive_seed(finished.study.seed, "adversarial", "north", cohort.cases["case"].iloc[4])
    arguments = (sample["mask"], sample["sensitivities"])
    attacked = perturb(CgSense(), sample["kspace"], *arguments, strength=0.08, seed=seed)
    stored = torch.from_numpy(read_images(workspace.store.get(task.key))[4])
    torch.testing.assert_close(stored, CgSense()(attacked, *arguments), atol=2e-5 * float(stored.max()), rtol=0)


def test_the_report_says_that_no_scanner_does_this(finished: Finished) -> None:
    assert "Adversarial is a worst case, not something a scanner does" in finished.report.read_text()


def test_strengths_end_at_the_published_bound() -> None:
    strengths = [level["strength"] for level in ACQUISITION_SHIFTS["adversarial"].levels]
    assert strengths == sorted(set(strengths))
    assert strengths[-1] == 0.08


def test_a_composition_cannot_hold_a_worst_case(content: dict, write_study) -> None:
    parts = [{"name": "ghosting", "severity": 1}, {"name": "adversarial", "severity": 2}]
    path = write_study({**content, "shifts": [{"name": "both", "compose": parts}]})
    message = r"shifts\[0\].compose\[1\].name: shift must stand alone: it is a worst case, .*, got 'adversarial'"
    with pytest.raises(ScanproofError, match=message):
        load_study(path)
