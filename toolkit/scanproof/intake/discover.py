"""What a folder holds, where nobody has written a manifest yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from scanproof.data.bids import is_bids, read_bids
from scanproof.data.class_folders import SUBJECTS_ARE_FILES, class_folders, read_class_folders
from scanproof.data.find_paths import check_name
from scanproof.data.images import is_image
from scanproof.data.manifest import Examined, Manifest, examine_manifest
from scanproof.data.manifest_file import read_rows
from scanproof.data.read_labels import COLUMN, PREFIX
from scanproof.data.readers import reader_of
from scanproof.errors import ScanproofError

#: manifests that are looked for in a folder
MANIFESTS: Final = ("cohort.csv", "cohort.parquet")
#: endings that follow a subject's name
_ENDINGS: Final = (".nii.gz", ".nii", ".h5", ".hdf5", ".mrd", ".dcm", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Whose files a folder holds, as far as anybody has said.

    Args:
        examined: the manifest with its problems, or what a manifest would say.
        origin: where that comes from, in words.
        notes: what a reader must know of it.
        given: somebody has said whose the files are; a template has to be filled in otherwise.
        labelled: there are labels.
    """

    examined: Examined
    origin: str
    notes: tuple[str, ...] = ()
    given: bool = True
    labelled: bool = False


def take_in(folder: Path, *, manifest: Path | None, site: str = "local") -> Intake:
    """Find out whose files a folder holds: by a manifest, by a folder a class, or by the names of files.

    Args:
        folder: of the site.
        manifest: of the folder; by default one of :data:`MANIFESTS` in it, if there is any.
        site: name of the site, where nothing tells it.

    Raises:
        ScanproofError: no such folder, a manifest that cannot be read at all, or no file that a reader recognises.
    """
    if not folder.is_dir():
        raise ScanproofError("must be an existing folder", key="DIR", value=str(folder))
    own = [folder / name for name in MANIFESTS if (folder / name).is_file()]
    chosen = manifest or (own[0] if own else None)
    if chosen is not None:
        names = [str(name) for name in read_rows(chosen, most=1).table.columns]
        labelled = any(name == COLUMN or name.startswith(PREFIX) for name in names)
        one = None if "site" in names else site
        examined = examine_manifest(chosen, root=folder, labelled=labelled, site=one)
        return Intake(examined=examined, origin=f"manifest {chosen.name}", labelled=labelled)
    if is_bids(folder):
        read = read_bids(folder, labelled=False, site=site)
        return Intake(examined=_examined(read, folder), origin="BIDS dataset", labelled=bool(read.targets))
    if len(class_folders(folder)) > 1:
        read = read_class_folders(folder, site=site)
        origin = "folders of classes, each file name taken for a subject"
        return Intake(examined=_examined(read, folder), origin=origin, notes=(SUBJECTS_ARE_FILES,), labelled=True)
    return Intake(examined=_examined(_by_name(folder, site), folder), origin="names of files and folders", given=False)


def template(intake: Intake) -> str:
    """A manifest to fill in, as CSV: what is known, and columns for a label and a split.

    Args:
        intake: of the folder.
    """
    table = intake.examined.manifest.table[["subject", "site"]].assign(path=intake.examined.rows["listed"])
    return table.assign(label="", split="").to_csv(index=False, lineterminator="\n")


def _by_name(folder: Path, site: str) -> Manifest:
    paths = sorted(_readable(folder))
    for path in paths:
        check_name(path)
    if not paths:
        rule = "folder must hold a manifest or files that can be read: NIfTI, DICOM series, raw data or images"
        raise ScanproofError(rule, file=folder, hint="see the readers in studies/README.md")
    table = pd.DataFrame({"subject": [_subject(path, folder) for path in paths], "path": paths}, dtype="string")
    table = table.assign(
        site=pd.Series(site, table.index, dtype="string"), split=pd.Series(pd.NA, table.index, "string")
    )
    table["place"] = [os.path.relpath(path, folder) for path in paths]
    ordered = table[["subject", "site", "path", "split", "place"]]
    return Manifest(table=ordered.sort_values(["subject", "path"], ignore_index=True), exclusive=False, file=folder)


def _readable(folder: Path) -> Iterator[str]:
    """Files, and folders of one series, that a reader recognises; hidden ones are left out."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if place != str(folder) and _recognised(Path(place)):
            folders.clear()
            yield os.path.realpath(place)
            continue
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and not name.endswith((".csv", ".json", ".html")) and _recognised(path):
                yield os.path.realpath(path)


def _recognised(path: Path) -> bool:
    try:
        reader_of(path)
    except ScanproofError:
        return False
    return True


def _subject(path: str, folder: Path) -> str:
    """A guess: the folder directly below the site's that a file lies in, else its own name."""
    parts = Path(os.path.relpath(path, os.path.realpath(folder))).parts
    if len(parts) > 1 and not is_image(path):
        return parts[0]
    name = parts[-1]
    ending = next((end for end in _ENDINGS if name.lower().endswith(end)), "")
    return name[: len(name) - len(ending)] or name


def _examined(manifest: Manifest, folder: Path) -> Examined:
    """A manifest that nobody wrote has no lines; its files are counted."""
    listed = [os.path.relpath(path, os.path.realpath(folder)) for path in manifest.table["path"]]
    rows = pd.DataFrame({"line": range(1, len(listed) + 1), "listed": pd.array(listed, dtype="string")})
    return Examined(manifest=manifest, rows=rows, problems=(), unit="row")
