from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from intake.conftest import head, save_volume
from scanproof.data.check.inspect import FileFacts, inspect_file
from scanproof.errors import ScanproofError
from scanproof.intake.checkup import Checkup, check_intake
from scanproof.intake.console import line_of
from scanproof.intake.discover import take_in, template
from scanproof.intake.page import render_check
from scanproof.intake.readiness import readiness
from scanproof.intake.reading import Job, read_files
from scanproof.intake.record import as_json


@pytest.fixture(scope="module")
def checked(trouble: Path) -> Checkup:
    return check_intake(take_in(trouble, manifest=None), workers=1, pictures=True)


def test_every_trouble_is_one_line(checked: Checkup) -> None:
    assert [(problem.line, problem.column) for problem in checked.problems] == [
        (22, "path"),  # a copy of line 2
        (23, "path"),  # cut
        (24, "path"),  # empty
        (25, "split"),
        (25, "path"),  # 4D
        (26, "label"),
        (26, "path"),  # NaN
        (27, "path"),  # absent
        (28, "subject"),
        (28, "path"),  # listed twice
    ]
    lines = [line_of(problem) for problem in checked.problems]
    assert lines[0].startswith("line 22, north/copy.nii: files of two subjects must not have the same voxels or pixels")
    assert all("\n" not in text for text in lines)
    assert not checked.clean


def test_the_copy_differs_in_bytes_only(trouble: Path) -> None:
    one, other = (inspect_file(trouble / "north" / name) for name in ("P00.nii.gz", "copy.nii"))
    assert one.content != other.content
    assert one.pixels == other.pixels


def test_what_is_odd_is_a_note(checked: Checkup) -> None:
    assert [(note.line, note.path) for note in checked.notes] == [(16, "süd/P04.nii.gz")]
    assert "geometry differs" in checked.notes[0].rule


def test_counts_are_those_of_the_folder(checked: Checkup) -> None:
    assert len(checked.files) == 25
    assert sum(share.files for share in checked.shares) == 25
    assert sum(share.broken for share in checked.shares) == 4
    north = {share.split: (share.subjects, share.broken) for share in checked.shares if share.site == "north"}
    assert north == {"train": (4, 0), "val": (4, 0), "test": (6, 3), None: (1, 1)}
    labels = {(row.site, row.split): (row.positive, row.negative, row.missing) for row in checked.balances}
    assert labels["süd", "test"] == (5, 5, 0)
    assert sum(missing for _, _, missing in labels.values()) == 1
    assert checked.ready.files == 21
    assert checked.ready.training_site == "north"


def test_the_number_of_processes_changes_nothing(checked: Checkup, trouble: Path) -> None:
    again = check_intake(take_in(trouble, manifest=None), workers=3, pictures=True)
    assert as_json(again) == as_json(checked)
    assert render_check(again) == render_check(checked)


def test_json_holds_everything_but_pictures(checked: Checkup) -> None:
    record = json.loads(as_json(checked))
    assert record["problems"][1]["line"] == 23
    assert len(record["files"]) == 25
    assert {file["usable"] for file in record["files"]} == {True, False}
    assert record["notice"].endswith("must not leave the site.")


def die(job: Job) -> FileFacts:
    if "deadly" in job.path:
        os._exit(9)  # as if killed for memory
    return inspect_file(Path(job.path))


def test_a_file_that_ends_its_process_is_named(tmp_path: Path) -> None:
    names = ["a.nii", "b.nii", "deadly.nii", "c.nii", "d.nii"]
    for k, name in enumerate(names):
        save_volume(tmp_path / name, head(k))
    done: list[int] = []
    found = read_files(
        [Job(str(tmp_path / name)) for name in names], workers=2, inspect=die, on_done=lambda: done.append(1)
    )
    assert [fact.error is None for fact in found] == [True, True, False, True, True]
    assert "deadly.nii: process that reads the file must stay alive" in str(found[2].error)
    assert len(done) == 5


