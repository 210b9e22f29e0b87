from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scanproof.data.class_folders import read_class_folders
from scanproof.data.folder import kind_of
from scanproof.data.labels import labels_of
from scanproof.errors import ScanproofError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 9, np.uint8)).save(path)
    return root


def test_folders_are_classes_and_file_names_subjects(tmp_path: Path) -> None:
    root = touch(tmp_path, "no tumour/p2.png", "glioma/p3.JPG", "glioma/p1.tif", "no tumour/p1.png")
    touch(root, ".thumbs/p1.png", "glioma/.p9.png")
    (root / "glioma" / "notes.txt").write_text("not an image")
    (root / "empty").mkdir()
    manifest = read_class_folders(root, site="Zürich")
    assert (manifest.targets, manifest.exclusive) == (("glioma", "no tumour"), True)
    assert manifest.table["subject"].tolist() == ["p1", "p1", "p2", "p3"]
    assert labels_of(manifest.table).tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
    assert manifest.table["place"].tolist() == [
        "glioma/p1.tif",
        "no tumour/p1.png",
        "no tumour/p2.png",
        "glioma/p3.JPG",
    ]
    assert set(manifest.table["site"]) == {"Zürich"}
    assert manifest.table["split"].isna().all()
    assert [Path(path).is_absolute() for path in manifest.table["path"]] == [True] * 4


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"folder must hold cohort.csv, or at least two folders of images, one a class, got \[\]"),
        (("a/x.png",), r"at least two folders of images, one a class, got \['a'\]"),
        (("a/x.png", "b=c/x.png"), "b=c: name of a class must start with"),
    ],
)
def test_folders_that_are_no_classes(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ScanproofError, match=message):
        read_class_folders(touch(tmp_path, *names), site="x")
    with pytest.raises(ScanproofError, match="folder must hold cohort"):
        read_class_folders(tmp_path / "none", site="x")


@pytest.mark.parametrize(
    ("manifest", "names", "kind"),
    [
        (None, (), "volumes"),
        (None, ("a.png",), "volumes"),
        (None, ("a/x.png", "b/x.png"), "images"),
        ("subject,site,path\ns,x,a/x.nii.gz\n", ("a/x.png", "b/x.png"), "volumes"),
        ("\ufeffsubject, site, path\ns, x, a/x.PNG\n", (), "images"),
        ("subject,site,path\n", (), "volumes"),
        ("subject,site\ns,x\n", (), "volumes"),
        ("", (), "volumes"),
    ],
)
def test_the_kind_of_a_folder(tmp_path: Path, manifest: str | None, names: tuple[str, ...], kind: str) -> None:
    touch(tmp_path, *names)
    if manifest is not None:
        (tmp_path / "cohort.csv").write_text(manifest, encoding="utf-8")
    assert kind_of(tmp_path, tmp_path / "cohort.csv") == kind


def test_a_manifest_that_cannot_be_read_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_bytes(b"\xff\xfe\x00\x81,\0")
    assert kind_of(tmp_path, tmp_path / "cohort.csv") == "volumes"
