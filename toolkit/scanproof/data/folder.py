"""What a folder of a site holds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

from scanproof.data.class_folders import class_folders
from scanproof.data.images import is_image


def kind_of(folder: Path, manifest: Path) -> Literal["nifti", "images"]:
    """Whether a folder holds volumes or single images.

    The first path of the manifest tells it; without a manifest, folders of images do. What can be told by neither is
    taken for volumes, and whoever reads the manifest says what is wrong with it.

    Args:
        folder: of the site.
        manifest: CSV with a column ``path``; it need not exist.
    """
    if not manifest.is_file():
        return "images" if class_folders(folder) else "nifti"
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            row = next(csv.DictReader(file, skipinitialspace=True), {})
    except (OSError, UnicodeDecodeError, csv.Error):
        return "nifti"
    return "images" if is_image(str(row.get("path")).strip()) else "nifti"
