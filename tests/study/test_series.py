"""Studies on DICOM series and BIDS datasets, as they lie in a folder."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from pydicom.dataset import Dataset

from dicom_series import ras_affine, uid, write_series
from scanproof.errors import ScanproofError
from scanproof.study.load import load_study
from scanproof.study.plan import make_plan
from scanproof.study.run import Workspace, run_study
from scanproof.study.sources import cohort_sources
from scanproof.study.store import Store
from scanproof.study.tasks.cohort import make_cohort
from scanproof.study.tasks.context import Context

PEOPLE = 12
GEOMETRY = {"spacing": (4.0, 4.0), "distance": 6.0}


def head(number: int) -> np.ndarray:
    """A bright disc; every other one has a brighter spot. (row, column, slice)"""
    y, x = np.mgrid[-1:1:30j, -1:1:26j]
    image = 400 * (x**2 + y**2 < 0.7) + 300 * (number % 2) * ((x - 0.3) ** 2 + y**2 < 0.05)
    noise = np.random.default_rng(number).integers(1, 40, (30, 26, 6))
    return (image[:, :, None] + noise).astype(np.uint16)


def named(number: int):
    def change(dataset: Dataset, k: int) -> None:
        dataset.SOPInstanceUID = uid(number, k)
        dataset.PatientName = dataset.SeriesDescription = f"DOE^{number}"

    return change


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Twelve patients, a folder of DICOM files each, and a manifest of folders."""
    root = tmp_path / "dicom"
    for number in range(PEOPLE):
        write_series(root / f"DOE_{number}", head(number), change=named(number), **GEOMETRY)
    rows = [(f"DOE^{n}", "north", f"DOE_{n}", n % 2) for n in range(PEOPLE)]
    pd.DataFrame(rows, columns=["subject", "site", "path", "label"]).to_csv(root / "cohort.csv", index=False)
    return root


@pytest.fixture
def tiny(small: dict) -> dict:
    plan = {"norms": ["batch"], "seeds": [1], "train_on": "zero_filled", "training": {"epochs": 1, "batch_size": 8}}
    small["classification"][0].update(plan)
    small["shifts"] = small["shifts"][:1]
    return {**small, "reconstruction": [{"name": "zero_filled"}]}


def test_a_study_on_dicom_from_end_to_end(series: Path, write_study, tiny: dict, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    study = load_study(write_study(tiny), data=series)
    finished = run_study(study, Workspace(root=root), workers=1, tracking_uri=None, command="test")
    assert set(finished.results["reconstruction"]) == {"zero_filled"}
    assert {"ssim", "auroc"} <= set(finished.results["metric"])
    assert (root / "studies" / "small" / "report.html").stat().st_size > 10_000
    for path in root.rglob("*"):
        if path.is_file():
            assert not re.search(rb"DOE[_^]", path.read_bytes()), path


def test_series_and_nifti_of_one_volume_give_the_same_images(
    series: Path, write_study, tiny: dict, tmp_path: Path
) -> None:
    copies = series.with_name("nifti")
    copies.mkdir()
    table = pd.read_csv(series / "cohort.csv")
    for row in table.itertuples():
        number = int(row.path.removeprefix("DOE_"))
        nib.save(nib.Nifti1Image(head(number), ras_affine(**GEOMETRY)), copies / f"{row.path}.nii")
    table.assign(path=table["path"] + ".nii").to_csv(copies / "cohort.csv", index=False)
    images = []
    for folder in (series, copies):
        source = cohort_sources(load_study(write_study(tiny), data=folder), site_key=b"k")[0]
        payload = make_cohort("", source.params, {}, Context(store=Store(tmp_path), local={"paths": source.paths}))
        images.append(payload.arrays["images"])
    np.testing.assert_allclose(images[0], images[1], atol=1e-6)
    assert images[0].shape == (PEOPLE * 2, 1, 48, 40)


def test_the_hash_of_a_series_is_that_of_all_its_files(series: Path, write_study, tiny: dict) -> None:
    def key() -> str:
        return make_plan(load_study(write_study(tiny), data=series), site_key=b"k").result.key

    first = key()
    (series / "DOE_3" / "IM0002.dcm").rename(series / "DOE_3" / "renamed.dcm")
    assert key() == first
    content = bytearray((series / "DOE_3" / "renamed.dcm").read_bytes())
    content[-1] ^= 1
    (series / "DOE_3" / "renamed.dcm").write_bytes(content)
    assert key() != first


def test_a_copy_of_a_series_is_found(series: Path, write_study, tiny: dict) -> None:
    for path in (series / "DOE_1").iterdir():
        (series / "DOE_3" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(
        ScanproofError, match=r"line 3 and line 5: files of two subjects must not have the same content"
    ):
        make_plan(load_study(write_study(tiny), data=series), site_key=b"k")


def test_one_series_of_several_in_a_manifest(series: Path, write_study, tiny: dict) -> None:
    write_series(series / "DOE_0", 5 * head(0), series=4, names=[f"B{k}" for k in range(6)], **GEOMETRY)
    study = load_study(write_study(tiny), data=series)
    with pytest.raises(ScanproofError, match=r"DOE_0: series: folder must hold one series, got .* as in DOE_0#"):
        make_plan(study, site_key=b"k")
    text = (series / "cohort.csv").read_text().replace("DOE_0,", "DOE_0#4,")
    (series / "cohort.csv").write_text(text)
    make_plan(study, site_key=b"k")


def test_a_bids_dataset_is_found_out(write_study, tiny: dict, tmp_path: Path) -> None:
    root = tmp_path / "bids"
    for number in range(PEOPLE):
        path = root / f"sub-{number:02d}" / "anat" / f"sub-{number:02d}_T2w.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(head(number), ras_affine(**GEOMETRY)), path)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    table = pd.DataFrame(
        {"participant_id": [f"sub-{n:02d}" for n in range(PEOPLE)], "group": ["a", "b"] * (PEOPLE // 2)}
    )
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    own = {"kind": "volumes", "root": "x", "site": "Ghent", "slices": 3, "matrix": [32, 28], "bids": {"label": "group"}}
    source = cohort_sources(load_study(write_study({**tiny, "data": own}), data=root), site_key=b"k")[0]
    assert (source.site, source.targets, source.exclusive) == ("Ghent", ("a", "b"), True)
    assert len(source.paths) == PEOPLE
    with pytest.raises(ScanproofError, match=r"data.bids.label: column of the labels must be named for classification"):
        cohort_sources(load_study(write_study(tiny), data=root), site_key=b"k")
    (root / "dataset_description.json").unlink()
    study = load_study(write_study(yaml.safe_dump({**tiny, "data": {**own, "root": str(root)}})))
    with pytest.raises(ScanproofError, match=r"folder without a manifest must be a BIDS dataset, with dataset_descr"):
        cohort_sources(study, site_key=b"k")
