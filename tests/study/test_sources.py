"""Folders of images and volumes as the sources of a study, and the cohorts that they give."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scanproof.data.cohort import Cohort
from scanproof.data.labels import labels_of
from scanproof.errors import ScanproofError
from scanproof.study.definition import Study
from scanproof.study.executor import execute
from scanproof.study.load import load_study
from scanproof.study.plan import make_plan
from scanproof.study.run import Workspace, definition_hash, plan_study, shows_images
from scanproof.study.sources import cohort_sources, data_notes
from scanproof.study.tasks.cohort import read_cohort

CLASSES = ("glioma", "meningioma", "pituitary")


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (20, 24)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eighteen patients at two sites, two images each, of three classes."""
    root = tmp_path / "Doe_Jane"
    root.mkdir()
    rows = []
    for number in range(18):
        for image in range(2):
            name = f"DOE_{number}_{image}.png"
            Image.fromarray(pixels(10 * number + image)).save(root / name)
            site = "north" if number < 12 else "south"
            rows.append((f"DOE^{number}", site, name, CLASSES[number % 3]))
    pd.DataFrame(rows, columns=["subject", "site", "path", "label"]).to_csv(root / "cohort.csv", index=False)
    return root


def change(folder: Path, **columns: Sequence[object]) -> None:
    table = pd.read_csv(folder / "cohort.csv")
    table.assign(**columns).to_csv(folder / "cohort.csv", index=False)


def load(write_study, small: dict, folder: Path, **changes: object) -> Study:
    return load_study(write_study({**small, **changes}), data=folder)


def cohorts(study: Study, root: Path) -> dict[str, Cohort]:
    """Compute the cohort tasks of a study."""
    workspace = Workspace(root=root)
    plan = plan_study(study, workspace)
    for task in plan.cohorts.values():
        execute([task], workspace.store, workers=1)
    return {site: read_cohort(workspace.store.get(task.key)) for site, task in plan.cohorts.items()}


def test_a_folder_of_images_becomes_cohorts_of_classes(folder: Path, write_study, small, tmp_path: Path) -> None:
    study = load(write_study, small, folder)
    assert study.data.kind == "images"
    assert not shows_images(study)
    found = cohorts(study, tmp_path / "mlruns")
    assert {site: len(cohort.cases) for site, cohort in found.items()} == {"north": 24, "south": 12}
    for cohort in found.values():
        assert (cohort.targets, cohort.exclusive) == (CLASSES, True)
        assert cohort.images.shape[1:] == (1, *small["data"]["matrix"])
        assert (cohort.cases.groupby("subject")["split"].nunique() == 1).all()
        assert (labels_of(cohort.cases).sum(axis=1) == 1).all()
    splits = found["north"].cases.drop(columns=["subject", "case"]).groupby("split").max()
    assert splits.shape == (3, 3)
    assert splits.eq(1).all(axis=None)
    assert set(found["south"].cases["split"]) == {"test"}


def test_nothing_of_a_folder_but_pseudonyms_is_kept(folder: Path, write_study, small, tmp_path: Path) -> None:
    study = load(write_study, small, folder)
    cohort = cohorts(study, tmp_path / "mlruns")["north"]
    assert cohort.cases["case"].str.fullmatch("s[0-9a-f]{12}-[01]").all()
    plan = plan_study(study, Workspace(root=tmp_path / "mlruns"))
    assert "DOE" not in json.dumps([[task.params, task.key] for task in plan.tasks])
    for path in (tmp_path / "mlruns").rglob("*"):
        if path.is_file():
            assert not re.search(rb"DOE[_^]", path.read_bytes()), path
            assert b"Doe_Jane" not in path.read_bytes(), path


def test_the_place_of_images_changes_nothing(folder: Path, write_study, small, tmp_path: Path) -> None:
    first = load(write_study, small, folder)
    moved = load(write_study, small, folder.rename(tmp_path / "moved"))
    assert definition_hash(first) == definition_hash(moved)
    plan = make_plan(moved, site_key=b"k")
    (tmp_path / "moved").rename(folder)
    assert make_plan(first, site_key=b"k").result.key == plan.result.key


def test_several_findings_of_one_image(folder: Path, write_study, small) -> None:
    table = pd.read_csv(folder / "cohort.csv").drop(columns="label")
    table.assign(label_tear=[0, 1] * 18, label_cyst=[0, 1, 1, 1] * 9).to_csv(folder / "cohort.csv", index=False)
    for source in cohort_sources(load(write_study, small, folder), site_key=b"k"):
        assert (source.targets, source.exclusive) == (("cyst", "tear"), False)
        files = source.params["files"]
        assert {tuple(file["labels"]) for file in files} == {(0, 0), (1, 0), (1, 1)}


def test_no_labels_are_needed_without_classification(folder: Path, write_study, small) -> None:
    pd.read_csv(folder / "cohort.csv").drop(columns="label").to_csv(folder / "cohort.csv", index=False)
    sources = cohort_sources(load(write_study, small, folder, classification=[]), site_key=b"k")
    assert [source.targets for source in sources] == [(), ()]
    with pytest.raises(ScanproofError, match=r"cohort.csv: label: manifest must have this column"):
        make_plan(load(write_study, small, folder), site_key=b"k")


