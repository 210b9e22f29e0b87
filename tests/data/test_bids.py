from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from scanproof.data.bids import is_bids, read_bids
from scanproof.data.folder import kind_of
from scanproof.errors import ScanproofError

IMAGES = (
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_run-1_T1w.nii.gz",
    "sub-02/ses-b/anat/sub-02_ses-b_T1w.nii",
    "sub-03/anat/sub-03_T1w.nii.gz",
    "sub-03/anat/sub-03_part-phase_T1w.nii.gz",
    "sub-03/anat/sub-03_part-mag_FLAIR.nii.gz",
    "sub-03/func/sub-03_task-rest_bold.nii.gz",
    "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
)
PEOPLE = """participant_id	age	group	scanner
sub-01	40	patient	north
sub-02	41	control	south
sub-03	n/a	patient	north
sub-04	50	n/a	n/a
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "bids"
    for number, name in enumerate(IMAGES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.full((4, 4, 4), 1.0 + number, np.float32), np.eye(4)), root / name)
        (root / name).with_name("notes.json").write_text("{}")
    (root / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.9.0"}')
    (root / "participants.tsv").write_text(PEOPLE)
    return root


def test_sessions_of_a_participant_are_one_subject(dataset: Path) -> None:
    found = read_bids(dataset, labelled=True, suffix="T1w", label="group", site_column="scanner")
    assert (found.targets, found.exclusive) == (("control", "patient"), True)
    assert list(found.table.columns) == ["subject", "site", "path", "split", "place", "label:control", "label:patient"]
    rows = found.table.drop(columns=["path", "split", "label:control"]).to_numpy().tolist()
    assert rows == [
        ["sub-01", "north", IMAGES[0], 1],
        ["sub-03", "north", IMAGES[3], 1],
        ["sub-02", "south", IMAGES[1], 0],
        ["sub-02", "south", IMAGES[2], 0],
    ]
    assert found.table["path"].tolist() == [str(dataset / row[2]) for row in rows]
    assert found.table["split"].isna().all()


def test_nothing_but_images_is_needed_without_classes(dataset: Path) -> None:
    (dataset / "participants.tsv").unlink()
    found = read_bids(dataset, labelled=False, suffix="FLAIR", site="Ghent")
    assert found.table[["subject", "site", "place"]].to_numpy().tolist() == [["sub-03", "Ghent", IMAGES[5]]]
    assert found.targets == ()


def test_labels_as_in_a_manifest(dataset: Path) -> None:
    text = "participant_id\tlabel_tear\tlabel_cyst\nsub-01\t0\t1\nsub-02\t1\t1\nsub-03\t1\t0\n"
    (dataset / "participants.tsv").write_text(text)
    found = read_bids(dataset, labelled=True, suffix="T1w")
    assert (found.targets, found.exclusive) == (("cyst", "tear"), False)
    assert found.table["label:tear"].tolist() == [0, 1, 1, 1]


def test_one_kind_of_image_needs_no_choice(dataset: Path) -> None:
    (dataset / IMAGES[5]).unlink()
    assert len(read_bids(dataset, labelled=False).table) == 4


@pytest.mark.parametrize(
    ("options", "people", "message"),
    [
        ({}, PEOPLE, r"data.bids.suffix: kind of image must be chosen \(there are FLAIR, T1w\)"),
        ({"suffix": "T2w"}, PEOPLE, "unknown suffix of images, got 'T2w' .*known: FLAIR, T1w"),
        ({"suffix": "T1w"}, PEOPLE, r"data.bids.label: column of the labels must be named .*there are age, group"),
        ({"suffix": "T1w", "label": "grp"}, PEOPLE, "participants.tsv: data.bids.label: unknown column, got 'grp'"),
        ({"suffix": "T1w", "label": "group", "site_column": "x"}, PEOPLE, "data.bids.site: unknown column, got 'x'"),
        ({"suffix": "T1w", "label": "age"}, PEOPLE, r"participants.tsv: line 4: label must not be empty"),
        ({"suffix": "T1w", "label": "g"}, "participant_id\tg\nsub-01\ta\n", "participant with images must have a row"),
        ({"suffix": "T1w", "label": "g"}, "participant_id\tg\nsub-01\ta\nsub-01\tb\n", "line 3: participant must"),
        ({"suffix": "T1w", "label": "g"}, "id\tg\nsub-01\ta\n", "participant_id: must have this column"),
        ({"suffix": "T1w", "label": "g"}, "", "participants.tsv: must be a readable table"),
        ({"suffix": "T1w", "label": "g"}, None, "participants.tsv: labels and sites of a BIDS dataset must"),
    ],
)  # fmt: skip
def test_datasets_that_break_a_rule(dataset: Path, options: dict, people: str | None, message: str) -> None:
    if people is None:
        (dataset / "participants.tsv").unlink()
    else:
        (dataset / "participants.tsv").write_text(people)
    with pytest.raises(ScanproofError, match=message):
        read_bids(dataset, labelled=True, **options)


def test_images_that_were_not_fetched(dataset: Path) -> None:
    (dataset / IMAGES[0]).unlink()
    (dataset / IMAGES[0]).symlink_to(dataset / ".git/annex/objects/x")
    with pytest.raises(ScanproofError, match=r"sub-01_T1w.nii.gz: file must exist \(its content is missing: fetch"):
        read_bids(dataset, labelled=False, suffix="T1w")


def test_datasets_without_images(tmp_path: Path) -> None:
    assert not is_bids(tmp_path)
    with pytest.raises(ScanproofError, match=r"must hold images in sub-\*/anat"):
        read_bids(tmp_path, labelled=False)


def test_a_dataset_is_told_by_its_description(dataset: Path) -> None:
    assert is_bids(dataset)
    assert kind_of(dataset, dataset / "cohort.csv") == "volumes"
    for name in ("a", "b"):
        (dataset / name).mkdir()
        (dataset / name / "x.png").touch()
    assert kind_of(dataset, dataset / "cohort.csv") == "volumes"
    pd.DataFrame({"subject": ["s"], "site": ["x"], "path": ["a/x.png"]}).to_csv(dataset / "cohort.csv")
    assert kind_of(dataset, dataset / "cohort.csv") == "images"