def test_folders_of_classes_need_no_manifest(classes: Path) -> None:
    found = check_intake(take_in(classes, manifest=None, site="here"))
    assert found.clean
    assert [(row.target, row.positive) for row in found.balances] == [("glioma", 6), ("healthy", 6)]
    assert "each file name was taken for a subject" in found.remarks[0]
    assert [precision.site for precision in found.ready.precisions] == ["here", "here"]


def test_a_template_names_what_can_be_read(tmp_path: Path) -> None:
    for k, name in enumerate(["P1/t1.nii.gz", "P1/t2.nii.gz", "P2/t1.nii.gz", "loose.nii"]):
        save_volume(tmp_path / name, head(k))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.nii").write_bytes(b"x")
    intake = take_in(tmp_path, manifest=None, site="here")
    assert not intake.given
    (tmp_path / "cohort.csv").write_text(template(intake), encoding="utf-8")
    again = take_in(tmp_path, manifest=None)
    assert again.given
    table = pd.read_csv(tmp_path / "cohort.csv")
    assert table["subject"].tolist() == ["P1", "P1", "P2", "loose"]
    assert set(table["site"]) == {"here"}
    assert [Path(path).as_posix() for path in table["path"]] == [
        "P1/t1.nii.gz",
        "P1/t2.nii.gz",
        "P2/t1.nii.gz",
        "loose.nii",
    ]
    # labels are columns to fill in
    assert {problem.column for problem in again.examined.problems} == {"label"}


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ScanproofError, match="folder must hold a manifest or files that can be read"):
        take_in(tmp_path, manifest=None)
    with pytest.raises(ScanproofError, match="DIR: must be an existing folder"):
        take_in(tmp_path / "none", manifest=None)


def test_readiness_agrees_with_the_plan_of_a_study() -> None:
    from scipy import stats

    from scanproof.evaluation.statistics.power import Expected

    count = 80
    files = pd.DataFrame({"subject": [f"s{k // 2}" for k in range(2 * count)], "site": "x", "split": pd.NA})
    files["path"] = [f"{k}.nii" for k in range(2 * count)]
    files["label:cyst"] = pd.array([k // 2 % 4 == 0 for k in range(2 * count)], dtype="Int64")
    found = readiness(files)
    assert found.obstacles == ()
    assert sum(found.splits["x"].values()) == count
    one = found.precisions[0]
    expected = Expected(prevalence=one.positive, slices=2).standard_error(one.subjects)
    assert one.half_width == pytest.approx(stats.norm.ppf(0.975) * expected)
    assert "scanproof run would not classify" in readiness(files.assign(**{"label:cyst": 1})).obstacles[0]
    assert readiness(files[:0]).words == ["No file can be used."]


def test_real_volumes(shared_data: Path) -> None:
    names = sorted(path.name for path in (shared_data / "nifti").glob("s*.nii.gz"))
    found = check_intake(take_in(shared_data / "nifti", manifest=None), workers=2, pictures=True)
    by_name = {row.listed: fact for row, fact in zip(found.files.itertuples(), found.facts, strict=True)}
    assert found.problems == []
    for name in names:
        fact = by_name[name]
        header = nib.load(shared_data / "nifti" / name).header
        assert sorted(fact.shape) == sorted(header.get_data_shape())
        assert sorted(fact.spacing or ()) == pytest.approx(sorted(map(float, header.get_zooms())), rel=1e-3)
        assert fact.intensity is not None
        assert fact.intensity.snr is None or 1 < fact.intensity.snr < 500
        assert fact.picture is not None


def test_real_images_and_their_copies(shared_data: Path, tmp_path: Path) -> None:
    from PIL import Image

    images = np.load(shared_data / "images_chest.npz")["images"][:12]
    rows = []
    for k, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
        rows.append({"subject": f"s{k}", "site": "chest", "path": f"{k}.png"})
    Image.fromarray(images[3]).save(tmp_path / "again.tif")
    rows.append({"subject": "s99", "site": "chest", "path": "again.tif"})
    pd.DataFrame(rows).to_csv(tmp_path / "cohort.csv", index=False)
    found = check_intake(take_in(tmp_path, manifest=None))
    assert [(problem.line, problem.value) for problem in found.problems] == [(14, ["s3", "s99"])]
