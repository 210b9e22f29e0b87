from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from scanproof.data.demo.generator import demo_cohort
from scanproof.protocol.freeze import Frozen, freeze_study
from scanproof.protocol.plan import FreezePlan
from scanproof.study.definition import Study
from scanproof.study.load import load_study
from scanproof.study.run import Workspace, run_study

MATRIX = (48, 40)
#: a whole study, as small as it can be
STUDY: dict[str, Any] = {
    "name": "small",
    "description": "test",
    "seed": 7,
    "data": {
        "kind": "demo",
        "sites": ["north"],
        "subjects": {"train": 8, "val": 6, "test": 8},
        "slices": 2,
        "matrix": list(MATRIX),
    },
    "acquisition": {"accelerations": [2]},
    "shifts": [{"name": "complex_noise", "severities": [5]}],
    "reconstruction": [
        {"name": "zero_filled"},
        {"name": "unet", "options": {"features": [4, 4, 4, 4, 4, 4], "epochs": 1}},
    ],
    "classification": [
        {
            "name": "resnet18",
            "norms": ["batch", "layer"],
            "seeds": [1, 2],
            "train_on": "zero_filled",
            "options": {"width": 0.0625},
            "training": {"epochs": 1, "batch_size": 8},
        }
    ],
    "evaluation": {"resamples": 200, "image_metrics": ["ssim", "nrmse"]},
    "claims": [
        {"text": "They differ.", "compare": "unet", "against": "zero_filled", "metric": "ssim"},
    ],
}
PLAN: dict[str, Any] = {
    "name": "small-protocol",
    "version": "1",
    "title": "A small protocol",
    "endpoints": [
        {"name": "likeness", "role": "primary", "metric": "ssim", "reconstruction": "unet"}
        | {"rule": "at_least", "limit": 0.01},
        {"name": "sharpness", "metric": "ssim", "reconstruction": "unet", "rule": "at_least", "limit": 0.9999},
        {"name": "reading", "metric": "auroc", "reconstruction": "unet", "norm": "layer", "shift": "complex_noise"}
        | {"rule": "at_least", "limit": 0.99},
        {"name": "norms", "metric": "auroc", "compare": "layer", "against": "batch", "shift": "all"}
        | {"rule": "not_worse", "margin": 0.05},
    ],
    "minimum": {"subjects": 6, "cases": 12},
    "data": {"extent": [0.1, 0.9]},
}


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(root=tmp_path_factory.mktemp("protocols"))


@pytest.fixture(scope="session")
def study(workspace: Workspace) -> Study:
    """A finished study."""
    file = workspace.root / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    definition = load_study(file)
    run_study(definition, workspace, workers=1, tracking_uri=None, command="scanproof run study.yaml")
    return definition


@pytest.fixture(scope="session")
def plan() -> FreezePlan:
    return FreezePlan.model_validate(PLAN)


@pytest.fixture(scope="session")
def frozen(study: Study, plan: FreezePlan, workspace: Workspace) -> Frozen:
    return freeze_study(study, plan, workspace, workspace.root / "protocols" / "small.yaml", command="scanproof run")


def write_site(folder: Path, *, subjects: int) -> Path:
    """A hospital's folder: subjects of the demo cohort as NIfTI volumes, with a manifest that names no site.

    Every other one is called positive: what is tested here does not depend on what a network makes of it.
    """
    cohort = demo_cohort("south", subjects={"test": subjects}, slices=2, matrix=MATRIX, seed=3)
    rows = []
    for number, (subject, part) in enumerate(cohort.cases.groupby("subject")):
        volume = np.moveaxis(cohort.images[part.index, 0], 0, -1)[::-1].transpose(1, 0, 2)
        image = nib.Nifti1Image(volume.astype(np.float32), np.diag([2.0, 2.0, 8.0, 1.0]))
        nib.save(image, folder / f"{subject}.nii.gz")
        rows.append({"subject": subject, "path": f"{subject}.nii.gz", "label_lesion": number % 2})
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site"), subjects=10)
