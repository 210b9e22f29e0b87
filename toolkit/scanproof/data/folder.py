"""What a folder of a site holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scanproof.data.bids import is_bids
from scanproof.data.class_folders import class_folders
from scanproof.data.images import is_image
from scanproof.data.manifest_file import read_rows
from scanproof.data.readers.hdf5 import is_hdf5
from scanproof.errors import ScanproofError


def kind_of(folder: Path, manifest: Path) -> Literal["volumes", "images", "kspace"]:
    """Whether a folder holds volumes, single images or raw data.

    The first path of the manifest tells it; without a manifest, folders of images do, unless the folder is a BIDS
    dataset. What can be told by neither is taken for volumes, and whoever reads the manifest says what is wrong.

    Args:
        folder: of the site.
        manifest: table with a column ``path``; it need not exist.
    """
    if not manifest.is_file():
        return "images" if class_folders(folder) and not is_bids(folder) else "volumes"
    try:
        table = read_rows(manifest, most=1).table
    except ScanproofError:
        return "volumes"
    paths = [] if "path" not in table else table["path"].dropna().tolist()
    path = str(paths[0]) if paths else ""
    return "images" if is_image(path) else "kspace" if is_hdf5(path) else "volumes"
