"""A folder of images with one subfolder a class, and no manifest."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scanproof.data.find_paths import check_name
from scanproof.data.images import is_image
from scanproof.data.labels import NAME_RULE, is_target_name, label_column
from scanproof.data.manifest import Manifest
from scanproof.errors import ScanproofError

#: what a reader must know of such a cohort
SUBJECTS_ARE_FILES = (
    "The images came in folders of classes, without saying whose they are: each file name was taken for a subject. "
    "Images of one patient may have been learned from and tested on, which makes results look better than they are and "
    "intervals narrower."
)


def class_folders(root: Path) -> list[Path]:
    """Subfolders of a folder that hold images, in alphabetical order; hidden ones are left out."""
    if not root.is_dir():
        return []
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return [folder for folder in folders if _images(folder)]


def read_class_folders(root: Path, *, site: str) -> Manifest:
    """What a manifest would say of ``root/CLASS/*.png``: the class of each image. A file name is a subject.

    Args:
        root: folder of the classes' folders.
        site: name of the site.

    Raises:
        ScanproofError: fewer than two folders with images, a name that no class can have.
    """
    folders = class_folders(root)
    if len(folders) < 2:
        raise ScanproofError(
            "folder must hold cohort.csv, or at least two folders of images, one a class",
            file=root,
            value=[folder.name for folder in folders],
        )
    for folder in folders:
        for path in _images(folder):
            check_name(path)
        if not is_target_name(folder.name):
            raise ScanproofError(f"name of a class {NAME_RULE}", file=folder, value=folder.name)
    table = pd.DataFrame(
        [
            {"subject": path.stem, "site": site, "path": str(path.resolve()), "class": folder.name}
            for folder in folders
            for path in _images(folder)
        ],
        dtype="string",
    )
    labels = {label_column(folder.name): table["class"].eq(folder.name).astype("Int64") for folder in folders}
    places = [f"{Path(path).parent.name}/{Path(path).name}" for path in table["path"]]
    table = table.drop(columns="class").assign(split=pd.Series(pd.NA, table.index, dtype="string"), place=places)
    table = table.assign(**labels).sort_values(["subject", "path"], kind="stable", ignore_index=True)
    return Manifest(table=table, exclusive=True, file=root)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and is_image(path) and path.name[0] != ".")
