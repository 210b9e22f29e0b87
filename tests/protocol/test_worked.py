"""The protocols that come with the project, and the folder to practise on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from programs import run
from scanproof.data.demo.generator import demo_cohort
from scanproof.data.volumes import read_slices
from scanproof.protocol.check import departures
from scanproof.protocol.file import read_protocol
from scanproof.protocol.plan import all_endpoints, read_plan
from scanproof.protocol.site import site_study
from scanproof.study.load import load_study

FOLDER = Path(__file__).resolve().parents[2] / "protocols"
NAMES = ("brain-lesion-robustness", "reconstruction-acceptance")


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("practice")
    process = run(FOLDER / "practice_site.py", "-o", folder, "--subjects", 3, "--slices", 2)
    assert process.returncode == 0, process.stderr
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_worked_protocol_is_whole(name: str) -> None:
    file = FOLDER / f"{name}.yaml"
    protocol = read_protocol(file)
    assert protocol.name == name
    assert [one for one in departures(protocol, path=file) if one.kind == "weights"] == []
    assert (FOLDER / name / "README.md").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_worked_protocol_is_that_of_its_study_and_plan(name: str) -> None:
    protocol = read_protocol(FOLDER / f"{name}.yaml")
    study, plan = load_study(FOLDER / name / "study.yaml"), read_plan(FOLDER / name / "plan.yaml")
    assert all_endpoints(plan, study) == protocol.endpoints
    assert protocol.origin.study == study.name
    for key in ("seed", "shifts", "acquisition", "evaluation"):
        assert protocol.study[key] == study.model_dump(mode="json")[key]


@pytest.mark.parametrize("name", NAMES)
def test_what_an_ethics_board_reads_is_what_is_frozen(name: str) -> None:
    protocol = read_protocol(FOLDER / f"{name}.yaml")
    page = " ".join((FOLDER / name / "README.md").read_text(encoding="utf-8").split())
    assert f"must lie at or above {protocol.primary.bound:g}" in page
    assert f"{protocol.study['evaluation']['resamples']} times" in page
    assert sum(len(path.read_bytes()) for path in (FOLDER / name / "models").rglob("*") if path.is_file()) < 7_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_practice_folder_fits(name: str, practice: Path) -> None:
    file = FOLDER / f"{name}.yaml"
    study = site_study(read_protocol(file), file, data=practice, site="Practice")
    assert not study.trains
    assert study.data.only_site == "Practice"  # type: ignore[union-attr]


def test_the_practice_folder_holds_the_demo_s_images(practice: Path) -> None:
    table = pd.read_csv(practice / "cohort.csv")
    cohort = demo_cohort("north", subjects={"test": 3}, slices=2, matrix=(112, 96), seed=1)
    assert list(table.columns) == ["subject", "path", "label_lesion"]
    for path, image in zip(table["path"], cohort.images[:, 0], strict=True):
        settings = {"slices": 1, "extent": (0.4, 0.7), "matrix": (112, 96), "spacing": (2.0, 2.0)}
        [found], _ = read_slices(practice / path, **settings)  # type: ignore[arg-type]
        assert np.corrcoef(found.ravel(), image.ravel())[0, 1] > 0.999