def test_copies_among_subjects_are_named(folder: Path, write_study, small) -> None:
    (folder / "DOE_3_0.png").write_bytes((folder / "DOE_1_1.png").read_bytes())
    rule = r"cohort.csv: line 5 and line 8: files of two subjects must not have the same content, got \['DOE\^1', 'DOE"
    with pytest.raises(ScanproofError, match=rule):
        make_plan(load(write_study, small, folder), site_key=b"k")
    subjects = pd.read_csv(folder / "cohort.csv")["subject"].replace("DOE^3", "DOE^1")
    change(folder, subject=subjects, label=["a", "b", "a", "b"] * 9)
    make_plan(load(write_study, small, folder), site_key=b"k")


def test_copies_of_volumes_are_named(tmp_path: Path, write_study, small) -> None:
    rows = []
    for number in range(3):
        volume = nib.Nifti1Image(np.full((8, 8, 8), 1.0 + number // 2, np.float32), np.eye(4))
        nib.save(volume, tmp_path / f"{number}.nii")
        rows.append({"subject": number, "site": "x", "path": f"{number}.nii"})
    pd.DataFrame(rows).to_csv(tmp_path / "cohort.csv", index=False)
    with pytest.raises(ScanproofError, match="line 2 and line 3: files of two subjects must not"):
        make_plan(load(write_study, small, tmp_path, classification=[]), site_key=b"k")


def test_a_class_that_a_split_lacks_is_named(folder: Path, write_study, small) -> None:
    change(folder, split=["train"] * 16 + ["val"] * 4 + ["test"] * 16)
    with pytest.raises(ScanproofError, match=r"site 'north', split val: split must hold cases with and without 'meni"):
        make_plan(load(write_study, small, folder), site_key=b"k")


def test_a_broken_image_is_named_when_it_is_read(folder: Path, write_study, small, tmp_path: Path) -> None:
    (folder / "DOE_3_0.png").write_bytes(b"")
    with pytest.raises(ScanproofError, match=r"DOE_3_0.png: file must be a readable image"):
        cohorts(load(write_study, small, folder), tmp_path / "mlruns")


def test_folders_of_classes(folder: Path, write_study, small, tmp_path: Path) -> None:
    for row in pd.read_csv(folder / "cohort.csv").itertuples():
        (folder / row.label).mkdir(exist_ok=True)
        (folder / row.path).rename(folder / row.label / row.path)
    (folder / "cohort.csv").unlink()
    study = load(write_study, small, folder)
    assert data_notes(study)[0].startswith("The images came in folders of classes, without saying whose they are")
    found = cohorts(study, tmp_path / "mlruns")["local"]
    assert found.targets == CLASSES
    assert found.cases["subject"].nunique() == len(found.cases) == 36
    copy = {"kind": "images", "root": str(folder), "site": "Ghent", "matrix": [32, 32], "spacing": [0.5, 0.5]}
    own = load_study(write_study({**small, "data": copy}))
    assert [source.site for source in cohort_sources(own, site_key=b"k")] == ["Ghent"]
    (folder / "glioma" / "copy.png").write_bytes((folder / "glioma" / "DOE_0_0.png").read_bytes())
    with pytest.raises(ScanproofError, match=r"glioma/DOE_0_0.png and glioma/copy.png: files of two subjects"):
        make_plan(own, site_key=b"k")


def test_manifests_say_whose_images_they_are(folder: Path, write_study, small) -> None:
    assert data_notes(load(write_study, small, folder)) == []
    assert data_notes(load_study(write_study(small))) == []


def test_what_a_section_of_another_kind_hands_on(folder: Path, write_study, small, tmp_path: Path) -> None:
    own = {"kind": "volumes", "manifest": "a.csv", "matrix": [40, 40], "spacing": [3, 3], "coils": 4, "slices": 9}
    data = load(write_study, small, folder, data={**own, "training_sites": ["x"]}).data
    assert (data.kind, data.matrix, data.coils, data.training_sites) == ("images", (40, 40), 4, None)
    assert data.spacing == (1, 1)
    data = load(write_study, small, folder, data={"kind": "images", "root": "x", "spacing": [0.7, 0.7]}).data
    assert (data.spacing, data.root) == ((0.7, 0.7), folder.resolve())


def test_the_demo_says_its_findings(write_study, small) -> None:
    labels = ["left_lesion", "lesion"]
    sources = cohort_sources(load_study(write_study({**small, "data": {**small["data"], "labels": labels}})))
    assert [(source.targets, source.exclusive) for source in sources] == [(tuple(labels), False)] * 2


def test_the_usual_label_changes_no_hash(write_study, small) -> None:
    plain = load_study(write_study(small))
    stated = load_study(write_study({**small, "data": {**small["data"], "labels": ["lesion"]}}))
    other = load_study(write_study({**small, "data": {**small["data"], "labels": ["large_lesion"]}}))
    assert definition_hash(plain) == definition_hash(stated) != definition_hash(other)
